"""Without a mouse: every step by keys alone, and where one is can be seen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.dashboard.browser import EMAIL, PASSWORD, needed, visiting
from tests.dashboard.seed import AGENT, CALL
from tests.fakes.server import Server

pytestmark = needed

MOST_STOPS = 250
# What each element looks like while nothing has the focus, to tell a ring from a shadow.
UNFOCUSED = """() => {
  window.look = (each) => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
    return [outlineStyle, outlineStyle === "none" ? "" : outlineWidth, boxShadow].join();
  };
  document.activeElement?.blur();
  const all = [...document.querySelectorAll("*")];
  window.before = new WeakMap(all.map((each) => [each, look(each)]));
}"""
FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  // What was drawn since has an outline, or nothing that can be told from a shadow.
  const ring = (each) => before.has(each)
    ? before.get(each) !== look(each)
    : getComputedStyle(each).outlineStyle !== "none";
  const shown = [at, at.parentElement, at.nextElementSibling].filter(Boolean).some(ring);
  at.dataset.stop = at.dataset.stop ?? String(window.stops = (window.stops ?? 0) + 1);
  return { stop: at.dataset.stop, shown, what: at.outerHTML.slice(0, 120) };
}"""


def tabbed_to(page: Page, what: Locator) -> None:
    """Goes on with Tab until that has the focus."""
    for _ in range(MOST_STOPS):
        if what.evaluate("(it) => it === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to {what}")


def test_from_logging_in_to_a_saved_agent_by_keys_alone(
    browser: Browser, server: Server, owner: Any
):
    assert owner
    with visiting(browser, server) as visit:
        page = visit.page
        visit.open("/login")
        tabbed_to(page, page.get_by_label("E-mail"))
        page.keyboard.type(EMAIL)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Home").wait_for()
        page.keyboard.press("Control+k")
        expect(page.get_by_role("dialog").locator("input")).to_be_focused()
        page.keyboard.type("Front desk")
        page.get_by_role("option", name="Front desk").wait_for()
        page.keyboard.press("Enter")
        prompt = page.get_by_role("textbox", name="System prompt")
        tabbed_to(page, prompt)
        page.keyboard.press("Control+a")
        page.keyboard.type("You answer the telephone, briefly.")
        tabbed_to(page, page.get_by_role("button", name="Save", exact=True))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
        # A menu: opened, gone through and left, and the focus is where it was.
        tabbed_to(page, page.locator("button.who"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("menuitemradio").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("button.who")).to_be_focused()
        assert visit.complaints == []


@pytest.mark.parametrize("path", ["/", f"/agents/{AGENT}", f"/calls/{CALL}"])
def test_tab_goes_through_a_page_is_seen_and_gets_out(
    browser: Browser, server: Server, owner: Any, path: str
):
    with visiting(browser, server, owner) as visit:
        visit.open(path)
        visit.page.get_by_role("heading", level=1).wait_for()
        visit.page.evaluate(UNFOCUSED)
        seen: set[str] = set()
        unseen: list[str] = []
        for _ in range(MOST_STOPS):
            visit.page.keyboard.press("Tab")
            at = visit.page.evaluate(FOCUSED)
            if at is None or at["stop"] in seen:
                assert at is None or at["stop"] == "1", f"Tab stays among {at['what']}"
                break
            seen.add(at["stop"])
            if not at["shown"]:
                unseen.append(at["what"])
        else:
            raise AssertionError("Tab never comes back to the first")
        assert len(seen) > 10
        assert unseen == []
