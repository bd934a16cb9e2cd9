"""A tool run from its editor, in a real browser on the real server."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.sync_api import Browser, expect
from tests.dashboard.browser import needed, visiting
from tests.fakes.server import Server

pytestmark = needed


def test_a_tool_is_run_and_both_sides_are_shown(browser: Browser, server: Server, owner: Any):
    # The server itself is what the tool asks.
    tool = {
        "name": "ask_health",
        "description": "Asks.",
        "config": {
            "url": f"{server.url}/{{path}}?key=a-very-secret-word",
            "method": "GET",
            "headers": [{"key": "X-Key", "value": "a-very-secret-word"}],
        },
    }
    made = httpx.post(f"{server.url}/v1/tools", json=tool, headers=server.headers, timeout=30)
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open(f"/tools?open={made.json()['data']['id']}")
        run = page.get_by_role("region", name="Run it once")
        run.get_by_label("path").fill("healthz")
        run.get_by_label("path").press("Enter")
        expect(run.get_by_text("HTTP 200")).to_be_visible()
        expect(run.get_by_text("X-Key: ********")).to_be_visible()
        assert "a-very-secret-word" not in page.content()
        assert visit.problems() == []
        run.get_by_label("path").fill("..")
        run.get_by_role("button", name="Run").click()
        expect(run.get_by_text("No answer")).to_be_visible()
        # Another, which the call of the past used.
        visit.open("/tools?q=find_table")
        page.get_by_role("link", name="find_table").click()
        history = page.get_by_role("region", name="In calls")
        expect(history).to_contain_text("B427")
        expect(history).to_contain_text('"people":5')
        assert visit.problems() == []
        history.get_by_role("link").click()
        page.get_by_text("Thank you for calling. Goodbye.").wait_for()
        assert page.evaluate("window.hacked") is None
        assert visit.complaints == []


def test_what_was_typed_is_not_lost_without_a_question(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        asked = page.get_by_role("alertdialog", name="Leave without saving?")
        visit.open("/agents")
        page.get_by_role("link", name="Tools", exact=True).click()
        page.get_by_role("link", name="find_table").click()
        tool = page.get_by_role("dialog", name="find_table")
        expect(tool).to_be_visible()
        page.keyboard.press("Escape")  # nothing was typed
        expect(tool).to_have_count(0)

        page.get_by_role("link", name="find_table").click()
        described = tool.get_by_role("textbox", name="Description").first
        described.fill("Finds a table by the window.")
        page.keyboard.press("Escape")
        expect(asked).to_be_visible()
        assert visit.problems() == []
        asked.get_by_role("button", name="Stay here").click()
        expect(described).to_have_value("Finds a table by the window.")
        page.go_back()
        expect(asked).to_be_visible()
        asked.get_by_role("button", name="Stay here").click()
        expect(described).to_have_value("Finds a table by the window.")
        tool.get_by_role("button", name="Save").click()  # asks nothing
        expect(tool).to_have_count(0)
        expect(asked).to_have_count(0)
        page.get_by_role("link", name="find_table").click()
        expect(described).to_have_value("Finds a table by the window.")
        described.fill("Finds nothing.")
        page.keyboard.press("Escape")
        asked.get_by_role("button", name="Discard").click()
        expect(tool).to_have_count(0)

        visit.open("/settings/organization")
        name = page.get_by_role("textbox", name="Name")
        before = name.input_value()
        name.fill("Another name")
        page.get_by_role("link", name="Members").click()
        expect(asked).to_be_visible()
        asked.get_by_role("button", name="Stay here").click()
        expect(name).to_have_value("Another name")
        name.fill(before)  # as it was: nothing would be lost
        page.get_by_role("link", name="Members").click()
        expect(page.get_by_role("button", name="Invite")).to_be_visible()
        assert visit.complaints == []
