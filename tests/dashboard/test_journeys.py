"""What people do, from end to end, in a real browser on the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, expect
from tests.dashboard.browser import EMAIL, PASSWORD, become_owner, log_in, needed, visiting
from tests.dashboard.seed import AGENT, CALL
from tests.fakes.server import Server, serving

pytestmark = needed


def test_from_the_printed_link_to_the_first_agent(browser: Browser, tmp_path: Path):
    with serving(tmp_path) as server, visiting(browser, server) as visit:
        page = visit.page
        page.goto(f"{server.url}/")
        page.get_by_role("heading", name="Log in").wait_for()
        become_owner(visit, server)
        expect(page.get_by_text("To your first call")).to_be_visible()
        page.get_by_role("button", name="Make the demo agent").click()
        page.get_by_role("heading", name="Bistro").wait_for()
        expect(page.get_by_role("textbox", name="System prompt")).to_have_value(
            httpx.get(f"{server.url}/v1/agents", headers=server.headers).json()["data"][0][
                "systemPrompt"
            ]
        )
        assert visit.complaints == []
        # The link has done its work.
        again = httpx.post(
            f"{server.url}/v1/owners",
            json={"token": "0" * 96, "email": EMAIL, "password": PASSWORD},
        )
        assert again.status_code == 404


def test_an_agent_is_changed_and_what_is_unsaved_is_not_lost(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open(f"/agents/{AGENT}")
        prompt = page.get_by_role("textbox", name="System prompt")
        prompt.fill("You are {{name}}. {{ broken")
        expect(page.get_by_text("This is no variable")).to_be_visible()
        page.get_by_role("link", name="Calls", exact=True).click()
        page.get_by_role("alertdialog").get_by_role("button", name="Stay here").click()
        expect(prompt).to_have_value("You are {{name}}. {{ broken")
        prompt.fill("You are {{name}}.")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Unsaved changes")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("textbox", name="System prompt")).to_have_value("You are {{name}}.")
        assert visit.complaints == []


def test_two_tabs_that_change_the_same_field(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as mine, visiting(browser, server, owner) as theirs:
        for each, text in ((mine, "Mine."), (theirs, "Theirs.")):
            each.open(f"/agents/{AGENT}")
            each.page.get_by_role("textbox", name="System prompt").fill(text)
        theirs.page.get_by_role("button", name="Save", exact=True).click()
        expect(theirs.page.get_by_text("Unsaved changes")).to_have_count(0)
        mine.page.get_by_role("button", name="Save", exact=True).click()
        dialog = mine.page.get_by_role("alertdialog")
        expect(dialog.get_by_text("Theirs.")).to_be_visible()
        dialog.get_by_role("button", name="Save mine").click()
        expect(mine.page.get_by_text("Unsaved changes")).to_have_count(0)
        mine.page.reload()
        expect(mine.page.get_by_role("textbox", name="System prompt")).to_have_value("Mine.")


def test_who_is_invited_as_a_viewer_sees_and_changes_nothing(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/settings/members")
        page.get_by_role("button", name="Invite").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("E-mail").fill("grace@example.com")
        dialog.get_by_label("Role").click()
        page.get_by_role("option", name="Viewer").click()
        dialog.get_by_role("button", name="Invite").click()
        link = page.get_by_role("dialog").get_by_text("/dashboard/invitation#token=").inner_text()
    with visiting(browser, server) as visit:
        page = visit.page
        page.goto(link)
        page.get_by_label("New password").fill("another good password")
        page.get_by_role("button", name="Accept invitation").click()
        page.get_by_role("heading", name="Home").wait_for()
        visit.open("/agents")
        page.get_by_text("Front desk").wait_for()
        expect(page.get_by_role("button", name="New agent")).to_have_count(0)
        visit.open(f"/agents/{AGENT}")
        expect(page.get_by_role("textbox", name="System prompt")).to_be_disabled()
        visit.open("/settings/audit")
        page.get_by_text("Your role may not see this.").wait_for()


def test_a_session_that_ends_meanwhile_costs_nothing_that_was_typed(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server) as visit:
        page = visit.page
        visit.open("/calls?status=completed")
        log_in(visit)
        page.get_by_role("heading", name="Calls").wait_for()
        assert "status=completed" in page.url  # where one wanted to go
        visit.open(f"/agents/{AGENT}")
        page.get_by_role("textbox", name="System prompt").fill("Half a sentence")
        cookies = {each["name"]: each["value"] for each in page.context.cookies()}
        ended = httpx.delete(
            f"{server.url}/v1/sessions/current",
            cookies=cookies,
            headers={"origin": server.url, "x-chorus-request": "1"},
        )
        assert ended.status_code == 200, ended.text
        page.get_by_role("button", name="Save", exact=True).click()
        dialog = page.get_by_role("dialog", name="Your session has ended")
        dialog.get_by_label("Password").fill(PASSWORD)
        dialog.get_by_role("button", name="Log in").click()
        expect(dialog).to_have_count(0)
        expect(page.get_by_role("textbox", name="System prompt")).to_have_value("Half a sentence")


def test_a_call_is_heard_searched_and_read_with_the_keyboard(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/")
        page.keyboard.press("Control+k")
        page.get_by_role("combobox", name="Agents, calls").fill("0199")
        page.get_by_role("option", name="+14155550199").first.wait_for()
        page.keyboard.press("Enter")
        page.get_by_text("Thank you for calling. Goodbye.").first.wait_for()
        assert str(CALL) in page.url
        axis = page.get_by_role("slider", name="Position in the call")
        axis.focus()
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("ArrowRight")
        expect(axis).to_have_attribute("aria-valuetext", "0:06 of 0:38")
        # What was not heard is struck through, and says so.
        expect(page.locator("s", has_text="would you like to come?")).to_be_visible()
        page.get_by_role("button", name="2,100 ms").first.click()
        page.get_by_role("tab", name="Latency").wait_for()
        expect(page.get_by_role("tab", name="Latency")).to_have_attribute("aria-selected", "true")
        page.go_back()
        page.get_by_role("heading", name="Home").wait_for()
        assert visit.complaints == []
