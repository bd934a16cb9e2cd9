"""What people do, from end to end, in a real browser on the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, expect
from tests.dashboard.browser import EMAIL, PASSWORD, become_owner, needed, visiting
from tests.dashboard.seed import AGENT
from tests.dashboard.vendor import BAD, GOOD, vendor
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


def test_a_key_is_brought_tried_replaced_and_deleted(browser: Browser, server: Server, owner: Any):
    with vendor() as url, visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/settings/providers")
        expect(page.get_by_text("No provider key yet")).to_be_visible()
        assert visit.problems() == []
        page.get_by_role("button", name="Add a key").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Vendor").click()
        page.get_by_role("option", name="OpenAI-compatible").click()
        dialog.get_by_label("Key", exact=True).fill(BAD)
        dialog.get_by_label("Name (optional)").fill("Ours")
        dialog.get_by_label("Base URL").fill(url)
        assert visit.problems() == []
        dialog.get_by_role("button", name="Create").click()
        expect(dialog).to_have_count(0)
        expect(page.get_by_text("…evil")).to_be_visible()

        # What the vendor says is shown as it says it, and as text.
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.get_by_text("Wrong key <b>there</b>")).to_be_visible()
        expect(page.get_by_text("Wrong key", exact=True)).to_be_visible()

        page.get_by_role("button", name="More for Ours").click()
        page.get_by_role("menuitem", name="Replace the key").click()
        dialog.get_by_label("Key", exact=True).fill(GOOD)
        dialog.get_by_role("button", name="Replace the key").click()
        expect(page.get_by_text("…good")).to_be_visible()
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.get_by_text("Works")).to_be_visible()
        assert visit.problems() == []
        assert GOOD not in page.content()

        page.get_by_role("button", name="More for Ours").click()
        page.get_by_role("menuitem", name="Delete").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("No provider key yet")).to_be_visible()
        assert visit.complaints == []
