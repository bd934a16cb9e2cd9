"""A knowledge base and its documents, in a real browser on the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect
from tests.dashboard.browser import EMAIL, needed, visiting
from tests.dashboard.seed import HOSTILE
from tests.fakes.server import Server

pytestmark = needed


def test_a_base_is_made_filled_asked_and_deleted(
    browser: Browser, server: Server, owner: Any, tmp_path: Path
):
    hours = tmp_path / "hours.md"
    hours.write_text("# Opening hours\n\nThe terrace is open until half past ten.\n")
    empty = tmp_path / "empty.txt"
    empty.touch()
    with visiting(browser, server, owner) as visit:
        page, dialog = visit.page, visit.page.get_by_role("dialog")
        visit.open("/knowledge")
        expect(page.get_by_text("No knowledge base yet")).to_be_visible()
        assert visit.problems() == []
        page.get_by_role("button", name="New knowledge base").click()
        dialog.get_by_label("Name").fill("Handbook")
        # A vendor's model is typed, and what is wrong with it is told beside it.
        dialog.get_by_role("button", name="Embedding model").click()
        page.get_by_role("option", name="A vendor's…").click()
        model = dialog.get_by_label("Vendor's model")
        model.fill("no spaces here")
        dialog.get_by_role("button", name="Create").click()
        expect(model).to_have_attribute("aria-invalid", "true")
        assert visit.problems() == []
        dialog.get_by_role("button", name="Embedding model").click()
        page.get_by_role("option", name="The default").click()
        dialog.get_by_role("button", name="Create").click()
        page.get_by_role("heading", name="Handbook").wait_for()

        # Of several files those that are taken stay taken; the other is told of.
        page.get_by_role("button", name="Add documents").click()
        dialog.get_by_label("Files").set_input_files([hours, empty])
        assert visit.problems() == []
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog.get_by_text("File must not be empty").first).to_be_visible()
        dialog.get_by_label("Text", exact=True).check()
        dialog.get_by_label("Name").fill(HOSTILE[:60])
        dialog.get_by_role("textbox", name="Text").fill(f"Dogs are welcome. {HOSTILE}")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog).to_have_count(0)
        # A page that cannot be had: the document says why.
        page.get_by_role("button", name="Add documents").click()
        dialog.get_by_label("URL").check()
        dialog.get_by_role("textbox", name="URL").fill("http://127.0.0.1:9/menu.html")
        dialog.get_by_role("button", name="Add", exact=True).click()
        row = page.get_by_role("row").filter(has_text="hours.md")
        expect(row.get_by_text("Ready")).to_be_visible()
        refused = page.get_by_role("row").filter(has_text="menu.html")
        expect(refused.get_by_text("Failed")).to_be_visible()
        assert visit.problems() == []

        # A search without a hit says so, here and among the bases.
        page.get_by_label("Search documents").fill("no such document")
        expect(page.get_by_text("Nothing found.")).to_be_visible()
        visit.open("/knowledge?q=no+such+base")
        expect(page.get_by_text("Nothing found.")).to_be_visible()
        visit.open("/knowledge")
        page.get_by_role("link", name="Handbook").click()

        # A question by the keyboard, then the document that the answer stands in.
        question = page.get_by_label("A question, as a caller would ask it")
        question.fill("when does the terrace close")
        question.press("Enter")
        expect(page.get_by_text("The terrace is open until half past ten.")).to_be_visible()
        assert "ask=" in page.url
        page.get_by_role("link", name="hours.md").first.click()
        expect(dialog.get_by_text("Opening hours")).to_be_visible()
        assert visit.problems() == []
        dialog.get_by_role("button", name="Read again").click()
        expect(dialog.get_by_text("Ready")).to_be_visible()
        dialog.get_by_role("button", name="History").click()
        expect(dialog.get_by_role("table", name="Readings").get_by_text("Ready")).to_have_count(2)
        expect(dialog.get_by_role("table", name="Changes")).to_contain_text("Had it read again")
        assert visit.problems() == []
        dialog.get_by_role("button", name="Close").click()

        history = page.get_by_role("region", name="History")
        history.get_by_role("button", name="Show").click()
        expect(history.get_by_role("table", name="Changes")).to_contain_text(EMAIL)
        expect(history.get_by_role("table", name="Readings")).to_contain_text(HOSTILE[:60])
        assert visit.problems() == []
        history.get_by_role("button", name="Hide").click()

        refused.get_by_role("button").click()
        page.get_by_role("menuitem", name="Delete").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        expect(refused).to_have_count(0)
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("menuitem", name="Delete").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("No knowledge base yet")).to_be_visible()
        assert page.evaluate("window.hacked") is None
        assert visit.complaints == []
