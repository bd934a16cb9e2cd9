"""The real model: its input, its range, its queue. Not its opinion of synthetic voices."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.speech.sounds import pcm, telephone_speech

from chorus.speech.engines import EndOfTurn, EngineFailed, Heard
from chorus.speech.eot import smart_turn
from chorus.speech.eot.smart_turn import SmartTurn
from chorus.speech.eot.whisper_mel import SAMPLES, last_eight_seconds, log_mel
from chorus.speech.models import find_model

_MODEL = find_model("smart_turn")
assert _MODEL is not None, "the local extra is part of the development environment"
MODEL: Path = _MODEL

HEARD = Heard(b"\x00\x01" * 8000, 8000, "", 200)


def _reference() -> Any:
    """The features as the model's own authors compute them, which come with the model: one
    file of numpy, loaded without its package."""
    path = MODEL.parent.parent / "_whisper_features.py"
    spec = importlib.util.spec_from_file_location("whisper_features", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compute_whisper_log_mel_features


@pytest.mark.parametrize("kind", ["speech", "noise", "silence", "long"])
def test_features_are_those_of_the_reference(kind: str):
    random = np.random.default_rng(2)
    spoken = np.frombuffer(pcm(telephone_speech("speak to a person")), "<i2") / 32768
    audio = {
        "speech": np.repeat(spoken, 2),
        "noise": random.normal(0, 0.1, SAMPLES),
        "silence": np.zeros(100),
        "long": random.normal(0, 0.1, SAMPLES + 5000),
    }[kind].astype(np.float32)
    window = last_eight_seconds(audio)
    features = log_mel(window)
    assert features.shape == (80, 800)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, _reference()(window), atol=1e-4)


def test_silence_goes_in_front_and_the_end_is_kept():
    assert last_eight_seconds(np.ones(3, np.float32))[-4:].tolist() == [0, 1, 1, 1]
    long = np.arange(SAMPLES + 2, dtype=np.float32)
    assert last_eight_seconds(long)[-1] == SAMPLES + 1
    with pytest.raises(ValueError, match="128000"):
        log_mel(np.zeros(5, np.float32))


def test_a_probability_the_same_each_time_off_the_loop():
    spoken = pcm(telephone_speech("speak to a person"))

    async def main() -> tuple[list[float], int]:
        model = SmartTurn(MODEL, deadline_ms=5000)
        checked: EndOfTurn = model
        loop_turns = 0

        async def spin() -> None:
            nonlocal loop_turns
            while True:
                loop_turns += 1
                await asyncio.sleep(0.001)

        spinning = asyncio.create_task(spin())
        try:
            heard = Heard(spoken, 8000, "", 200)
            return [await checked.judge(heard) for _ in range(2)], loop_turns
        finally:
            spinning.cancel()
            await model.aclose()

    (first, second), turns = asyncio.run(main())
    assert 0 <= first <= 1
    assert first == second
    assert turns > 5  # the loop went on meanwhile


def test_16_khz_and_nothing_at_all_are_judged_and_other_rates_refused():
    async def main() -> None:
        model = SmartTurn(MODEL, deadline_ms=5000)
        try:
            assert 0 <= await model.judge(Heard(bytes(32000), 16000, "", 0)) <= 1
            assert 0 <= await model.judge(Heard(b"", 8000, "", 0)) <= 1
            with pytest.raises(EngineFailed, match="24000"):
                await model.judge(Heard(b"", 24000, "", 0))
        finally:
            await model.aclose()

    asyncio.run(main())


class _Slow:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = threading.Event()

    def run(self, names: Any, feed: Any) -> list[Any]:
        self.runs += 1
        assert self.go.wait(10)
        return [np.array([[0.7]], np.float32)]


def _slow_model(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[SmartTurn, _Slow]:
    slow = _Slow()
    monkeypatch.setattr(smart_turn, "open_session", lambda *_, **__: slow)
    return SmartTurn(MODEL, **options), slow


def test_a_missed_deadline_fails_and_the_question_is_dropped(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        model, slow = _slow_model(monkeypatch, deadline_ms=30)
        first = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0.01)
        with pytest.raises(EngineFailed, match="deadline"):
            await model.judge(HEARD)  # waits behind the first, in vain
        with pytest.raises(EngineFailed, match="deadline"):
            await first
        slow.go.set()
        await model.aclose()
        assert slow.runs == 1

    asyncio.run(main())


def test_a_question_that_was_taken_back_is_not_computed(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        model, slow = _slow_model(monkeypatch, deadline_ms=5000)
        first = asyncio.create_task(model.judge(HEARD))
        while not slow.runs:
            await asyncio.sleep(0.001)
        old = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        new = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        old.cancel()
        await asyncio.sleep(0)
        slow.go.set()
        assert await first == pytest.approx(0.7)
        assert await new == pytest.approx(0.7)
        assert slow.runs == 2
        await model.aclose()

    asyncio.run(main())


def test_a_full_queue_refuses_and_closing_answers_who_waits(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        model, slow = _slow_model(monkeypatch, deadline_ms=5000, max_waiting=1)
        running = asyncio.create_task(model.judge(HEARD))
        while not slow.runs:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        with pytest.raises(EngineFailed, match="busy"):
            await model.judge(HEARD)
        closing = asyncio.create_task(model.aclose())
        with pytest.raises(EngineFailed, match="closed"):
            await waiting
        slow.go.set()
        await closing
        await running
        with pytest.raises(EngineFailed, match="closed"):
            await model.judge(HEARD)

    asyncio.run(main())


class _Steady:
    """A model that takes as long each time."""

    runs = 0

    def run(self, names: Any, feed: Any) -> list[Any]:
        self.runs += 1
        time.sleep(0.12)
        return [np.array([[0.7]], np.float32)]


def test_nothing_is_computed_that_would_come_too_late(monkeypatch: pytest.MonkeyPatch):
    steady = _Steady()
    monkeypatch.setattr(smart_turn, "open_session", lambda *_, **__: steady)

    async def main() -> None:
        model = SmartTurn(MODEL, deadline_ms=230)
        questions = (model.judge(HEARD) for _ in range(4))
        answers = await asyncio.gather(*questions, return_exceptions=True)
        assert answers[0] == pytest.approx(0.7)
        # After the first there were 110 ms left, and it takes 120 (the estimate: at most 115).
        assert [str(answer) for answer in answers[1:]] == [
            "smart-turn busy: no time was left for it"
        ] * 3
        assert steady.runs == 1
        assert await model.judge(HEARD) == pytest.approx(0.7)  # there is time again
        await model.aclose()

    asyncio.run(main())


def test_a_failing_model_is_an_engine_failure(monkeypatch: pytest.MonkeyPatch):
    class Broken:
        def run(self, names: Any, feed: Any) -> list[Any]:
            raise RuntimeError("no memory")

    async def main() -> None:
        monkeypatch.setattr(smart_turn, "open_session", lambda *_, **__: Broken())
        model = SmartTurn(MODEL)
        with pytest.raises(EngineFailed, match="no memory"):
            await model.judge(HEARD)
        await model.aclose()

    asyncio.run(main())
    with pytest.raises(ValueError, match="deadline_ms"):
        SmartTurn(MODEL, deadline_ms=0)
