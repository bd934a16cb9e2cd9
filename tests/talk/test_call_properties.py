"""Whatever people, networks and vendors do, a call ends well and its record is true."""

from __future__ import annotations

import asyncio
import random
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn, FakeTranscriber, FakeVoice
from tests.fakes.stage import BOOK, LOOK_UP, Result, Stage, Tools, agent, play
from tests.talk.test_call_sound import loud_ms, sides

from chorus.lines.loopback.line import Weather
from chorus.llm.model import ModelFailed, Prompt, ToolCall
from chorus.outbound import OutboundFailed
from chorus.speech.engines import EngineFailed

STEPS = st.one_of(
    st.tuples(st.just("says"), st.integers(60, 2500)),
    st.tuples(st.just("noise"), st.integers(40, 1500)),
    st.tuples(st.just("waits"), st.integers(10, 5000)),
    st.tuples(st.just("key"), st.integers(0, 9)),
    st.tuples(st.just("whispers"), st.integers(0, 300)),
    st.tuples(st.just("operator says"), st.integers(0, 300)),
    st.tuples(st.just("operator notes"), st.integers(0, 300)),
    st.tuples(st.just("stream lost"), st.integers(0, 300)),
)

# Somebody says something, and is heard again while the answer is made, or given.
AFTERWARDS = {"then coughs": None, "then hums": "mm-hm", "then agrees": "yes"}
REPLIED_TO = st.tuples(st.sampled_from(sorted(AFTERWARDS)), st.integers(100, 4000))

REASONS = {
    "customer_ended": "completed",
    "operator_ended": "completed",
    "agent_ended": "completed",
    "max_duration": "completed",
    "provider_error": "failed",
}


class Whims:
    """Vendors that are slow, broken and strange, the same for equal seeds."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def answer(self, prompt: Prompt) -> Scripted:
        pick = self._chance.random()
        first_ms = self._chance.choice([20, 200, 900])
        text = "Well, this is what there is to say. " * self._chance.randint(0, 3)
        if pick < 0.1:
            error = ModelFailed("fake", "overloaded")
            return Scripted(text, first_ms=first_ms, error=error, error_after=None)
        if pick < 0.35 and prompt.messages and prompt.messages[-1].role != "tool":
            calls = [
                ToolCall(f"{len(prompt.messages)}-{n}", name, "{}")
                for n, name in enumerate(self._chance.choices(["look_up", "book", "dance"], k=2))
            ]
            return Scripted(text, *calls, first_ms=first_ms)
        if pick < 0.4:
            return Scripted(text, ToolCall("bye", "end_call", "{}"), first_ms=first_ms)
        return Scripted(text, first_ms=first_ms)

    def verdict(self) -> float | Exception | None:
        return self._chance.choice([1.0, 1.0, 0.0, EngineFailed("fake", "run", "broken"), None])

    def tools(self) -> Tools:
        choices: list[tuple[Any, int]] = [({"ok": 1}, 200), ({}, 500), (OutboundFailed("gone"), 0)]
        tools = Tools()
        for name in ("look_up", "book"):
            body, status = self._chance.choice(choices)
            tools.set(name, body, ms=self._chance.choice([10, 1500, 6000]), status=status)
        return tools


def said_again(result: Result) -> int:
    """How often the operator's words were interrupted before they were heard."""
    happened = result.timeline.happenings
    return sum(
        one.kind == "interrupted"
        and other.kind == "reply_heard"
        and not other.data["heard"]
        and other.data.get("unsaid", "").startswith("Operator")
        for one, other in pairwise(happened)
    )


@given(
    steps=st.lists(STEPS, max_size=12),
    end=st.sampled_from(["hangs up", "operator", "drops", "waits"]),
    seed=st.integers(0, 10_000),
    greets=st.sampled_from([None, "Good day, how can I help you?", "model"]),
    uninterruptible=st.booleans(),
    bad_network=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_call_ends_well(
    steps: list[tuple[str, int]],
    end: str,
    seed: int,
    greets: str | None,
    uninterruptible: bool,
    bad_network: bool,
) -> None:
    async def scene(stage: Stage) -> None:
        person = stage.person
        for number, (deed, n) in enumerate(steps):
            if deed == "says":
                await person.says(f"word{number} and more", n)
            elif deed == "noise":
                await person.says(None, n)
            elif deed == "key":
                person.press(str(n))
                await person.waits(50)
            elif deed == "whispers" and stage.transcriber.streams:
                stage.transcriber.hear(f"whisper{number}", final=n > 100)
            elif deed == "operator says":
                stage.call.say(f"Operator {number}.")
            elif deed == "operator notes":
                stage.call.advise(f"Note {number}.")
            elif deed == "stream lost" and stage.transcriber.streams:
                stage.transcriber.fail()
            await person.waits(n if deed == "waits" else 20)
            if stage.running.done():
                return
        if end == "hangs up":
            await person.hang_up()
        elif end == "operator":
            stage.call.hang_up()
        elif end == "drops":
            person.line.drop()
        await asyncio.wait({stage.running})

    whims = Whims(seed)
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name, "call.wav")
    result = play(
        scene,
        agent=agent(
            tools=(LOOK_UP, BOOK),
            first_speaker="agent" if greets else "user",
            greeting=None if greets == "model" else greets,
            first_message_uninterruptible=uninterruptible,
            max_call_duration_s=60,
        ),
        model=FakeModel(whims.answer),
        voice=FakeVoice(
            first_audio_ms=seed % 700,
            marks="words" if seed % 2 == 0 else None,
            fail_at=seed % 60 if seed % 5 == 0 else None,
            speed=1.2 + seed % 4,
        ),
        transcriber=FakeTranscriber(final_after_ms=[50, 300, 1200, None][seed % 4]),
        end_of_turn=FakeEndOfTurn(*[whims.verdict() for _ in range(30)], delay_ms=seed % 300),
        weather=Weather(latency_ms=80, jitter_ms=40, loss=0.05) if bad_network else Weather(),
        tools=whims.tools(),
        recording_path=str(path),
    )
    _, left, right = sides(path)
    folder.cleanup()
    # The recording is as long as the call, and holds what the person heard of the agent.
    assert abs(len(left) * 20 - result.outcome.duration_ms) <= 20
    recorded_ms = sum(end - begin for begin, end in loud_ms(right))
    if not bad_network:
        assert abs(recorded_ms - result.person.speech_ms) <= 20 * (2 + len(loud_ms(right)))

    # `play` has checked that the line is down, streams are closed and no task is left.
    assert REASONS[result.outcome.reason] == result.outcome.status
    line = result.person.near
    assert line.heard_ms <= line.sent_ms + 1e-6
    # What the record says was heard did reach the person: never more sound than arrived.
    heard_ms = sum(h["heardMs"] for h in result.of("reply_heard"))
    arrived_ms = 20 * len(result.person.heard)
    assert heard_ms <= arrived_ms + 20 * len(result.of("reply_heard")) + 200
    # The caller's turns are joined, the agent's replies have words.
    roles = [role for role, _ in result.transcript]
    assert ("user", "user") not in pairwise(roles)
    assert result.outcome.turn_count == roles.count("user")
    # A turn is committed once, or again after it was taken back.
    committed = [c["turn"] for c in result.of("turn_committed")]
    retracted = [r["turn"] for r in result.of("retracted")]
    for turn in set(committed):
        assert committed.count(turn) <= retracted.count(turn) + 1
    # Each reply was paid for once: drafts, other answers, and what was said unasked.
    replies = len(result.of("draft_started")) + sum(
        not c["drafted"] for c in result.of("turn_committed")
    )
    unasked = (
        (greets is not None)
        + len(result.of("operator_said"))
        + len(result.of("unheard"))
        + sum(f["remedy"] == "apology" for f in result.of("engine_failed"))
        + said_again(result)
        + cast("Any", result.stage.call)._talk._conversation.announcer.leaving  # the goodbye
    )
    assert len(result.of("usage")) == replies + unasked
    # Each call of a tool has one result, in the timeline and in every prompt.
    called = sorted(c["id"] for c in result.of("tool_called"))
    assert called == sorted(r["id"] for r in result.of("tool_result"))
    for request in result.stage.model.requests:
        waiting: list[str] = []
        for message in request.prompt.messages:
            if message.role == "tool":
                waiting.remove(message.tool_call_id)
            else:
                assert not waiting
                waiting = [c.id for c in message.tool_calls]
        assert not waiting
    # What was not heard is never shown to a model.
    for heard in result.of("reply_heard"):
        if heard.get("interrupted") and not heard["heard"]:
            assert heard["unsaid"]


@given(
    steps=st.lists(st.one_of(STEPS, REPLIED_TO), max_size=6),
    seed=st.integers(0, 10_000),
    final_ms=st.sampled_from([50, 300, 1200]),
    far=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nobody_is_left_waiting(
    steps: list[tuple[str, int]], seed: int, final_ms: int, far: bool
) -> None:
    """A model that always has something to say, tools that answer, and then twenty seconds of
    silence: the last word is the agent's, however the two have interrupted each other."""
    chance = random.Random(seed)

    def answer(prompt: Prompt) -> Scripted:
        text = "Well, this is what there is to say. " * chance.randint(1, 3)
        if prompt.messages[-1].role == "tool" or chance.random() < 0.4:
            return Scripted(text, first_ms=chance.choice([20, 200, 900]))
        name = chance.choice(["look_up", "book"])
        return Scripted(
            chance.choice(["", "One moment."]),
            ToolCall(f"{len(prompt.messages)}", name, "{}"),
            first_ms=chance.choice([20, 200, 900]),
        )

    async def scene(stage: Stage) -> None:
        person = stage.person
        for number, (deed, n) in enumerate(steps):
            if deed in ("says", "noise"):
                await person.says(f"word{number} and more" if deed == "says" else None, n)
            elif deed in AFTERWARDS:
                await person.says(f"word{number} and more", 600)
                await person.waits(n)
                await person.says(AFTERWARDS[deed], 250 if n % 2 else 1500)
            elif deed == "key":
                person.press(str(n))
            elif deed == "whispers" and stage.transcriber.streams:
                stage.transcriber.hear(f"whisper{number}", final=n > 100)
            elif deed == "operator says":
                stage.call.say(f"Operator {number}.")
            await person.waits(n if deed == "waits" else 20)
        await person.waits(20_000)
        await person.hang_up()

    tools = Tools()
    for name in ("look_up", "book"):
        tools.set(name, {"ok": 1}, ms=chance.choice([10, 1500, 4000]))
    result = play(
        scene,
        agent=agent(tools=(LOOK_UP, BOOK)),
        model=FakeModel(answer),
        transcriber=FakeTranscriber(final_after_ms=final_ms),
        weather=Weather(latency_ms=150) if far else Weather(),
        tools=tools,
    )
    if result.transcript:
        assert result.transcript[-1][0] == "assistant"
    assert not result.of("turn_unanswered")
