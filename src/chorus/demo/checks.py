"""Whether a call of the demo reached its goal, from what both of its sides saw.

What the platform says of itself (record, timeline) is held against what the carrier measured
and what is in the recording. Every check can fail; a failed one says what was expected and what
was there instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chorus.demo.carrier.person import Say
from chorus.demo.carrier.sound import said as sound_of
from chorus.demo.perform import Performance, is_said, plain
from chorus.demo.sound import Recorded, audible_ms, find, onset_ms, quiet_after_ms
from chorus.demo.story import COUGH_MS

# A person who is interrupted falls silent in less than this.
STOP_LIMIT_MS = 1000
# Between the clauses of what the agent says there is less silence than this.
GAP_MS = 500
# How much of the time after the cough the agent must be heard; it may pause for a second.
TALKS_ON_MS = 500
FRAME_MS = 20


@dataclass(frozen=True, slots=True)
class Check:
    """`expected` and `got` are for people."""

    name: str
    passed: bool
    expected: str
    got: str


def check(performance: Performance, recorded: Recorded | None) -> list[Check]:
    """All checks of one call."""
    return [
        *_ended(performance),
        *_understood(performance),
        *_spoken(performance),
        *_interruption(performance),
        *_latencies(performance),
        *_recording(performance, recorded),
    ]


def check_order(order: dict[str, Any]) -> Check:
    """What the shop knows in the end: the tools' effects."""
    expected = {"day": "saturday", "place": "behind the house"}
    got = {name: order.get(name) for name in expected}
    return Check("the shop's books hold both changes", got == expected, str(expected), str(got))


def check_network(strangers: set[str]) -> Check:
    got = ", ".join(sorted(strangers)) or "nobody else"
    return Check("nobody was talked to but this machine", not strangers, "nobody else", got)


def _ended(performance: Performance) -> Iterator[Check]:
    call = performance.call
    yield _equal("the call was completed", "completed", call.get("status"))
    yield _equal("the agent ended it", "agent_ended", call.get("endedReason"))
    yield _equal("its direction is right", performance.story.direction, call.get("direction"))
    transcript: list[dict[str, str]] = call.get("transcript") or [{}]
    goodbye = performance.story.goodbye
    yield _equal("its goodbye was heard to the end", goodbye, transcript[-1].get("content"))
    last = find(performance.said, performance.spoken.get(performance.story.lines[-1].name, b""))
    after = performance.heard[last:] if last is not None else b""
    yield _sounds("the carrier played the goodbye", 700, audible_ms(after))


def _understood(performance: Performance) -> Iterator[Check]:
    for line in performance.story.lines:
        expected = plain(line.text)
        lines = _transcript(performance, "user")
        understood = [plain(x) for x in lines]
        times = performance.times_said.get(line.name, 0)
        got = f"{' / '.join(understood) or 'nothing'} (it was said {times} times)"
        yield Check(
            f'"{line.text}" was understood',
            any(is_said(line.text, x) for x in lines),
            expected,
            got,
        )


def _spoken(performance: Performance) -> Iterator[Check]:
    text = " / ".join(_transcript(performance, "assistant"))
    for words, reason in performance.story.spoken:
        expected = f'the agent says "{words}"'
        yield Check(reason, plain(words) in plain(text), expected, text or "it said nothing")


def _interruption(performance: Performance) -> Iterator[Check]:
    """What was heard while a person coughed over the agent and then talked over it."""
    line = performance.story.interruption
    by = [e for e in performance.events if e["kind"] == "interrupted"]
    yield _equal("the agent was interrupted as often as meant", 1 if line else 0, len(by))
    if line is None:
        return
    audio = performance.spoken.get(line.name, b"")
    cough = sound_of(Say(sound="cough", ms=COUGH_MS))
    coughed, began = find(performance.said, cough), find(performance.said, audio)
    if coughed is None or began is None:
        got = "no cough" if coughed is None else "no interruption"
        yield Check("the person coughed and interrupted", False, "both were sent", got)
        return
    between = performance.heard[coughed + len(cough) : began]
    yield _sounds("a cough did not stop the agent", TALKS_ON_MS, audible_ms(between))
    spoke = began + onset_ms(audio) * 8
    quiet_ms = quiet_after_ms(performance.heard[spoke:], GAP_MS)
    yield Check(
        "talking over the agent stopped it",
        quiet_ms is not None and quiet_ms <= STOP_LIMIT_MS,
        f"silence within {STOP_LIMIT_MS} ms of the first sound, at the carrier",
        "it talked on" if quiet_ms is None else f"{quiet_ms} ms",
    )
    heard = [e["data"] for e in performance.events if e["kind"] == "reply_heard"]
    unsaid = " / ".join(x.get("unsaid", "") for x in heard if x.get("interrupted"))
    words = plain(performance.story.unheard)
    yield Check(
        "what was not heard is kept apart",
        words in plain(unsaid) and words not in plain(" ".join(_transcript(performance))),
        f'"{words}" is not in the transcript, but among what was left unsaid',
        f"unsaid: {unsaid or 'nothing'}",
    )


def _latencies(performance: Performance) -> Iterator[Check]:
    turns: list[dict[str, Any]] = performance.call.get("turns") or []
    answered = [turn for turn in turns if turn.get("sentMs") is not None]
    lines = len(performance.story.lines)
    name = "each turn has its latencies"
    yield Check(name, len(answered) >= lines, f"{lines} turns", f"{len(answered)} turns")


def _recording(performance: Performance, recorded: Recorded | None) -> Iterator[Check]:
    if recorded is None:
        yield Check("there is a recording", False, "a stereo file", "none that can be read")
        return
    over = [e for e in performance.events if e["kind"] == "status_changed"]
    call_ms = over[-1]["atMs"] if over else 0
    yield Check(
        "the recording is as long as the call",
        abs(recorded.duration_ms - call_ms) <= FRAME_MS,
        f"{call_ms} ms, a frame ({FRAME_MS} ms) more or less",
        f"{recorded.duration_ms:.0f} ms",
    )
    yield _sounds("the caller is on its left", 1000, recorded.caller_loud_ms)
    yield _sounds("the agent is on its right", 1000, recorded.agent_loud_ms)


def _transcript(performance: Performance, role: str | None = None) -> list[str]:
    entries: list[dict[str, str]] = performance.call.get("transcript") or []
    return [entry["content"] for entry in entries if role in (None, entry["role"])]


def _equal(name: str, expected: Any, got: Any) -> Check:
    return Check(name, expected == got, str(expected), str(got))


def _sounds(name: str, expected: float, got: float) -> Check:
    return Check(name, got >= expected, f"{expected:.0f} ms of sound or more", f"{got:.0f} ms")
