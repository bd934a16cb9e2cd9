"""What is typed outlives a session that ends, and another tab that edits the same agent."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, expect
from tests.dashboard.browser import EMAIL, PASSWORD, needed, visit, visiting
from tests.fakes.server import Server

pytestmark = needed


def an_agent(server: Server) -> str:
    with server.client() as api:
        wish = {"name": "Two tabs", "systemPrompt": "One."}
        return api.post("/v1/agents", json=wish).raise_for_status().json()["data"]["id"]


def prompt_of(page: Page) -> Any:
    return page.get_by_role("textbox", name="System prompt")


def test_a_session_that_ends_takes_nothing_with_it(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as here:
        page, id = here.page, an_agent(server)
        here.open(f"/agents/{id}")
        expect(prompt_of(page)).to_have_value("One.")
        page.context.clear_cookies()
        prompt_of(page).fill("Two.")  # a draft of it is to be kept, and the server refuses
        again = page.get_by_role("dialog", name="Your session has ended")
        expect(again).to_be_visible()
        assert here.problems() == []
        expect(again.get_by_label("E-mail")).to_have_value(EMAIL)
        again.get_by_label("Password").fill(PASSWORD)
        again.get_by_role("button", name="Log in").click()
        expect(again).to_have_count(0)
        expect(prompt_of(page)).to_have_value("Two.")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Unsaved changes")).to_have_count(0)
        with server.client() as api:
            assert api.get(f"/v1/agents/{id}").json()["data"]["systemPrompt"] == "Two."
        assert here.complaints == []


def test_of_two_tabs_the_later_is_told(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as one:
        id = an_agent(server)
        other = visit(one.page.context, server)
        one.open(f"/agents/{id}")
        other.open(f"/agents/{id}")
        prompt_of(one.page).fill("First.")
        expect(one.page.get_by_text("Draft kept")).to_be_visible()
        prompt_of(other.page).fill("Second.")
        expect(other.page.get_by_text("is working on this agent too")).to_be_visible()
        expect(prompt_of(other.page)).to_have_value("Second.")
        other.page.get_by_role("button", name="Take theirs").click()
        expect(prompt_of(other.page)).to_have_value("First.")

        # A tab that knows nothing of a version that was published meanwhile.
        one.page.get_by_role("button", name="Save", exact=True).click()
        expect(one.page.get_by_text("Unsaved changes")).to_have_count(0)
        prompt_of(other.page).fill("Third.")
        expect(other.page.get_by_text("is working on this agent too")).to_be_visible()
        with server.client() as api:
            assert api.get(f"/v1/agents/{id}").json()["data"]["systemPrompt"] == "First."
        assert one.complaints == other.complaints == []
