"""Every page in a real browser: nothing that assistive technology stumbles over, nothing that the
policy stops, no markup of a caller's that is taken for markup."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.dashboard.browser import ROOT, WAIT_MS, Visit, needed, owner_link, visiting
from tests.dashboard.seed import AGENT, CALL, HOSTILE, PICTURED
from tests.fakes.server import Server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

pytestmark = needed

# Name of the picture, path, what stands there when the page is drawn.
PAGES = [
    ("home", "/", "Needs a look"),
    ("agents", "/agents", "Front desk"),
    ("agent", f"/agents/{AGENT}", "System prompt"),
    ("agent-voice", f"/agents/{AGENT}?group=voice", "Stability"),
    ("agent-tools", f"/agents/{AGENT}?group=tools", "find_table"),
    ("agent-versions", f"/agents/{AGENT}?group=versions", "Versions"),
    ("agent-after", f"/agents/{AGENT}?group=after", "Values to extract"),
    ("calls", "/calls", "+14155550199"),
    ("call", f"/calls/{CALL}", "Thank you for calling. Goodbye."),
    ("call-summary", f"/calls/{CALL}?tab=summary", "OPUS · encrypted"),
    ("call-latency", f"/calls/{CALL}?tab=latency&turn=3", "Slowest first"),
    ("call-cost", f"/calls/{CALL}?tab=cost", "discarded drafts"),
    ("call-knowledge", f"/calls/{CALL}?tab=knowledge", "Terrace · page 2"),
    ("call-webhooks", f"/calls/{CALL}?tab=webhooks", "No webhook was sent"),
    ("call-audit", f"/calls/{CALL}?tab=audit", "Audit"),
    ("call-events", f"/calls/{CALL}?tab=events", "turn_committed"),
    ("live", "/live", "No call at the moment"),
    ("numbers", "/numbers", "+14155550100"),
    ("tools", "/tools", "find_table"),
    ("tool", "/tools?open={tool}", "In the latest"),
    ("knowledge", "/knowledge", "Handbook"),
    ("knowledge-base", "/knowledge/{base}?ask=when+does+the+terrace+close", "until half past ten."),
    ("knowledge-history", "/knowledge/{base}?history=all", "Created the base"),
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
DESKTOP = {"width": 1360, "height": 900}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": DESKTOP},
    "dark": {"color_scheme": "dark", "viewport": DESKTOP},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    "arabic": {"color_scheme": "light", "viewport": DESKTOP, "locale": "ar"},
    "german": {"color_scheme": "light", "viewport": DESKTOP, "locale": "de-DE"},
}
PICTURES_OF = {
    # The summary is what a call's page shows first. Those with a call and a delivery in them are
    # taken by a test of their own.
    "light": {name for name, _, _ in PAGES} - {"call-summary", "live", "settings-webhooks"},
    "dark": {"home", "call"},
    "phone": {"calls", "call"},
    "arabic": {"agent"},
    "german": {"calls"},
}
MOST_BYTES = 250_000
"""Of a picture."""


HOURS = """# Opening hours

The restaurant is open from noon to eleven, the terrace until half past ten.

# Dogs

Dogs are welcome on the terrace.
"""


def too_wide(page: Page, width: int) -> list[str]:
    """What makes one scroll sideways to read the page; a table may, within itself."""
    page.set_viewport_size({"width": width, "height": 800})
    return page.evaluate(TOO_WIDE)


def hears(caller: ClientConnection) -> None:
    """As a page whose loudspeaker has everything the moment it comes."""
    received = epoch = 0
    try:
        for message in caller:
            if isinstance(message, str):
                told = json.loads(message)
                if told.get("epoch", epoch) != epoch:
                    received, epoch = 0, told["epoch"]
                continue
            received += len(message) // 2
            played = {"epoch": epoch, "played": received, "received": received, "plays": False}
            caller.send(json.dumps({"type": "played", "rttMs": 0} | played))
    except ConnectionClosed:
        return  # sent while the test was closing it


def looked_at(visit: Visit, name: str) -> None:
    """Also a picture, where pictures are wanted, of the light look."""
    assert visit.problems() == [], name
    if PICTURED:
        PICTURES.mkdir(parents=True, exist_ok=True)
        visit.page.screenshot(path=PICTURES / f"{name}.png")
        assert (PICTURES / f"{name}.png").stat().st_size <= MOST_BYTES, name
    for width in ZOOMED:
        assert too_wide(visit.page, width) == [], (name, width)
    visit.page.set_viewport_size(LOOKS["light"]["viewport"])
    assert visit.complaints == [], name


def test_pages_before_somebody_is_in_are_accessible(browser: Browser, server: Server):
    """Before all others: later there is an owner."""
    with visiting(browser, server, **LOOKS["light"]) as visit:
        visit.page.goto(owner_link(server))
        visit.page.get_by_role("button", name="Create owner").wait_for()
        looked_at(visit, "welcome")
        visit.open("/login")
        visit.page.get_by_role("button", name="Log in").wait_for()
        looked_at(visit, "login")
        visit.page.get_by_label("E-mail").fill("nobody@example.com")
        visit.page.get_by_label("Password").fill("nothing of the kind")
        visit.page.get_by_role("button", name="Log in").click()
        visit.page.get_by_role("alert").first.wait_for()
        assert visit.problems() == []


def test_pages_beside_the_way_are_accessible(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner, **LOOKS["light"]) as visit:
        visit.open("/nowhere")
        visit.page.get_by_role("heading", name="There is no such page.").wait_for()
        assert visit.problems() == []
        visit.open("/")
        visit.page.get_by_role("heading", name="Home").wait_for()
        visit.page.keyboard.press("Control+k")
        palette = visit.page.get_by_role("dialog")
        palette.get_by_role("combobox").fill("Bistro")
        palette.get_by_role("option", name="Bistro").first.wait_for()
        assert visit.problems() == []
        assert visit.complaints == []
    with server.client() as http, visiting(browser, server, **LOOKS["light"]) as visit:
        wish = {"email": "grace@example.com", "role": "viewer"}
        member = http.post("/v1/members", json=wish).raise_for_status().json()["data"]
        visit.open(f"/invitation#token={member['invitationToken']}")
        visit.page.get_by_label("New password").wait_for()
        looked_at(visit, "invitation")


def test_pages_with_a_call_are_accessible(browser: Browser, server: Server, owner: Any):
    """A call that goes on, and the delivery of what became of it, which nobody takes."""
    with visiting(browser, server, owner, **LOOKS["light"]) as visit, server.client() as http:
        page = visit.page
        endpoint = {"url": f"{server.url}/v1/nothing", "events": ["call.completed"]}
        made = http.post("/v1/webhook-endpoints", json=endpoint).raise_for_status().json()["data"]
        values = {"restaurant": "Chorus Bistro", "caller_name": "Grace"}
        wish = {"agentId": str(AGENT), "contextVariables": values}
        begun = http.post("/v1/calls/test", json=wish).raise_for_status().json()["data"]
        with connect(begun["url"], max_queue=None) as caller:
            start = {"type": "start", "callId": begun["callId"], "token": begun["token"]}
            caller.send(json.dumps(start))
            threading.Thread(target=hears, args=(caller,), daemon=True).start()
            visit.open(f"/live?call={begun['callId']}")
            page.get_by_role("region", name="Steer the call").wait_for()
            expect(page.get_by_role("region", name="Transcript")).to_contain_text("good evening")
            looked_at(visit, "live")
            caller.send(json.dumps({"type": "stop"}))
            http.get(f"/v1/calls/{begun['callId']}?wait=20").raise_for_status()
        visit.open("/settings/webhooks")
        delivery = page.get_by_role("row").filter(has_text="call.completed")
        expect(delivery).to_contain_text("404")
        looked_at(visit, "settings-webhooks")
        # The other pages are looked at as they are without one.
        http.delete(f"/v1/webhook-endpoints/{made['id']}").raise_for_status()


# Path, the file of its code, and what is asked for before that file is there.
AHEAD = [
    ("/", "home", ["/v1/call-stats", "/v1/members", "/v1/phone-numbers", "/v1/slm-models"]),
    ("/agents", "agents", ["/v1/agents"]),
    (f"/agents/{AGENT}", "agent", [f"/v1/agents/{AGENT}", "/v1/voices", "/v1/transcribers"]),
    ("/calls", "calls", ["/v1/calls", "/v1/agents", "/v1/phone-numbers"]),
    (f"/calls/{CALL}", "call", [f"/v1/calls/{CALL}"]),
]


def test_a_page_is_filled_while_its_code_is_on_the_way(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        for path, code, first in AHEAD:
            asked_before_its_code(visit, path, code, {*first, "/v1/sessions/current"})
        assert visit.complaints == []


def asked_before_its_code(visit: Visit, path: str, code: str, first: set[str]) -> None:
    """The script of the page is held back until all of `first` was asked for."""
    asked: set[str] = set()
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "/v1/" in route.request.url:
            asked.add(urlsplit(route.request.url).path)
            route.continue_()
        else:
            held.append(route)

    of_page = re.compile(rf"/v1/|/assets/{code}-[\w-]{{8}}\.js")
    visit.page.route(of_page, hold)
    visit.page.goto(f"{visit.url}/dashboard{path}", wait_until="commit")
    end = time.monotonic() + WAIT_MS / 1000
    while not held or not asked >= first:
        assert time.monotonic() < end, (path, asked, held)
        visit.page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    visit.page.get_by_role("heading", level=1).wait_for()
    visit.page.unroute(of_page)


def filled(server: Server) -> dict[str, str]:
    """What paths of pages name: a knowledge base with a document that can be found and one whose
    URL answers nothing, and a tool that calls used."""
    bases = f"{server.url}/v1/knowledge-bases"
    wishes = [
        {"name": "Opening hours", "text": HOURS},
        {"name": HOSTILE[:200], "text": HOSTILE},
        {"name": "Menu", "url": "http://127.0.0.1:9/menu"},
    ]
    with httpx.Client(headers=server.headers, timeout=30) as client:
        base = {"name": "Handbook", "description": HOSTILE}
        id: str = client.post(bases, json=base).json()["data"]["id"]
        for wish in wishes:
            client.post(f"{bases}/{id}/documents", json=wish).raise_for_status()
        found = client.get(f"{server.url}/v1/tools?search=find_table").json()["data"]
    return {"base": id, "tool": found[0]["id"]}


@pytest.mark.parametrize(
    "name_of_look",
    [pytest.param(name, marks=[] if name == "light" else pytest.mark.slow) for name in LOOKS],
)
def test_every_page_is_accessible_and_quiet(
    browser: Browser, server: Server, owner: Any, name_of_look: str
):
    look = LOOKS[name_of_look]
    found: dict[str, list[str]] = {}
    made = filled(server)
    with visiting(browser, server, owner, **look) as visit:
        if language := look.get("locale", "")[:2]:
            # What the owner chose is kept, and goes before what the browser asks for.
            visit.page.add_init_script(f"localStorage.setItem('chorus.locale', '{language}')")
        for name, path, text in PAGES:
            if PICTURED and name not in PICTURES_OF[name_of_look]:
                continue
            visit.open(path.format(**made))
            if "locale" not in look:
                visit.page.get_by_text(text).first.wait_for()
            else:
                visit.page.get_by_role("heading", level=1).wait_for()
                expect(visit.page.locator("html")).to_have_attribute("lang", language)
            if name.startswith("call"):
                visit.page.wait_for_timeout(300)  # the canvas is drawn after the peaks came
            if problems := visit.problems():
                found[name] = problems
            if PICTURED:
                PICTURES.mkdir(parents=True, exist_ok=True)
                of_look = "" if name_of_look == "light" else f"-{name_of_look}"
                picture = PICTURES / f"{name}{of_look}.png"
                visit.page.screenshot(path=picture)
                assert picture.stat().st_size <= MOST_BYTES, picture
            for width in ZOOMED:
                if wide := too_wide(visit.page, width):
                    found[f"{name}, wider than {width} px"] = wide
            visit.page.set_viewport_size(look["viewport"])
        assert visit.page.evaluate("window.hacked") is None
        assert visit.complaints == []
    assert found == {}
