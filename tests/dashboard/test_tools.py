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
