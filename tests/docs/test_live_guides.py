"""What the guides show of a call that goes on, as it stands on their pages, against real calls.

Who reads them has done the quick start up to its fifth step; so has the shell of this test.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.docs.test_quick_start import GUIDES, PAGE, Place, at_home, bash, blocks
from tests.lines.browser.page import Page

pytestmark = pytest.mark.timeout(180)

LIVE = "While the call is live"
LIVE_CALLS = (GUIDES.parent / "live-calls.md").read_text("utf-8")
MARK = "what the shell knows by now:"
STAYS = {"do": "wait", "ms": 600_000}
TAKES = [{"do": "wait_quiet"}, {"do": "press", "digits": "1"}, {"do": "wait", "ms": 500}]


def guide(name: str) -> str:
    return (GUIDES / f"{name}.md").read_text("utf-8")


def example(language: str, page: str) -> str:
    """The page's only block in this language, or in none."""
    fenced = re.findall(r"^```(.*?)\n(.*?)^```$", page, re.S | re.M)
    [found] = [text for info, text in fenced if info == language]
    return found


@dataclass(frozen=True)
class Reader:
    """A reader's shell, and what else of the server and of the stand-in a test looks at."""

    place: Place
    http: httpx.Client
    known: str
    """What the quick start has the shell know, as commands."""
    agent: str
    """The command that makes the quick start's agent."""

    def types(self, commands: str, **variables: str) -> str:
        """What the commands print."""
        given = "".join(f"{name}={value}\n" for name, value in variables.items())
        return bash(f"{self.known}{given}{self.place.here(commands)}")

    def new_agent(self) -> str:
        """Another one like the quick start's, so that no guide changes another's."""
        return self.types(self.agent).split()[-1]

    def answers(self, number: str, *steps: dict[str, Any]) -> None:
        """Who answers at the stand-in."""
        person = {"number": number, "person": {"steps": steps}}
        httpx.post(f"{self.place.carrier}/control/people", json=person).raise_for_status()

    def is_called(self, agent: str, number: str) -> str:
        """The id of a call to somebody who stays, once it is talked on."""
        self.answers(number, STAYS)
        call = self.types(
            'api $API/calls -d \'{"agentId": "\'$AGENT\'", "phoneNumberId": "\'$NUMBER\'", '
            f'"to": "{number}"}}\' | id_of',
            AGENT=agent,
        ).strip()
        self.until(call, lambda: self.call(call)["status"] == "in_progress")
        return call

    def call(self, id: str) -> dict[str, Any]:
        return self.http.get(f"/v1/calls/{id}").raise_for_status().json()["data"]

    def events(self, id: str, kind: str = "") -> list[dict[str, Any]]:
        """The data of those of this kind; without one, all of them."""
        answer = self.http.get(f"/v1/calls/{id}/events?limit=100").raise_for_status()
        found = answer.json()["data"]
        return [each["data"] for each in found if each["kind"] == kind] if kind else found

    def until(self, id: str, reached: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < deadline, self.events(id)
            time.sleep(0.1)

    def is_rung_up(self) -> tuple[str, str]:
        """A call from somebody who listens, once it is talked on: its id, and where the stand-in
        is told what they do next."""
        calls = f"{self.place.carrier}/control/calls"
        caller = httpx.post(calls, json={"to": "+14155550100", "from": "+14155550199"})
        sid = caller.raise_for_status().json()["sid"]

        def talked_on() -> list[dict[str, Any]]:
            query = {"direction": "inbound", "status": "in_progress"}
            return self.http.get("/v1/calls", params=query).raise_for_status().json()["data"]

        self.until("", talked_on)
        [found] = talked_on()
        return found["id"], f"{calls}/{sid}/steps"

    def ends(self, id: str) -> None:
        self.http.post(f"/v1/calls/{id}/hangup").raise_for_status()
        self.until(id, lambda: self.call(id)["endedAt"])


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("data")
    before, _, _ = PAGE.partition("\n## 6. ")
    commands = blocks(None, before)
    assert commands.pop(0).startswith("git clone")
    [agent] = [block for block in commands if block.startswith("AGENT=")]
    asked = f"echo '{MARK}'; declare -p KEY API TOOL NUMBER CARRIER; declare -f api id_of show\n"
    with at_home(folder, folder / "models") as place, place.server.client() as http:
        said = bash(place.here("\n".join((*commands, asked))))
        yield Reader(place, http, said.partition(f"{MARK}\n")[2], agent)


def test_a_message_is_left_as_the_guide_shows(reader: Reader) -> None:
    page = guide("leave-a-message")
    agent = reader.new_agent()
    [change], [try_it] = blocks(None, page), blocks("With the stand-in of the quick start", page)
    reader.types(change, AGENT=agent)
    said = reader.types(f"{try_it}\necho $CALL", AGENT=agent)
    *shown, recording, id = said.splitlines()
    assert recording.startswith("recording: ")
    # How long it took depends on the voice that the mailbox has.
    lasted = re.compile(r", \d+ s, ")
    expected = example("text", page).splitlines()
    assert [lasted.sub(", ", line) for line in shown] == [lasted.sub(", ", x) for x in expected]
    found, told = reader.call(id)["answeredBy"], json.loads(example("json", page))
    assert (found.keys(), found["who"]) == (told.keys(), told["who"])


def test_keys_are_pressed_as_the_guide_shows(reader: Reader) -> None:
    [press] = blocks(LIVE, guide("menus"))
    call = reader.is_called(reader.new_agent(), "+14155550151")
    answer = json.loads(reader.types(press, CALL=call))
    assert answer == {"data": {"id": call, "accepted": True}}
    reader.until(call, lambda: reader.events(call, "keys_pressed"))
    [pressed] = reader.events(call, "keys_pressed")
    assert pressed == {"keys": "2ww104#", "by": "api"}
    reader.ends(call)


def test_a_caller_is_handed_on_as_the_guide_shows(reader: Reader) -> None:
    """Each of the two requests on a call of its own, both at once."""
    page = guide("transfers")
    [[target], [requests]] = blocks(None, page), blocks(LIVE, page)
    agent = reader.new_agent()
    reader.types(target, AGENT=agent)
    for number in ("+14155550123", "+14155550177"):
        reader.answers(number, *TAKES, {"do": "hang_up"})
    handed: dict[str, tuple[str, str]] = {}
    for n, (request, to) in enumerate(
        zip(
            re.split(r"^(?=api )", requests, flags=re.M)[1:],
            (("warm_briefing", "+14155550123"), ("warm", "+14155550177")),
            strict=True,
        )
    ):
        call = reader.is_called(agent, f"+1415555016{n}")
        assert json.loads(reader.types(request, CALL=call))["data"]["accepted"]
        handed[call] = to
    for call, (type, number) in handed.items():
        reader.until(call, lambda call=call: reader.call(call)["endedAt"])
        shown = reader.call(call)
        assert shown["endedReason"] == "transferred", reader.events(call, "transfer_failed")
        assert (shown["transferType"], shown["transferStatus"]) == (type, "completed")
        [leg] = shown["transferCalls"]
        assert leg["customerNumber"] == number
    desk = json.loads(example("json", page))
    changed = reader.http.patch(f"/v1/agents/{agent}", json={"transferTargets": [desk]})
    [kept] = changed.raise_for_status().json()["data"]["transferTargets"]
    assert desk.items() <= kept.items()


async def test_a_call_is_supervised_and_followed_as_the_page_shows(reader: Reader) -> None:
    joins, talks = blocks(LIVE, LIVE_CALLS)
    call, does = await asyncio.to_thread(reader.is_rung_up)
    granted = json.loads(await asyncio.to_thread(reader.types, joins, CALL=call))
    told = json.loads(example("json", LIVE_CALLS))
    assert (granted.keys(), granted["data"].keys()) == (told.keys(), told["data"].keys())
    grant = granted["data"]
    supervisor = Page(grant | {"callId": grant["id"]})
    try:
        await supervisor.open()
        await supervisor.told("started")
        variables = {"CALL": call, "SUPERVISOR": grant["id"]}
        await asyncio.to_thread(reader.types, talks, **variables)
        await asyncio.to_thread(reader.until, call, lambda: _modes(reader, call))
        assert _modes(reader, call) == ["talk"]
        await asyncio.to_thread(httpx.post, does, json={"steps": [{"do": "hang_up"}]})
        assert (await supervisor.told("ended"))["reason"] == "ended"
    finally:
        await supervisor.close()
    command, *shown = example("", LIVE_CALLS).splitlines()
    follow = command.removeprefix("$ ").replace("curl", "curl -sS", 1)
    url = reader.place.server.url
    lines = await asyncio.to_thread(lambda: reader.types(follow, URL=url, ID=call))
    assert as_shown("\n".join(shown)).fullmatch(lines.strip()), lines


def as_shown(page: str) -> re.Pattern[str]:
    """What a page shows: its ellipses stand for anything, and its times for others."""
    text = re.escape(page).replace("…", ".*").replace('"atMs":0', r'"atMs":\d+')
    return re.compile(text.replace(re.escape("2025-01-31T12:00:00.000Z"), '[^"]*'), re.S)


def _modes(reader: Reader, call: str) -> list[str]:
    return [event["mode"] for event in reader.events(call, "supervisor_mode")]
