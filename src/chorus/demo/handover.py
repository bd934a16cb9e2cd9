"""The third call of the demo: Anna asks for a person, and is handed to Tom, who is briefed first.

The agent puts her on hold, telephones Tom, tells him who is waiting, and connects the two when he
presses 1; then it is silent, and they talk. Two calls come of it, each with a record of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chorus.demo.carrier.client import CarrierCall
from chorus.demo.carrier.person import HangUp, Person, Press, Wait, WaitAgent, say
from chorus.demo.checks import FRAME_MS, Check
from chorus.demo.perform import (
    ANSWER_TIMEOUT_S,
    BEFORE_SPEAKING_MS,
    TIMES_SAID,
    Stage,
    behind,
    is_said,
    plain,
)
from chorus.demo.platform import DemoFailed, Platform
from chorus.demo.sound import Recorded, audible_ms
from chorus.demo.story import ANNA_NUMBER, SHOP_NUMBER, Story
from chorus.demo.watch import Event, Watch

TOM_NUMBER = "+14155550142"
TOM = "Tom"
REASON = "Anna has a question about her pear trees."
ASKS = "I would like to speak with the gardener"
TOM_SAYS = "Hello Anna, this is Tom"
ANNA_SAYS = "Thank you very much for calling"
RING_MS = 600
BRIEFED_MS = 2500
"""How much of the briefing Tom hears before he has made up his mind."""
SETTLED_S = 20.0

TARGET = {
    "name": TOM,
    "number": TOM_NUMBER,
    "description": "When the caller wants to speak with the gardener.",
    "type": "warm_briefing",
    "briefing": "{{reason}}",
    "ringTimeoutSeconds": 15,
    "transcribe": True,
}
RULE = f'''when caller says "{ASKS}":
    expect "{ANNA_SAYS}"
    say "One moment please, I am calling him."
    call transfer_to with target = "{TOM}", reason = "{REASON}"
'''
HANDED = Story("Anna is handed to the gardener", "inbound", "", None, (), "", ())
TAKEN = Story("The second call, with the gardener", "outbound", "", None, (), "", ())
LINES = (ASKS, TOM_SAYS, ANNA_SAYS)

# How a turn ends that nobody is to answer: understood, or not.
_TURN_OVER = frozenset({"turn_committed", "turn_dropped"})
_STATES = ["initiated", "ringing", "briefing", "connected", "completed"]


@dataclass(slots=True)
class Handover:
    """What came of it: both calls as the API gives them, the timeline of the first, and what each
    of the two people heard while they were connected, 8 kHz µ-law."""

    first: dict[str, Any]
    second: dict[str, Any]
    events: list[Event] = field(default_factory=list[Event])
    on_hold: bytes = b""
    anna_heard: bytes = b""
    tom_heard: bytes = b""


async def hand_over(
    stage: Stage,
    on_event: Callable[[Event], None],
    on_briefing: Callable[[Event], None],
    on_person: Callable[[str], None],
) -> Handover:
    """From Anna's call to the end of both; `on_briefing` is told of the second call's events.
    Raises `DemoFailed` where the calls do not come to that."""
    takes = Person(
        ring_ms=RING_MS, steps=[WaitAgent(heard_ms=BRIEFED_MS), Press(digits="1"), Wait(ms=300)]
    )
    await stage.carrier.expect(TOM_NUMBER, takes)
    anna = await stage.carrier.call(SHOP_NUMBER, ANNA_NUMBER)
    await anna.wait("stream.started", 20)
    call_id = await _id_of(stage.platform, anna)
    watch = Watch(stage.platform, call_id, on_event)
    async with asyncio.TaskGroup() as group:
        group.create_task(watch.run())
        await _seen(watch, "reply_heard")
        await _ask(stage, anna, watch)
        await _seen(watch, "hold_started")
        held = len(await anna.heard())
        second_id, tom = await _second(stage, call_id)
        second = Watch(stage.platform, second_id, on_briefing)
        group.create_task(second.run())
        await _seen(watch, "transfer_connected")
        on_person("presses 1")
        met = len(await anna.heard()), len(await tom.heard())
        tom_says, anna_says = stage.recited[TOM_SAYS], stage.recited[ANNA_SAYS]
        await tom.do(Wait(ms=BEFORE_SPEAKING_MS), say(tom_says, "tom"))
        await tom.wait("said.ended", 20, name="tom")
        await _answer(anna, anna_says, watch)
        if not (await watch.ended(20) and await second.ended(20)):
            raise DemoFailed(f"call {call_id} did not end")
    first_call, second_call = await _settled(stage.platform, call_id, second_id)
    anna_heard = await anna.heard()
    return Handover(
        first_call,
        second_call,
        watch.events,
        on_hold=anna_heard[held : met[0]],
        anna_heard=anna_heard[met[0] :],
        tom_heard=(await tom.heard())[met[1] :],
    )


async def _id_of(platform: Platform, at_carrier: CarrierCall) -> str:
    for call in (await platform.get("/calls", direction="inbound"))["data"]:
        if call["callSid"] == at_carrier.sid:
            return call["id"]
    raise DemoFailed("the API does not list the call that the platform has answered")


async def _ask(stage: Stage, anna: CarrierCall, watch: Watch) -> None:
    """Twice at most, as people do who are not understood."""
    for _ in range(TIMES_SAID):
        after = len(watch.events)
        await anna.do(Wait(ms=BEFORE_SPEAKING_MS), say(stage.recited[ASKS], "asks"))
        if await watch.until(lambda e: e["kind"] == "tool_called", after, 8):
            return
    raise DemoFailed("the agent did not understand that Anna asks for the gardener")


async def _answer(anna: CarrierCall, says: bytes, watch: Watch) -> None:
    """Anna answers Tom, once more if it was not understood, and hangs up. It is the timeline that
    tells what was understood: a busy machine is late with it."""
    for time in range(TIMES_SAID):
        after = len(watch.events)
        name = f"anna{time}"
        await anna.do(Wait(ms=BEFORE_SPEAKING_MS), say(says, name))
        await anna.wait("said.ended", 20, name=name)
        turn = await watch.until(lambda e: e["kind"] in _TURN_OVER, after, ANSWER_TIMEOUT_S)
        if turn is not None and is_said(ANNA_SAYS, turn["data"].get("text", "")):
            break
    await anna.do(HangUp())


async def _seen(watch: Watch, kind: str) -> None:
    if await watch.until(lambda event: event["kind"] == kind, 0, 30) is None:
        raise DemoFailed(f"call {watch.call_id} came to no {kind}")


async def _second(stage: Stage, call_id: str) -> tuple[str, CarrierCall]:
    """The call to Tom, and the same at the carrier, once he has answered."""
    async with asyncio.timeout(30):
        while True:
            for leg in (await stage.platform.call(call_id))["transferCalls"] or ():
                call = await stage.platform.call(leg["id"])
                if call["status"] == "in_progress":
                    return call["id"], stage.carrier.placed(call["callSid"])
            await asyncio.sleep(0.1)


async def _settled(platform: Platform, *ids: str) -> list[dict[str, Any]]:
    """The calls once what they cost is known, or as they are after a while."""
    deadline_s = asyncio.get_running_loop().time() + SETTLED_S
    while True:
        calls = [await platform.call(id) for id in ids]
        late = asyncio.get_running_loop().time() > deadline_s
        if late or all(call["cost"] is not None for call in calls):
            return calls
        await asyncio.sleep(0.1)


def check_handover(handover: Handover, recorded: Sequence[Recorded | None]) -> list[Check]:
    """All checks of it. `recorded`: of the first call and of the second."""
    return [
        *_records(handover),
        *_heard(handover),
        *_recordings(handover, recorded),
    ]


def _records(handover: Handover) -> Iterator[Check]:
    first, second = handover.first, handover.second
    states = [
        e["kind"].removeprefix("transfer_")
        for e in handover.events
        if e["kind"].startswith("transfer_")
    ]
    yield _same("the transfer went through its states", _STATES, states)
    for name, call in (("first", first), ("second", second)):
        got = (call.get("status"), call.get("transferType"), call.get("transferStatus"))
        expected = ("completed", "warm_briefing", "completed")
        yield _same(f"the {name} call tells of the transfer", expected, got)
        cost = call.get("cost")
        yield Check(f"the {name} call has its price", cost is not None, "an amount", str(cost))
    yield _same("the first call ended as transferred", "transferred", first.get("endedReason"))
    yield _same("the second call names its parent", first.get("id"), second.get("parentCallId"))
    legs = [leg["id"] for leg in first.get("transferCalls") or ()]
    yield _same("the first call names the second", [second.get("id")], legs)
    said = _lines(second, "assistant")
    yield Check(
        "Tom was told who waits",
        any(plain(REASON) in plain(line) for line in said),
        REASON,
        " / ".join(said) or "nothing",
    )


def _heard(handover: Handover) -> Iterator[Check]:
    # What she says on hold, and to Tom, stands in one line with what was there before.
    said = " ".join(_lines(handover.first, "user"))
    after = behind(ASKS, said)
    yield Check("Anna was understood", after is not None, ASKS, said or "nothing")
    yield Check(
        "the transcript goes on when the two talk",
        behind(ANNA_SAYS, after or "") is not None,
        ANNA_SAYS,
        after or "nothing",
    )
    yield _sounds("Anna heard music on hold", 1000, audible_ms(handover.on_hold))
    yield _sounds("Anna heard Tom", 800, audible_ms(handover.anna_heard))
    yield _sounds("Tom heard Anna", 800, audible_ms(handover.tom_heard))


def _recordings(handover: Handover, recorded: Sequence[Recorded | None]) -> Iterator[Check]:
    calls = (handover.first, handover.second)
    for name, call, file in zip(("first", "second"), calls, recorded, strict=True):
        if file is None:
            yield Check(f"the {name} call has a recording", False, "a stereo file", "none")
            continue
        duration_ms = 1000 * (call.get("durationSeconds") or 0)
        yield Check(
            f"the {name} call's recording is as long as it",
            abs(file.duration_ms - duration_ms) <= 500 + FRAME_MS,
            f"{duration_ms} ms, to the second",
            f"{file.duration_ms:.0f} ms",
        )
        quieter_ms = min(file.caller_loud_ms, file.agent_loud_ms)
        yield _sounds(f"both sides are in the {name} call's recording", 800, quieter_ms)


def _lines(call: dict[str, Any], role: str) -> list[str]:
    entries: list[dict[str, str]] = call.get("transcript") or []
    return [entry["content"] for entry in entries if entry["role"] == role]


def _same(name: str, expected: Any, got: Any) -> Check:
    return Check(name, expected == got, str(expected), str(got))


def _sounds(name: str, expected: float, got: float) -> Check:
    return Check(name, got >= expected, f"{expected:.0f} ms of sound or more", f"{got:.0f} ms")
