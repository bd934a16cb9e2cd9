"""Every check of the demo's handing over passes for one that went well, and fails for another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.demo.test_checks import quiet, tone

from chorus.demo.handover import ANNA_SAYS, ASKS, REASON, Handover, check_handover
from chorus.demo.sound import Recorded

RECORDED = Recorded(Path("call.wav"), 2, 12_010.0, 4000.0, 6000.0)
STATES = ("initiated", "ringing", "briefing", "connected", "completed")


def good() -> Handover:
    both = {
        "status": "completed",
        "transferType": "warm_briefing",
        "transferStatus": "completed",
        "cost": 0.004,
        "durationSeconds": 12,
    }
    first = both | {
        "id": "one",
        "parentCallId": None,
        "endedReason": "transferred",
        "transferCalls": [{"id": "two"}],
        "transcript": [{"role": "user", "content": f"{ASKS} {ANNA_SAYS}".lower()}],
    }
    second = both | {
        "id": "two",
        "parentCallId": "one",
        "transcript": [{"role": "assistant", "content": f"{REASON} To take the call, press one."}],
    }
    events: list[dict[str, Any]] = [{"kind": "hold_started", "atMs": 1, "data": {}}]
    events += [{"kind": f"transfer_{state}", "atMs": 1, "data": {}} for state in STATES]
    sound = quiet(300) + tone(2000)
    return Handover(first, second, events, sound, sound, sound)


def failed(handover: Handover, *recorded: Recorded | None) -> list[str]:
    files = recorded or (RECORDED, RECORDED)
    return [each.name for each in check_handover(handover, files) if not each.passed]


def test_one_that_went_well_passes() -> None:
    assert failed(good()) == []


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(f"{ASKS} {ASKS} {ANNA_SAYS}", id="asked twice"),
        pytest.param(f"{ASKS} for calling {ANNA_SAYS}", id="half of it at first"),
        pytest.param(f"{ASKS} {ANNA_SAYS} {ANNA_SAYS}", id="answered twice"),
        pytest.param(f"I would like to speak with a gardener. {ANNA_SAYS}.", id="another article"),
    ],
)
def test_what_was_said_twice_passes(words: str) -> None:
    handover = good()
    spoken(words)(handover)
    assert failed(handover) == []


def first(**facts: Any) -> Callable[[Handover], None]:
    return lambda handover: handover.first.update(facts)


def second(**facts: Any) -> Callable[[Handover], None]:
    return lambda handover: handover.second.update(facts)


def spoken(words: str) -> Callable[[Handover], None]:
    return first(transcript=[{"role": "user", "content": words}])


def silent(name: str) -> Callable[[Handover], None]:
    return lambda handover: setattr(handover, name, quiet(3000))


def declined(handover: Handover) -> None:
    handover.events[-2]["kind"] = "transfer_declined"


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (declined, "the transfer went through its states"),
        (first(status="failed"), "the first call tells of the transfer"),
        (second(transferStatus="failed"), "the second call tells of the transfer"),
        (first(cost=None), "the first call has its price"),
        (second(cost=None), "the second call has its price"),
        (first(endedReason="customer_ended"), "the first call ended as transferred"),
        (second(parentCallId=None), "the second call names its parent"),
        (first(transferCalls=[]), "the first call names the second"),
        (second(transcript=[]), "Tom was told who waits"),
        (spoken("Hello?"), "Anna was understood"),
        (spoken(ASKS), "the transcript goes on when the two talk"),
        (spoken(f"{ASKS} you are calling"), "the transcript goes on when the two talk"),
        (silent("on_hold"), "Anna heard music on hold"),
        (silent("anna_heard"), "Anna heard Tom"),
        (silent("tom_heard"), "Tom heard Anna"),
    ],
)
def test_what_went_wrong_is_found(spoil: Callable[[Handover], None], name: str) -> None:
    handover = good()
    spoil(handover)
    assert failed(handover)[0] == name


@pytest.mark.parametrize(
    ("recorded", "name"),
    [
        ((None, RECORDED), "the first call has a recording"),
        ((RECORDED, replace(RECORDED, duration_ms=9000.0)), "the second call's recording is as"),
        ((replace(RECORDED, agent_loud_ms=0.0), RECORDED), "both sides are in the first call's"),
    ],
)
def test_a_bad_recording_is_found(recorded: tuple[Recorded | None, ...], name: str) -> None:
    [found] = failed(good(), *recorded)
    assert found.startswith(name)
