"""Holds one call of the demo, and keeps what its checks need.

The call is begun (Anna dials, or the API does), the person waits for the greeting, says its
lines, and the agent hangs up. The person goes by what happens and not by the clock: it speaks
when the agent has finished, and once more where it was not understood, as people do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any

from chorus.demo.carrier.client import CarrierCall, CarrierClient
from chorus.demo.carrier.person import HangUp, Person, Say, Step, Wait, WaitAgent, say
from chorus.demo.platform import DemoFailed, Platform
from chorus.demo.story import ANNA_NUMBER, COUGH_MS, SHOP_NUMBER, ScriptedLine, Story
from chorus.demo.watch import Event, Watch

RING_MS = 800
# As people do: a moment after the agent has finished.
BEFORE_SPEAKING_MS = 150
# Longer than the end of a turn of which nothing was understood may take.
ANSWER_TIMEOUT_S = 8.0
REPLY_TIMEOUT_S = 30.0
BEGIN_TIMEOUT_S = 20.0
END_TIMEOUT_S = 15.0
TIMES_SAID = 2
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS = {name: str(digit) for digit, name in enumerate(_NAMES)}
_BETWEEN_DIGITS = re.compile(r"(?<=\d) (?=\d)")


@dataclass(slots=True)
class Performance:
    """What happened in one call, as each side saw it. `call`: as the API gives it, with turns;
    `events`: its timeline; `carrier_events`, `figures`, `heard`, `said`: the carrier's side, the
    last two 8 kHz µ-law on one clock; `spoken`: the audio of each line by name; `times_said`:
    how often each was said."""

    story: Story
    call: dict[str, Any]
    events: list[Event] = field(default_factory=list[Event])
    carrier_events: list[Event] = field(default_factory=list[Event])
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    heard: bytes = b""
    said: bytes = b""
    spoken: dict[str, bytes] = field(default_factory=dict[str, bytes])
    times_said: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Stage:
    """What both calls need: the two sides, who answers, and the people's recited lines."""

    platform: Platform
    carrier: CarrierClient
    agents: Mapping[str, str]
    number_id: str
    recited: Mapping[str, bytes]


async def perform(
    stage: Stage,
    story: Story,
    on_event: Callable[[Event], None],
    on_person: Callable[[str], None],
) -> Performance:
    """Hold the call to its end, however it goes; `on_person` is told what the person does that
    is no speech. Raises `DemoFailed` where the call does not begin."""
    at_carrier, call_id = await _begin(stage, story)
    watch = Watch(stage.platform, call_id, on_event)
    spoken = {line.name: stage.recited[line.text] for line in story.lines}
    performance = Performance(story, {"id": call_id}, spoken=spoken)
    async with asyncio.TaskGroup() as group:
        group.create_task(watch.run())
        await _converse(at_carrier, watch, performance, on_person)
        if not await watch.ended(END_TIMEOUT_S):
            await at_carrier.do(HangUp())
            if not await watch.ended(END_TIMEOUT_S):
                raise DemoFailed(f"call {call_id} did not end")
    await at_carrier.wait("call.over", END_TIMEOUT_S)
    performance.call = await stage.platform.call(call_id)
    performance.events = watch.events
    performance.carrier_events = at_carrier.events()
    performance.figures = await at_carrier.look()
    performance.heard = await at_carrier.heard()
    performance.said = await at_carrier.said()
    return performance


async def _begin(stage: Stage, story: Story) -> tuple[CarrierCall, str]:
    """The call at the carrier, with its media stream open, and its id in the API."""
    if story.direction == "inbound":
        at_carrier = await stage.carrier.call(SHOP_NUMBER, ANNA_NUMBER)
        await at_carrier.wait("stream.started", BEGIN_TIMEOUT_S)
        calls = (await stage.platform.get("/calls", direction="inbound"))["data"]
        for call in calls:
            if call["callSid"] == at_carrier.sid:
                return at_carrier, call["id"]
        raise DemoFailed("the API does not list the call that the platform has answered")
    await stage.carrier.expect(ANNA_NUMBER, Person(ring_ms=RING_MS))
    before = len(stage.carrier.events) - 1
    placed = await stage.platform.create(
        "/calls",
        agentId=stage.agents[story.direction],
        phoneNumberId=stage.number_id,
        to=ANNA_NUMBER,
        contextVariables=dict(story.variables),
        metadata={"demo": True},
    )
    began = await stage.carrier.wait("stream.started", BEGIN_TIMEOUT_S, before)
    return stage.carrier.placed(began["call"]), placed["id"]


async def _converse(
    at_carrier: CarrierCall,
    watch: Watch,
    performance: Performance,
    on_person: Callable[[str], None],
) -> None:
    """Say every line; stop where the agent does not understand one, or hangs up."""
    lines = performance.story.lines
    if not await watch.until(_greeted, 0, REPLY_TIMEOUT_S):
        return
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        finish = following is not None and following.manner == "politely"
        for _ in range(TIMES_SAID):
            if watch.over:
                return
            performance.times_said[line.name] = performance.times_said.get(line.name, 0) + 1
            first = performance.times_said[line.name] == 1
            meant = line if first else replace(line, manner="politely")
            audio = performance.spoken[line.name]
            if await _say(at_carrier, watch, meant, audio, finish, on_person):
                break
        else:
            await at_carrier.do(HangUp())
            return


def _manner(line: ScriptedLine) -> tuple[Step, ...]:
    """What the person does before a line."""
    if line.manner == "politely":
        return (Wait(ms=BEFORE_SPEAKING_MS),)
    return (
        WaitAgent(heard_ms=1200),
        Say(sound="cough", ms=COUGH_MS, name="cough"),
        # A cough may make the agent pause; then it goes on after a second.
        Wait(ms=1700),
        WaitAgent(heard_ms=800),
    )


async def _say(
    at_carrier: CarrierCall,
    watch: Watch,
    line: ScriptedLine,
    audio: bytes,
    finish: bool,
    on_person: Callable[[str], None],
) -> bool:
    """Say a line; whether it was understood. With `finish`, listen to the whole answer; an
    answer to something else is heard out in any case."""
    before = at_carrier.events()
    last = before[-1]["n"] if before else -1
    await at_carrier.do(*_manner(line), say(audio, line.name))
    if line.manner == "interrupting":
        await at_carrier.wait("said.began", REPLY_TIMEOUT_S, last, name="cough")
        on_person("coughs")
    await at_carrier.wait("said.began", REPLY_TIMEOUT_S, last, name=line.name)
    after = len(watch.events)
    if line.manner == "interrupting":
        on_person("talks over the agent")
    await at_carrier.wait("said.ended", REPLY_TIMEOUT_S, last, name=line.name)
    understood = False
    while True:
        event = await watch.until(
            _answer, after, REPLY_TIMEOUT_S if understood else ANSWER_TIMEOUT_S
        )
        if event is None:
            return understood
        after = watch.events.index(event) + 1
        if event["kind"] == "reply_heard":
            return understood
        understood = is_said(line.text, event["data"]["text"])
        if understood and not finish:
            return True


def _greeted(event: Event) -> bool:
    return event["kind"] == "reply_heard"


def _answer(event: Event) -> bool:
    """A turn was understood as something, or an answer was heard to its end."""
    data = event["data"]
    if event["kind"] == "reply_heard":
        return data["turn"] is not None and not data.get("interrupted", False)
    return event["kind"] == "turn_committed"


def is_said(line: str, understood: str) -> bool:
    """Whether a line was understood, give or take a word: "I'll" for "I will" is no mistake. Its
    figures must be the same."""
    meant, heard = plain(line).split(), plain(understood).split()
    figures = [[word for word in words if word.isdecimal()] for words in (meant, heard)]
    return figures[0] == figures[1] and _likeness(meant, heard) >= 0.75


def _likeness(meant: list[str], heard: list[str]) -> float:
    return SequenceMatcher(None, meant, heard).ratio()


def behind(line: str, understood: str) -> str | None:
    """What stands behind a line, `plain`, in what may hold more: what was said twice, or what came
    before. None where the line is nowhere in it, give or take a word."""
    words, length = plain(understood).split(), len(plain(line).split())
    starts = range(max(1, len(words) - length + 1))
    places = [at for at in starts if is_said(line, " ".join(words[at : at + length]))]
    if not places:
        return None
    # The words before it with half of the line may pass too: the likest place is meant.
    at = max(places, key=lambda at: _likeness(plain(line).split(), words[at : at + length]))
    return " ".join(words[at + length :])


def plain(text: str) -> str:
    """Words alone, and figures as digits, to compare what was said with what was understood."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return _BETWEEN_DIGITS.sub("", " ".join(_DIGITS.get(word, word) for word in words))
