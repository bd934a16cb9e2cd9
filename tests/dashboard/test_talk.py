"""Talking to an agent from the dashboard, in a real browser whose microphone plays a recording."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Response, Route, expect
from tests.dashboard.browser import become_owner, log_in, microphone, needed, visiting
from tests.fakes.server import Server, serving
from websockets.sync.client import connect

from chorus.audio.codec import decode
from chorus.audio.frame import MULAW_8K
from chorus.demo.voices import recite

pytestmark = needed

SAID = "Book a table"
BEFORE_MS = 6500
"""The greeting takes four seconds."""
NOTES = 14
"""To the model, each a line of the transcript: more than there is room for."""
TO_THE_END = "(list) => list.scrollHeight - list.clientHeight - list.scrollTop"
MOST_SCRIPT_BYTES = 200_000
SCRIPT = """script:
when caller says "book a table":
  call ask_health
  then say "It lives."
otherwise: say "Sorry?"
"""


def recording() -> bytes:
    """Somebody who says their sentence once, after the greeting."""
    words = asyncio.run(recite([SAID]))[SAID]
    silence = MULAW_8K.silence
    return decode(MULAW_8K, silence(BEFORE_MS) + words + silence(60_000))


def made(http: httpx.Client, path: str, wish: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(path, json=wish)
    assert answer.status_code in (201, 202), answer.text
    return answer.json()["data"]


def script_bytes(page: Page) -> int:
    """As they come over the wire, of all scripts that the page has loaded so far."""
    sizes = page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('.js'))"
        ".map((e) => e.encodedBodySize)"
    )
    return sum(sizes)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with microphone(tmp_path_factory.mktemp("microphone"), recording()) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: dict[str, str]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("talk") / "data"
    # With a telephone network, for callers who are not in a browser. A tool asks the server itself.
    more = {"CHORUS_SIMULATED": "1", "CHORUS_ALLOW_PRIVATE_ADDRESSES": "true"}
    with serving(folder, **more, **database) as running:
        yield running


def test_from_the_first_run_to_a_call_that_was_talked(browser: Browser, server: Server):
    with visiting(browser, server, permissions=["microphone"]) as visit:
        page = visit.page
        begun: list[str] = []

        def answered(response: Response) -> None:
            if response.url.endswith("/v1/calls/test"):
                begun.append(response.json()["data"]["callId"])

        page.on("response", answered)
        become_owner(visit, server)
        expect(page.get_by_text("To your first call")).to_be_visible()
        assert script_bytes(page) < MOST_SCRIPT_BYTES
        page.get_by_role("button", name="Make the demo agent").click()
        page.get_by_role("heading", name="Bistro").wait_for()

        # What is not saved counts: the greeting is another one.
        prompt = page.get_by_role("textbox", name="System prompt")
        prompt.fill(prompt.input_value().replace("good evening", "good day to you"))
        page.get_by_role("button", name="Talk to it").click()
        expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
        lines = page.get_by_role("list", name="Transcript")
        expect(lines).to_contain_text("good day to you")
        expect(lines.locator("li.caller")).to_contain_text("book a table")
        expect(lines).to_contain_text("For how many people?")
        mute = page.get_by_role("button", name="Mute")
        mute.click()
        expect(page.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
        assert visit.problems() == []
        page.get_by_role("button", name="Hang up").click()
        expect(page.get_by_text("You have hung up.")).to_be_visible()

        # The draft is dropped; the call that was talked is there.
        page.get_by_role("button", name="Discard").click()
        page.get_by_role("link", name="See the call").click()
        expect(page.get_by_role("region", name="Transcript")).to_contain_text(
            "For how many people?"
        )
        assert visit.complaints == []

        [id] = begun
        with server.client() as http:
            call = http.get(f"/v1/calls/{id}").json()["data"]
            assert (call["provider"], call["status"]) == ("browser", "completed")
            assert call["endedReason"] == "customer_ended"
            kinds = http.get(f"/v1/calls/{id}/events?limit=100").json()["data"]
        heard = [e["data"] for e in kinds if e["kind"] == "reply_heard"]
        assert [h["heard"] for h in heard] == [
            "Chorus Bistro, good day to you. How can I help?",
            "With pleasure. For how many people?",
        ], json.dumps(heard)
        assert httpx.get(f"{server.url}/healthz").json()["calls"] == 0


def test_what_keeps_a_call_from_beginning_is_said(browser: Browser, server: Server):
    with visiting(browser, server) as visit:  # nobody has allowed the microphone
        page = visit.page
        with server.client() as http:
            agents = http.get("/v1/agents").json()["data"]
            before = http.get("/v1/calls").json()["pagination"]["total"]
        visit.open(f"/agents/{agents[0]['id']}")
        log_in(visit)
        page.get_by_role("button", name="Talk to it").click()
        expect(page.get_by_role("alert")).to_contain_text("The microphone was not allowed")
        with server.client() as http:
            assert http.get("/v1/calls").json()["pagination"]["total"] == before

        # Without any sound, the chat has the same mind.
        page.get_by_role("tab", name="Chat").click()
        message = page.get_by_role("textbox", name="Message")
        message.fill("Can I reserve for tonight?")
        message.press("Enter")
        expect(page.get_by_role("list", name="Chat")).to_contain_text("For how many people?")
        message.fill("for four")
        message.press("Enter")
        expect(page.get_by_role("list", name="Chat")).to_contain_text("A table for 4")
        assert visit.problems() == []
        assert visit.complaints == []


def test_a_live_call_is_listened_to_taken_over_and_handed_back(browser: Browser, server: Server):
    """The caller in one browser, the member in another, from the page of all live calls."""
    with (
        visiting(browser, server, permissions=["microphone"]) as calling,
        visiting(browser, server, permissions=["microphone"]) as watching,
        server.client() as http,
    ):
        member, caller = watching.page, calling.page
        watching.open("/live")
        log_in(watching)
        expect(member.get_by_text("No call at the moment")).to_be_visible()

        agent = http.get("/v1/agents").json()["data"][0]["id"]
        calling.open(f"/agents/{agent}")
        log_in(calling)
        asked: list[str] = []
        member.on("request", lambda request: asked.append(request.url))
        caller.get_by_role("button", name="Talk to it").click()
        expect(caller.get_by_role("list", name="Transcript")).to_contain_text("good evening")

        # It comes by itself, with what is said.
        row = member.get_by_role("row").filter(has_text="Bistro")
        expect(row).to_contain_text("How can I help?")
        assert watching.problems() == []
        row.get_by_role("button").click()
        opened = member.get_by_role("region", name="Call of")
        transcript = opened.get_by_role("region", name="Transcript")
        expect(transcript).to_contain_text("good evening")
        [call] = http.get("/v1/calls/live").json()["data"]["calls"]
        # A button is in its place before the sound is there, and whatever is told meanwhile: a
        # press that begins on it and ends beside it is none.
        held: list[Route] = []
        member.route("**/supervisors", lambda route: held.append(route))
        opened.get_by_role("button", name="Listen", exact=True).click()
        over = opened.get_by_role("button", name="Take over")
        expect(over).to_be_disabled()
        place = over.bounding_box()
        assert place is not None
        while not held:
            member.wait_for_timeout(20)
        held[0].continue_()
        expect(member.get_by_text("You hear the call; nobody hears you.")).to_be_visible()
        expect(over).to_be_enabled()
        member.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        member.mouse.down()
        for n in range(NOTES):
            wish = {"text": f"Note {n}."}
            http.post(f"/v1/calls/{call['id']}/inject", json=wish).raise_for_status()
        expect(transcript).to_contain_text(f"Note {NOTES - 1}.")
        assert over.bounding_box() == place
        member.mouse.up()
        expect(member.get_by_text("You speak with the caller")).to_be_visible()
        # The transcript has gone on by itself, to its end.
        assert transcript.get_by_role("list").evaluate(TO_THE_END) < 5
        expect(row).to_contain_text("Taken over")
        assert watching.problems() == []
        opened.get_by_role("button", name="Hand back").click()
        expect(member.get_by_text("You hear the call; nobody hears you.")).to_be_visible()
        expect(transcript).to_contain_text("A member")
        expect(row).not_to_contain_text("Taken over")
        opened.get_by_role("button", name="Stop listening").click()
        expect(transcript).to_contain_text("A member stopped listening")
        opened.get_by_role("button", name="End call").click()
        member.get_by_role("alertdialog").get_by_role("button", name="End call").click()
        expect(caller.get_by_role("button", name="Talk again")).to_be_visible()
        expect(opened).to_contain_text("This call is over")
        expect(row).to_have_count(0)
        events = http.get(f"/v1/calls/{call['id']}/events?limit=100").json()["data"]
        modes = [each["data"]["mode"] for each in events if each["kind"] == "supervisor_mode"]
        assert modes == ["talk", "listen"]
        # One stream for all of it: it was not asked for a second time.
        assert [url for url in asked if url.endswith("/v1/calls/live")] == []
        assert watching.complaints == []
        assert calling.complaints == []


def test_a_talk_shows_what_happens_behind_it(browser: Browser, server: Server):
    with (
        visiting(browser, server, permissions=["microphone"]) as visit,
        server.client() as http,
    ):
        page = visit.page
        config = {"method": "GET", "url": f"{server.url}/healthz"}
        tool = {"name": "ask_health", "description": "Asks.", "config": config}
        tool_id = made(http, "/v1/tools", tool)["id"]
        base = made(http, "/v1/knowledge-bases", {"name": "Hours"})["id"]
        text = "Whoever wants to book a table calls before ten.\n\n" + "The sea is blue. " * 900
        documents = f"/v1/knowledge-bases/{base}/documents"
        document = made(http, documents, {"name": "Tables", "text": text})
        deadline = time.monotonic() + 60
        while http.get(f"{documents}/{document['id']}").json()["data"]["status"] != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        model = http.get("/v1/slm-models?search=script").json()["data"][0]["id"]
        wish = {"name": "Host", "systemPrompt": SCRIPT, "slmModelId": model}
        wish |= {"agentGreeting": "Hello.", "toolIds": [tool_id], "knowledgeBaseIds": [base]}
        visit.open(f"/agents/{made(http, '/v1/agents', wish)['id']}")
        log_in(visit)
        page.get_by_role("button", name="Talk to it").click()
        lines = page.get_by_role("list", name="Transcript")
        expect(lines.locator("li.caller")).to_contain_text("book a table")
        called = lines.get_by_role("group").filter(has_text="ask_health")
        called.locator("summary").click()
        expect(called).to_contain_text("loopLagMs")
        expect(lines).to_contain_text("It lives.")
        # Where the machine is busy the answer does not wait for it, and the page says so.
        found = re.compile("Tables|Not all answered in time")
        expect(lines.get_by_role("listitem").filter(has_text="Looked up")).to_contain_text(found)
        expect(lines.locator("li.agent .chip")).to_contain_text("ms")
        assert visit.problems() == []
        page.get_by_role("button", name="Hang up").click()
        expect(page.get_by_text("You have hung up.")).to_be_visible()
        assert visit.complaints == []


def test_a_member_hands_a_caller_to_a_person(browser: Browser, server: Server):
    """To one of the agent's targets, who is busy; and to a number that is typed."""
    ours, sales = "+14155550100", {"name": "Sales", "number": "+14155550101"}
    busy = {"stage": "busy"}
    with visiting(browser, server) as visit, server.client() as http:
        page = visit.page
        agent = {"name": "Desk", "agentGreeting": "Good day.", "transferTargets": [sales]}
        made = http.post("/v1/agents", json=agent).raise_for_status().json()["data"]
        number = {"number": ours, "provider": "loopback", "agentId": made["id"]}
        http.post("/v1/phone-numbers", json=number).raise_for_status()
        rang = http.post("/loopback/calls", json={"from": "+14155550199", "to": ours}).json()
        # Nobody reads what the caller hears.
        with connect(f"{server.ws_url}{rang['mediaPath']}", max_queue=None) as caller:
            caller.send(json.dumps({"event": "start", "legId": rang["legId"]}))
            visit.open(f"/live?call={rang['callId']}")
            log_in(visit)
            controls = page.get_by_role("region", name="Steer the call")
            said = page.get_by_role("region", name="Transcript")

            controls.get_by_role("button", name="Transfer").click()
            asked = page.get_by_role("dialog")
            expect(asked.get_by_role("button", name="To whom")).to_contain_text("Sales")
            assert visit.problems() == []
            asked.get_by_role("button", name="Transfer").click()
            expect(asked).to_have_count(0)
            [rings] = http.get("/loopback/ringing", params={"to": sales["number"]}).json()
            http.post(f"/loopback/legs/{rings['legId']}", json=busy).raise_for_status()
            expect(said).to_contain_text("busy")

            controls.get_by_role("button", name="Transfer").click()
            asked.get_by_role("button", name="To whom").click()
            page.get_by_role("option", name="Another number").click()
            typed = asked.get_by_role("textbox", name="Number")
            typed.fill("+12")
            asked.get_by_role("button", name="Transfer").click()
            expect(asked.get_by_role("alert").first).to_contain_text("not a phone number")
            typed.fill("+14155550177")
            asked.get_by_role("textbox", name="What the person is told").fill("Chairs.")
            asked.get_by_role("button", name="Transfer").click()
            expect(asked).to_have_count(0)
            [rings] = http.get("/loopback/ringing", params={"to": "+14155550177"}).json()
            assert visit.complaints == []
        [leg, _] = http.get(f"/v1/calls/{rang['callId']}?wait=20").json()["data"]["transferCalls"]
        assert leg["customerNumber"] == sales["number"]
        log = http.get("/v1/audit-log?limit=20").json()["data"]
        handed = [each for each in log if each["action"] == "transferCall"]
        assert [each["resourceId"] for each in handed] == [rang["callId"]] * 2


def test_a_caller_in_a_browser_is_handed_to_a_person(browser: Browser, server: Server):
    """The person is called from the number that the agent answers."""
    sales = {"name": "Sales", "number": "+14155550131"}
    with visiting(browser, server) as visit, server.client() as http:
        page = visit.page
        wish = {"name": "Web", "agentGreeting": "Good day.", "transferTargets": [sales]}
        agent = made(http, "/v1/agents", wish)["id"]
        number = {"number": "+14155550130", "provider": "loopback", "agentId": agent}
        made(http, "/v1/phone-numbers", number)
        begun = made(http, "/v1/calls/test", {"agentId": agent})
        with connect(begun["url"], max_queue=None) as caller:
            start = {"type": "start", "callId": begun["callId"], "token": begun["token"]}
            caller.send(json.dumps(start))
            visit.open(f"/live?call={begun['callId']}")
            log_in(visit)
            page.get_by_role("button", name="Transfer").click()
            asked = page.get_by_role("dialog")
            expect(asked.get_by_role("button", name="To whom")).to_contain_text("Sales")
            asked.get_by_role("button", name="Transfer").click()
            expect(asked).to_have_count(0)
            [rings] = http.get("/loopback/ringing", params={"to": sales["number"]}).json()
            assert rings["from"] == number["number"]
        assert visit.complaints == []
