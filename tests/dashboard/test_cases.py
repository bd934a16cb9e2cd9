"""A test is made of a call, and run as a chat."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, expect
from tests.dashboard.browser import needed, visiting
from tests.dashboard.seed import CALL
from tests.fakes.server import Server

pytestmark = needed
SCRIPT = """script:
at start: say "Chorus Bistro."
when caller says "goodbye": say "Until Friday." and end
otherwise: say "Go on, please."
"""


def test_a_call_is_kept_run_as_a_chat_and_deleted(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open(f"/calls/{CALL}")
        page.get_by_role("button", name="More").click()
        page.get_by_role("menuitem", name="Make a test of this").click()
        kept = page.get_by_role("list", name="What was said")
        expect(kept).to_contain_text("Sorry, make that five. And at half past seven.")
        # It is run by what the editor has, saved or not.
        page.get_by_role("link", name="Prompt", exact=True).click()
        page.get_by_role("textbox", name="System prompt").fill(SCRIPT)
        page.get_by_role("link", name="Tests", exact=True).click()
        if not kept.is_visible():
            page.get_by_role("button", name="Hello, I would like to book a table").click()
        page.get_by_role("button", name="Run as chat").click()
        answers = page.get_by_role("list", name="Answers of this run")
        expect(answers).to_contain_text("Until Friday.")
        expect(answers).to_contain_text("Go on, please.")
        # The agent of the seed has no tools any more.
        told = page.get_by_role("status").filter(has_text="find_table")
        expect(told).to_contain_text("not called")
        assert visit.problems() == []
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        page.get_by_role("heading", name="No test case yet").wait_for()
        assert visit.complaints == []
