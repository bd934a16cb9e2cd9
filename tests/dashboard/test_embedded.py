"""`<chorus-call>` in a page of another origin, in a real browser with a recorded microphone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.dashboard.browser import BUILT, WAIT_MS, microphone, needed, visiting
from tests.dashboard.test_talk import recording
from tests.fakes.server import Server, serving

pytestmark = [
    *needed,
    pytest.mark.skipif(
        not (BUILT.parent / "embed" / "element.js").exists(), reason="it is not built (make setup)"
    ),
]

SCRIPT = """You take reservations.

script:
when caller says "book a table": say "For how many people?"
otherwise: say "Sorry?"
"""
NAME = "Bistro <img src=x onerror=window.hacked=1>"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A shop</title><h1>A shop</h1>
<chorus-call token="{token}" transcript text-agent="{agent}"></chorus-call>
<script type="module" src="{server}/embed/element.js"></script></html>"""


class Site(BaseHTTPRequestHandler):
    """Somebody's web server: one page, with the strict policy that the documentation names."""

    def __init__(self, pages: list[str], server: str, *more: Any) -> None:
        self._pages, self._server = pages, server
        super().__init__(*more)

    def do_GET(self) -> None:
        body = self._pages[-1].encode()
        socket = self._server.replace("http", "ws", 1)
        policy = (
            f"default-src 'none'; script-src {self._server}; "
            f"connect-src {self._server} {socket}; img-src 'self'"
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with microphone(tmp_path_factory.mktemp("microphone"), recording()) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("embedded") / "data") as running:
        yield running


class Shop:
    """A site with the element in its page, and the token in that."""

    def __init__(self, server: Server) -> None:
        self._http = server.client()
        pages: list[str] = []
        site = partial(Site, pages, server.url)
        self._site = ThreadingHTTPServer(("127.0.0.1", 0), site)
        port = self._site.server_address[1]
        self.origin = f"http://127.0.0.1:{port}"
        """That of the token."""
        self.elsewhere = f"http://localhost:{port}"
        """The same page at another origin."""
        model = self._http.get("/v1/slm-models?search=script").json()["data"][0]["id"]
        agent: dict[str, Any] = {"name": "Bistro", "systemPrompt": SCRIPT, "slmModelId": model}
        agent |= {"firstSpeaker": "agent", "agentGreetingEnabled": True}
        agent["agentGreeting"] = "Hello."
        id = self.made("/v1/agents", agent)["id"]
        wish = {"agentId": id, "name": "Shop", "origins": [self.origin]}
        self.token = self.made("/v1/publishable-tokens", wish)
        pages.append(PAGE.format(token=self.token["token"], agent=escape(NAME), server=server.url))
        threading.Thread(target=self._site.serve_forever, daemon=True).start()

    def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    def limit(self, **limits: int) -> None:
        answer = self._http.patch(f"/v1/publishable-tokens/{self.token['id']}", json=limits)
        assert answer.status_code == 200, answer.text

    def revoke(self, *, end_calls: bool) -> None:
        path = f"/v1/publishable-tokens/{self.token['id']}?endCalls={str(end_calls).lower()}"
        assert self._http.delete(path).json()["data"]["endedCalls"] == 1

    def calls(self) -> list[dict[str, Any]]:
        return self._http.get("/v1/calls").json()["data"]

    def close(self) -> None:
        self._site.shutdown()
        self._site.server_close()
        self._http.close()


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    made = Shop(server)
    yield made
    made.close()


def says(page: Page, text: str) -> None:
    expect(page.get_by_role("status")).to_have_text(text, timeout=WAIT_MS)


def test_a_page_of_another_origin_talks_and_is_told_what_stops_it(
    browser: Browser, server: Server, shop: Shop
):
    with visiting(browser, server, permissions=["microphone"]) as visit:
        page = visit.page
        page.goto(shop.elsewhere)
        page.get_by_role("button", name="Talk to us").click()
        says(page, "This page may not make calls.")
        assert shop.calls() == []

        # With the keyboard alone.
        page.goto(shop.origin)
        page.get_by_role("button", name="Talk to us").focus()
        page.keyboard.press("Enter")
        says(page, "Connected")
        expect(page.get_by_role("button", name="Hang up")).to_be_focused()
        said = page.get_by_role("log", name="What was said")
        expect(said).to_contain_text(f"{NAME}: Hello.")
        expect(said).to_contain_text("ook a table")
        expect(said).to_contain_text(f"{NAME}: For how many people?")
        assert page.evaluate("window.hacked") is None
        page.get_by_role("button", name="Mute").click()
        unmute = page.get_by_role("button", name="Unmute")
        expect(unmute).to_have_attribute("aria-pressed", "true")
        assert visit.complaints == []  # the page's policy stopped nothing
        [call] = shop.calls()
        assert (call["provider"], call["status"]) == ("browser", "in_progress")

        # A second page while one call is all there may be, and then within the hour.
        other = page.context.new_page()
        other.goto(shop.origin)
        shop.limit(maxCalls=1)
        other.get_by_role("button", name="Talk to us").click()
        says(other, "All lines are busy. Please try again in a moment.")
        shop.limit(maxCallsPerHour=1)
        other.get_by_role("button", name="Call again").click()
        says(other, "There were too many calls. Please try again later.")

        shop.revoke(end_calls=True)
        says(page, "The call is over.")
        page.get_by_role("button", name="Call again").click()
        says(page, "Calls from this page have been switched off.")
        # The call that was muted is over: the next one began with the microphone on, and says so.
        mute = page.locator("chorus-call .mute")
        expect(mute).to_have_attribute("aria-pressed", "false")
        expect(mute).to_have_text("Mute")
        assert [each["endedReason"] for each in shop.calls()] == ["operator_ended"]
