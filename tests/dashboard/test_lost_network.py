"""A call from a page, the audio of which goes to another address than the page came from, over a
network that goes away without a word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.dashboard.browser import become_owner, log_in, microphone, needed, visiting
from tests.dashboard.network import Network, network
from tests.fakes.server import Server, serving

pytestmark = needed

GREETING = (
    "Good evening, and welcome to the bistro on the corner. We are open until eleven tonight, the "
    "kitchen closes at ten, and there are still some tables at the window. How can I help you?"
)
SCRIPT = """You take reservations.

script:
otherwise: say "Sorry?"
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    silence = bytes(2 * 8000 * 60)
    with microphone(tmp_path_factory.mktemp("microphone"), silence) as made:
        yield made


@pytest.fixture(scope="module")
def between() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, between: Network, database: dict[str, str]
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("network") / "data"
    with serving(folder, CHORUS_MEDIA_URL=between.url, **database) as running:
        between.target = running.url
        yield running


def agent(server: Server) -> str:
    with server.client() as http:
        model = http.get("/v1/slm-models?search=script").json()["data"][0]["id"]
        wish: dict[str, Any] = {"name": "Bistro", "systemPrompt": SCRIPT, "slmModelId": model}
        wish |= {"firstSpeaker": "agent", "agentGreetingEnabled": True, "agentGreeting": GREETING}
        return http.post("/v1/agents", json=wish).raise_for_status().json()["data"]["id"]


def test_a_call_goes_on_when_its_network_comes_back(
    browser: Browser, server: Server, between: Network
):
    with visiting(browser, server, permissions=["microphone"]) as visit, server.client() as http:
        page = visit.page
        become_owner(visit, server)
        visit.open(f"/agents/{agent(server)}")
        page.get_by_role("button", name="Talk to it").click()
        status = page.get_by_role("status")
        expect(status.filter(has_text="Connected")).to_be_visible()
        # The agent speaks.
        meter = page.get_by_role("meter", name="Bistro")
        expect(meter).not_to_have_attribute("aria-valuenow", "0")
        assert between.connections == 1
        between.go_away()
        expect(status.filter(has_text="The connection was lost")).to_be_visible()
        between.come_back()
        expect(status.filter(has_text="Connected")).to_be_visible()
        lines = page.get_by_role("list", name="Transcript")
        expect(lines).to_contain_text("How can I help you?")
        assert visit.complaints == []
        page.get_by_role("button", name="Hang up").click()
        expect(page.get_by_text("You have hung up.")).to_be_visible()

        [found] = http.get("/v1/calls?limit=1").json()["data"]
        call = http.get(f"/v1/calls/{found['id']}?wait=20").json()["data"]
        events = http.get(f"/v1/calls/{call['id']}/events?limit=100").json()["data"]
        assert call["endedReason"] == "customer_ended"
        heard = [each["data"] for each in events if each["kind"] == "reply_heard"]
        assert [each["heard"] for each in heard][:1] == [GREETING]
        assert not heard[0].get("unsaid")
        assert between.connections >= 2


def test_a_supervisor_reaches_the_other_address(browser: Browser, server: Server, between: Network):
    with (
        visiting(browser, server, permissions=["microphone"]) as calling,
        visiting(browser, server, permissions=["microphone"]) as watching,
    ):
        caller, member = calling.page, watching.page
        calling.open(f"/agents/{agent(server)}")
        log_in(calling)
        caller.get_by_role("button", name="Talk to it").click()
        expect(caller.get_by_role("status").filter(has_text="Connected")).to_be_visible()
        watching.open("/live")
        log_in(watching)
        member.get_by_role("row").filter(has_text="Bistro").get_by_role("button").click()
        opened = member.get_by_role("region", name="Call of")
        before = between.connections
        opened.get_by_role("button", name="Listen", exact=True).click()
        expect(member.get_by_text("You hear the call; nobody hears you.")).to_be_visible()
        assert between.connections == before + 1
        assert watching.complaints == []
        caller.get_by_role("button", name="Hang up").click()
        expect(caller.get_by_text("You have hung up.")).to_be_visible()
