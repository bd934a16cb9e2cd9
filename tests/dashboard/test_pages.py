"""Every page in a real browser: nothing that assistive technology stumbles over, nothing that the
policy stops, no markup of a caller's that is taken for markup."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page
from tests.dashboard.browser import ROOT, needed, visiting
from tests.dashboard.seed import AGENT, CALL
from tests.fakes.server import Server

pytestmark = needed

# Name of the picture, path, what stands there when the page is drawn.
PAGES = [
    ("home", "/", "Needs a look"),
    ("agents", "/agents", "Front desk"),
    ("agent", f"/agents/{AGENT}", "System prompt"),
    ("agent-voice", f"/agents/{AGENT}?group=voice", "Stability"),
    ("agent-tools", f"/agents/{AGENT}?group=tools", "find_table"),
    ("agent-after", f"/agents/{AGENT}?group=after", "Values to extract"),
    ("calls", "/calls", "+14155550199"),
    ("call", f"/calls/{CALL}", "Thank you for calling. Goodbye."),
    ("call-summary", f"/calls/{CALL}?tab=summary", "OPUS · encrypted"),
    ("call-latency", f"/calls/{CALL}?tab=latency&turn=3", "Slowest first"),
    ("call-cost", f"/calls/{CALL}?tab=cost", "discarded drafts"),
    ("call-knowledge", f"/calls/{CALL}?tab=knowledge", "Terrace · page 2"),
    ("call-events", f"/calls/{CALL}?tab=events", "turn_committed"),
    ("live", "/live", "No call at the moment"),
    ("numbers", "/numbers", "+14155550100"),
    ("tools", "/tools", "find_table"),
    ("knowledge", "/knowledge", "Handbook"),
    ("knowledge-base", "/knowledge/{base}?ask=when+does+the+terrace+close", "until half past ten."),
    ("settings-members", "/settings/members", "Invite"),
    ("settings-keys", "/settings/keys", "First key"),
    ("settings-pages", "/settings/pages", "No page calls yet"),
    ("settings-providers", "/settings/providers", "No provider key yet"),
    ("settings-webhooks", "/settings/webhooks", "No endpoint yet"),
    ("settings-billing", "/settings/billing", "Ledger"),
    ("settings-security", "/settings/security", "Where you are logged in"),
    ("settings-audit", "/settings/audit", "createOwner"),
    ("settings-organization", "/settings/organization", "Calls at once"),
]
PICTURES = ROOT / "docs" / "images" / "dashboard"
ZOOMED = (640, 320)
"""CSS pixels of a window of 1280 at 200 and at 400 % (WCAG 1.4.10, reflow)."""
TOO_WIDE = """() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return [];
  return [...document.querySelectorAll("main *")]
    .filter((each) => each.getBoundingClientRect().right > room + 1)
    .filter((each) => !each.closest(".tablist, .tabs, .table-wrap, .code"))
    .slice(0, 4).map((each) => each.outerHTML.slice(0, 160));
}"""
LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": {"width": 1360, "height": 900}},
]


HOURS = """# Opening hours

The restaurant is open from noon to eleven, the terrace until half past ten.

# Dogs

Dogs are welcome on the terrace.
"""


def too_wide(page: Page, width: int) -> list[str]:
    """What makes one scroll sideways to read the page; a table may, within itself."""
    page.set_viewport_size({"width": width, "height": 800})
    return page.evaluate(TOO_WIDE)


def filled_base(server: Server) -> str:
    """A knowledge base with a document that can be found, and one whose URL answers nothing."""
    bases = f"{server.url}/v1/knowledge-bases"
    wishes = [
        {"name": "Opening hours", "text": HOURS},
        {"name": "Menu", "url": "http://127.0.0.1:9/menu"},
    ]
    with httpx.Client(headers=server.headers, timeout=30) as client:
        id: str = client.post(bases, json={"name": "Handbook"}).json()["data"]["id"]
        for wish in wishes:
            client.post(f"{bases}/{id}/documents", json=wish).raise_for_status()
    return id


@pytest.mark.parametrize("look", LOOKS, ids=["light"])
def test_every_page_is_accessible_and_quiet(
    browser: Browser, server: Server, owner: Any, look: dict[str, Any], tmp_path: Path
):
    # `make screenshots` asks for the pictures of the documentation.
    keeps = bool(os.environ.get("CHORUS_SCREENSHOTS")) and look["color_scheme"] == "light"
    found: dict[str, list[str]] = {}
    base = filled_base(server)
    with visiting(browser, server, owner, **look) as visit:
        for name, path, text in PAGES:
            visit.open(path.format(base=base))
            visit.page.get_by_text(text).first.wait_for()
            if name.startswith("call"):
                visit.page.wait_for_timeout(300)  # the canvas is drawn after the peaks came
            if problems := visit.problems():
                found[name] = problems
            if keeps:
                PICTURES.mkdir(parents=True, exist_ok=True)
                visit.page.screenshot(path=PICTURES / f"{name}.png")
            for width in ZOOMED:
                if wide := too_wide(visit.page, width):
                    found[f"{name}, wider than {width} px"] = wide
            visit.page.set_viewport_size(look["viewport"])
        assert visit.page.evaluate("window.hacked") is None
        assert visit.complaints == []
    assert found == {}
