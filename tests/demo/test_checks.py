"""Every check of the demo passes for a call that went well, and fails for one that did not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chorus.demo import checks
from chorus.demo.carrier.person import Say
from chorus.demo.carrier.sound import said
from chorus.demo.perform import Performance
from chorus.demo.sound import Recorded
from chorus.demo.story import COUGH_MS, INBOUND, OUTBOUND


def tone(ms: int, salt: int = 0) -> bytes:
    """A sound unlike that of another `salt`."""
    sound = bytearray(said(Say(sound="tone", ms=ms)))
    sound[0] = salt
    return bytes(sound)


def quiet(ms: int) -> bytes:
    return b"\xff" * (ms * 8)


COUGH = said(Say(sound="cough", ms=COUGH_MS))


def inbound() -> Performance:
    """A call as it should be: 2 s of agent, a cough, an interruption 200 ms late, a goodbye."""
    spoken = {line.name: tone(1000, n) for n, line in enumerate(INBOUND.lines)}
    pieces: list[tuple[bytes, bytes]] = [  # said, heard
        (quiet(2000), tone(2000)),
        (spoken["number"], quiet(1000)),
        (quiet(1000), tone(1000)),
        (COUGH, tone(COUGH_MS)),
        (quiet(2000), tone(2000)),
        (spoken["change"], tone(200) + quiet(800)),
        (spoken["day"], quiet(1000)),
        (spoken["goodbye"], quiet(1000)),
        (quiet(1500), quiet(500) + tone(1000)),
    ]
    replies = [
        "You ordered two pear trees. They come on friday, between",
        "Done. They come on saturday now. Anything else?",
        INBOUND.goodbye,
    ]
    transcript = [{"role": "user", "content": line.text.lower()} for line in INBOUND.lines]
    transcript += [{"role": "assistant", "content": text} for text in replies]
    return Performance(
        INBOUND,
        {
            "status": "completed",
            "endedReason": "agent_ended",
            "direction": "inbound",
            "transcript": transcript,
            "turns": [{"turn": n, "sentMs": 300} for n in range(1, 5)],
        },
        events=[
            {"kind": "interrupted", "atMs": 8000, "data": {"by": "speech"}},
            {
                "kind": "reply_heard",
                "atMs": 8000,
                "data": {"interrupted": True, "unsaid": "nine and six. They are heavy."},
            },
            {"kind": "status_changed", "atMs": 12_000, "data": {"status": "completed"}},
        ],
        said=b"".join(piece[0] for piece in pieces),
        heard=b"".join(piece[1] for piece in pieces),
        spoken=spoken,
        times_said={line.name: 1 for line in INBOUND.lines},
    )


RECORDED = Recorded(Path("call.wav"), 2, 12_010.0, 4000.0, 6000.0)


def failed(performance: Performance, recorded: Recorded | None = RECORDED) -> list[str]:
    return [each.name for each in checks.check(performance, recorded) if not each.passed]


def test_a_call_that_went_well_passes() -> None:
    assert failed(inbound()) == []


def call_has(**facts: Any) -> Callable[[Performance], None]:
    return lambda performance: performance.call.update(facts)


def without_line(word: str) -> Callable[[Performance], None]:
    def forget(performance: Performance) -> None:
        kept = [x for x in performance.call["transcript"] if word not in x["content"].lower()]
        performance.call["transcript"] = kept

    return forget


def interrupted_twice(performance: Performance) -> None:
    performance.events.insert(0, copy.deepcopy(performance.events[0]))


def never_interrupted(performance: Performance) -> None:
    del performance.events[0]


def cough_silences(performance: Performance) -> None:
    at = performance.said.find(COUGH) + len(COUGH)
    performance.heard = performance.heard[:at] + quiet(2000) + performance.heard[at + 16_000 :]


def no_cough(performance: Performance) -> None:
    performance.said = performance.said.replace(COUGH, quiet(COUGH_MS))


def talks_on(performance: Performance) -> None:
    at = performance.said.find(performance.spoken["change"])
    performance.heard = performance.heard[:at] + tone(6000)


def stops_late(performance: Performance) -> None:
    at = performance.said.find(performance.spoken["change"])
    heard = performance.heard
    performance.heard = heard[:at] + tone(1400) + quiet(1600) + heard[at + 24_000 :]


def cut_goodbye(performance: Performance) -> None:
    performance.heard = performance.heard[: -700 * 8]


def unheard_in_transcript(performance: Performance) -> None:
    performance.call["transcript"][5]["content"] += " because they are heavy"


def nothing_unsaid(performance: Performance) -> None:
    performance.events[1]["data"]["unsaid"] = ""


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (call_has(status="failed"), "the call was completed"),
        (call_has(endedReason="customer_ended"), "the agent ended it"),
        (call_has(direction="outbound"), "its direction is right"),
        (call_has(turns=[{"turn": 1, "sentMs": 300}]), "each turn has its latencies"),
        (call_has(turns=None), "each turn has its latencies"),
        (without_line("goodbye."), "its goodbye was heard to the end"),
        (without_line("four two seven"), '"The number is four two seven" was understood'),
        (without_line("pear trees"), "the shop answered the look-up"),
        (without_line("saturday now"), "the shop has moved the delivery"),
        (cut_goodbye, "the carrier played the goodbye"),
        (interrupted_twice, "the agent was interrupted as often as meant"),
        (never_interrupted, "the agent was interrupted as often as meant"),
        (no_cough, "the person coughed and interrupted"),
        (cough_silences, "a cough did not stop the agent"),
        (talks_on, "talking over the agent stopped it"),
        (stops_late, "talking over the agent stopped it"),
        (unheard_in_transcript, "what was not heard is kept apart"),
        (nothing_unsaid, "what was not heard is kept apart"),
    ],
)
def test_what_went_wrong_is_found(spoil: Callable[[Performance], None], name: str) -> None:
    performance = inbound()
    spoil(performance)
    assert name in failed(performance)


@pytest.mark.parametrize(
    ("recorded", "name"),
    [
        (None, "there is a recording"),
        (replace(RECORDED, duration_ms=12_030.0), "the recording is as long as the call"),
        (replace(RECORDED, duration_ms=11_970.0), "the recording is as long as the call"),
        (replace(RECORDED, caller_loud_ms=0.0), "the caller is on its left"),
        (replace(RECORDED, agent_loud_ms=0.0), "the agent is on its right"),
    ],
)
def test_a_bad_recording_is_found(recorded: Recorded | None, name: str) -> None:
    assert failed(inbound(), recorded) == [name]


def test_an_empty_record_fails_and_does_not_raise() -> None:
    names = failed(Performance(OUTBOUND, {"id": "x", "transcript": None, "turns": None}), None)
    assert "the call was completed" in names
    assert "there is a recording" in names
    assert "a context variable fills the greeting" in names


def test_the_shops_books() -> None:
    good = {"number": "427", "day": "saturday", "place": "behind the house"}
    assert checks.check_order(good).passed
    assert not checks.check_order(good | {"day": "friday"}).passed
    assert not checks.check_order({"error": "no such order"}).passed


def test_a_stranger_fails() -> None:
    assert checks.check_network(set()).passed
    found = checks.check_network({"203.0.113.9"})
    assert not found.passed
    assert "203.0.113.9" in found.got
