"""The list of calls: gone through, followed while calls begin and end, and with ten thousand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.dashboard.browser import ROOT, become_owner, needed, visiting
from tests.dashboard.seed import AGENT
from tests.fakes.server import API_KEY, Server, serving
from websockets.sync.client import ClientConnection, connect

pytestmark = needed

OURS = "+14155550120"
CALL_LINK = 'tbody tr a[href*="/calls/"]'
PLACE = "(row) => Math.round(row.getBoundingClientRect().top)"
MANY = 10_000
PAGES_THROUGH = 20
MOST_ELEMENTS = 2_500
"""In the whole page, however many calls there are."""
SMOOTH_MS = 50
"""Twenty frames a second: below that a list that is scrolled is seen to stand still."""
FRAMES = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const frame = (now) => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""  # noqa: E501  JavaScript


def number_of(server: Server) -> None:
    """One of the simulated telephone network, which callers can ring."""
    with server.client() as api:
        number = {"number": OURS, "provider": "loopback", "agentId": str(AGENT)}
        api.post("/v1/phone-numbers", json=number).raise_for_status()


@contextmanager
def caller(server: Server, number: str) -> Generator[ClientConnection]:
    """Somebody who rings and is answered, until they hang up."""
    with server.client() as api:
        rang = api.post("/loopback/calls", json={"from": number, "to": OURS}).json()
    # Nobody reads what the caller hears.
    with connect(f"{server.ws_url}{rang['mediaPath']}", max_queue=None) as line:
        line.send(json.dumps({"event": "start", "legId": rang["legId"]}))
        yield line
        line.send(json.dumps({"event": "stop"}))


def comes(page: Page, number: str, state: str) -> None:
    """In less of the page's own time than its list is asked for again by itself (15 s)."""
    row = page.get_by_role("row").filter(has_text=number).filter(has_text=state)
    for _ in range(250):
        if row.count():
            return
        page.clock.run_for(50)
        page.wait_for_timeout(50)
    raise AssertionError(page.locator("tbody").inner_text()[:600])


def test_calls_are_gone_through_and_exported(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        rows = page.locator("tbody tr")
        visit.open("/calls")
        expect(rows).to_have_count(50)
        page.get_by_role("link", name="Next").click()
        expect(rows).to_have_count(11)
        assert "after=" in page.url
        page.go_back()
        expect(rows).to_have_count(50)
        visit.open("/calls?status=failed")
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as started:
            page.get_by_role("menuitem", name="CSV", exact=True).click()
        lines = started.value.path().read_text().splitlines()
        assert len(lines) == 1 + rows.count() > 1
        assert visit.complaints == []


def test_a_view_is_kept_opened_renamed_and_deleted(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        page, dialog = visit.page, visit.page.get_by_role("dialog")
        rows, turns = page.locator("tbody tr"), page.get_by_role("columnheader", name="Turns")
        columns, box = page.locator("summary"), page.get_by_role("checkbox", name="Turns")
        search = page.get_by_role("searchbox", name="Number or agent")
        visit.open("/calls")
        page.get_by_role("button", name="Any State").click()
        page.get_by_role("option", name="Failed").click()
        expect(rows.filter(has_text="Completed")).to_have_count(0)
        expect(turns).to_be_visible()
        columns.press("Enter")
        box.uncheck()
        page.get_by_role("checkbox", name="ID", exact=True).uncheck()
        expect(turns).to_have_count(0)
        assert visit.problems() == []
        box.press("Escape")
        expect(box).to_be_hidden()
        expect(columns).to_be_focused()
        # Who goes on elsewhere is done with it, too.
        columns.click()
        expect(box).to_be_visible()
        search.click()
        expect(box).to_be_hidden()

        page.get_by_role("button", name="Views").click()
        page.get_by_role("menuitem", name="Save this view").click()
        dialog.get_by_label("Name").fill("Went wrong")
        assert visit.problems() == []
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name="Views: Went wrong")).to_be_visible()
        failed = rows.count()
        assert 0 < failed < 50
        assert visit.complaints == []

    # Somewhere else, from the midst of a list that is narrowed in another way.
    with visiting(browser, server, owner) as visit:
        page, dialog = visit.page, visit.page.get_by_role("dialog")
        rows, turns = page.locator("tbody tr"), page.get_by_role("columnheader", name="Turns")
        search = page.get_by_role("searchbox", name="Number or agent")
        page.clock.install()
        visit.open("/calls")
        page.get_by_role("link", name="Next").click()
        expect(page).to_have_url(re.compile("after="))
        search.fill("+14155550199")
        # What is searched for is searched for on all pages.
        expect(rows).to_have_count(1)
        page.get_by_role("button", name="Views").click()
        page.get_by_role("menuitem", name="Went wrong").click()
        expect(rows).to_have_count(failed)
        expect(turns).to_have_count(0)
        expect(search).to_have_value("")
        expect(page.get_by_role("button", name="Failed State")).to_be_visible()
        # Longer than it takes until what was typed is searched for: it is not, once more.
        page.clock.fast_forward(1000)
        page.reload()
        expect(rows).to_have_count(failed)
        expect(search).to_have_value("")
        view = page.get_by_role("button", name="Views: Went wrong")

        view.click()
        page.get_by_role("menuitem", name="Edit views").click()
        name = dialog.get_by_role("textbox", name="Name of Went wrong")
        expect(dialog.get_by_role("button", name="shown: Went wrong")).to_be_disabled()
        assert visit.problems() == []
        name.fill("To be called again")
        name.press("Enter")
        expect(dialog.get_by_role("textbox")).to_have_accessible_name("Name of To be called again")
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Views: To be called again")).to_be_visible()

        # Set to what is shown: without its filters now.
        page.get_by_role("button", name="Clear filters").click()
        expect(rows).to_have_count(50)
        page.get_by_role("button", name="Views", exact=True).click()
        page.get_by_role("menuitem", name="Edit views").click()
        dialog.get_by_role("button", name="shown: To be called").click()
        expect(dialog.get_by_role("button", name="shown: To be called")).to_be_disabled()
        dialog.get_by_role("button", name="Delete To be called again").click()
        expect(dialog).to_have_count(0)
        page.get_by_role("button", name="Views", exact=True).click()
        expect(page.get_by_role("menuitem")).to_have_text(["Save this view"])
        assert visit.complaints == []


def test_calls_that_begin_and_end_are_seen_without_asking(
    browser: Browser, server: Server, owner: Any
):
    number_of(server)
    with visiting(browser, server, owner, viewport={"width": 1280, "height": 600}) as visit:
        page, asked = visit.page, list[str]()
        page.clock.install()
        visit.open("/calls")
        expect(page.locator("tbody tr")).to_have_count(50)
        row = page.locator("tbody tr").nth(20).element_handle()
        row.scroll_into_view_if_needed()
        last = page.locator(CALL_LINK).last.get_attribute("href")
        page.on("request", lambda request: asked.append(request.url))
        place = row.evaluate(PLACE)
        page.clock.pause_at(page.evaluate("Date.now() + 1000"))
        with caller(server, "+14155550155"):
            comes(page, "+14155550155", "In progress")
            # What somebody reads stays where it is.
            assert abs(row.evaluate(PLACE) - place) <= 2
            assert page.locator("tbody tr").count() == 50
        comes(page, "+14155550155", "Completed")
        assert [url for url in asked if url.endswith("/v1/calls/live")] == []
        page.clock.resume()
        # Pages are cut by the calls that they begin after, so that none is shown twice.
        page.get_by_role("link", name="Next").click()
        expect(page.locator("tbody tr")).to_have_count(12)
        assert page.locator(CALL_LINK).first.get_attribute("href") == last
        assert visit.complaints == []


@pytest.mark.slow
def test_ten_thousand_calls_are_scrolled_smoothly(browser: Browser, tmp_path: Path):
    """`make smooth`: through twenty pages by the wheel, while calls begin and end all the time."""
    folder = tmp_path / "data"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.dashboard.seed", str(folder), API_KEY, str(MANY)]
    subprocess.run(command, cwd=ROOT, check=True, env=dict(os.environ))
    over = threading.Event()

    def come_and_go() -> None:
        for n in range(10_000):
            with caller(server, f"+1415555{n:04}"):
                over.wait(0.5)
            if over.is_set():
                return

    with serving(folder, CHORUS_SIMULATED="1") as server, visiting(browser, server) as visit:
        number_of(server)
        page = visit.page
        become_owner(visit, server)
        visit.open("/calls")
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(50)
        others = threading.Thread(target=come_and_go)
        others.start()
        try:
            page.mouse.move(600, 500)
            page.evaluate(FRAMES)
            most, turned = 0, list[float]()
            for n in range(PAGES_THROUGH):
                for _ in range(25):
                    page.mouse.wheel(0, 120)
                    page.wait_for_timeout(16)
                most = max(most, page.evaluate("document.querySelectorAll('*').length"))
                if n < PAGES_THROUGH - 1:
                    turned.append(next_page(page))
            frames: list[float] = sorted(page.evaluate("window.frames_ms"))
        finally:
            over.set()
            others.join()
        total = httpx.get(f"{server.url}/v1/calls?limit=1", headers=server.headers).json()
        assert total["pagination"]["total"] >= MANY  # it is not counted further
        assert visit.complaints == []
    at = {each: round(frames[int(len(frames) * each / 100)], 1) for each in (50, 95, 99)}
    late = sum(each > SMOOTH_MS for each in frames) / len(frames)
    print(
        f"\n{total['pagination']['total']} calls: "
        f"frames p50 {at[50]} p95 {at[95]} p99 {at[99]} ms, {late:.1%} later than {SMOOTH_MS} ms; "
        f"{most} elements at most; "
        f"to the next page p50 {sorted(turned)[len(turned) // 2]:.0f} ms"
    )
    assert most < MOST_ELEMENTS
    assert at[95] < 5 * SMOOTH_MS


def next_page(page: Page) -> float:
    """Milliseconds until its calls are there."""
    return page.evaluate(
        """() => new Promise((done) => {
          const next = [...document.querySelectorAll(".pages a")].at(-1);
          const before = document.querySelector("tbody tr a").href;
          const began = performance.now();
          next.click();
          const look = () => {
            if (document.querySelector("tbody tr a")?.href === before) requestAnimationFrame(look);
            else { window.scrollTo(0, 0); done(performance.now() - began); }
          };
          look();
        })"""
    )
