"""The real model: its input, its range, its queue. Not its opinion of synthetic voices."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fakes.virtual import run_virtual
from tests.speech.sounds import pcm, telephone_speech

from chorus.speech.engines import EndOfTurn, EngineFailed, Heard
from chorus.speech.eot import smart_turn_worker as worker
from chorus.speech.eot.smart_turn import SmartTurn
from chorus.speech.eot.smart_turn_model import SmartTurnModel
from chorus.speech.eot.whisper_mel import SAMPLES, last_eight_seconds, log_mel
from chorus.speech.models import find_model
from chorus.speech.worker_pool import PoolWorker, WorkerPool

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


async def warm(**options: Any) -> SmartTurn:
    model = SmartTurn(MODEL, **options)
    await model.warm()
    return model


def test_a_probability_the_same_each_time_off_the_loop():
    spoken = pcm(telephone_speech("speak to a person"))

    async def main() -> tuple[list[float], int]:
        model = await warm(deadline_ms=5000)
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
    assert first == SmartTurnModel(MODEL).completeness(spoken, 8000)
    assert turns > 5  # the loop went on meanwhile


def test_16_khz_and_nothing_at_all_are_judged_and_other_rates_refused():
    async def main() -> None:
        model = await warm(deadline_ms=5000)
        try:
            assert 0 <= await model.judge(Heard(bytes(32000), 16000, "", 0)) <= 1
            assert 0 <= await model.judge(Heard(b"", 8000, "", 0)) <= 1
            with pytest.raises(EngineFailed, match="24000"):
                await model.judge(Heard(b"", 24000, "", 0))
        finally:
            await model.aclose()

    asyncio.run(main())


def test_without_its_process_it_fails_at_once_and_starts_it():
    async def main() -> None:
        model = SmartTurn(MODEL, deadline_ms=5000)
        with pytest.raises(EngineFailed, match="not up yet"):
            await model.judge(HEARD)
        await model.warm()
        assert 0 <= await model.judge(HEARD) <= 1
        [pid] = model.worker_pids
        os.kill(pid, signal.SIGKILL)
        while model.worker_pids in ((pid,), ()):
            await asyncio.sleep(0.01)
        await model.warm()
        assert 0 <= await model.judge(HEARD) <= 1
        await model.aclose()
        assert model.worker_pids == ()

    asyncio.run(main())


def test_a_file_that_is_no_model_says_so(tmp_path: Path):
    async def main() -> None:
        (tmp_path / "none.onnx").write_bytes(b"not a model")
        model = SmartTurn(tmp_path / "none.onnx")
        with pytest.raises(EngineFailed, match="died while it started"):
            await model.warm()
        await model.aclose()

    asyncio.run(main())


class _Pool(WorkerPool):
    """One worker, in the test's hands: `answer` lets it finish its question."""

    def __init__(self) -> None:
        super().__init__("test", "none", 1, 0)
        self.one = _PoolWorker(self)
        self.one.ready = True
        self._workers.add(self.one)
        self._idle.append(self.one)

    async def _replace(self) -> None:
        """Nobody comes in its place."""


class _PoolWorker(PoolWorker):
    asked = 0

    def send(self, kind: int, payload: bytes = b"") -> None:
        self.asked += 1

    def answer(self, probability: float = 0.7) -> None:
        self.hear(worker.VERDICT, worker.PROBABILITY.pack(probability))

    def kill(self) -> None:
        self.gone()


def test_a_missed_deadline_fails_and_the_question_is_dropped():
    async def main() -> None:
        pool = _Pool()
        model = SmartTurn(MODEL, deadline_ms=30, pool=pool)
        first = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0.01)
        with pytest.raises(EngineFailed, match="deadline"):
            await model.judge(HEARD)  # waits behind the first, in vain
        with pytest.raises(EngineFailed, match="deadline"):
            await first
        pool.one.answer()
        await model.aclose()
        assert pool.one.asked == 1

    run_virtual(main())


def test_a_question_that_was_taken_back_is_not_computed():
    async def main() -> None:
        pool = _Pool()
        model = SmartTurn(MODEL, deadline_ms=5000, pool=pool)
        first = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        old = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        new = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        old.cancel()
        await asyncio.sleep(0)
        pool.one.answer(0.7)
        assert await first == pytest.approx(0.7)
        pool.one.answer(0.2)
        assert await new == pytest.approx(0.2)
        assert pool.one.asked == 2
        await model.aclose()

    run_virtual(main())


def test_the_process_answers_whoever_is_gone_before_it_is_asked_again():
    async def main() -> None:
        pool = _Pool()
        model = SmartTurn(MODEL, deadline_ms=5000, pool=pool)
        gone = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        gone.cancel()
        next_ = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0.01)
        assert pool.one.asked == 1
        pool.one.answer(0.1)
        await asyncio.sleep(0.01)
        pool.one.answer(0.9)
        assert await next_ == pytest.approx(0.9)
        await model.aclose()

    run_virtual(main())


def test_a_full_queue_refuses_and_closing_answers_who_waits():
    async def main() -> None:
        model = SmartTurn(MODEL, deadline_ms=5000, max_waiting=1, pool=_Pool())
        running = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        with pytest.raises(EngineFailed, match="busy"):
            await model.judge(HEARD)
        await model.aclose()
        for task in (running, waiting):
            with pytest.raises(EngineFailed, match="closed"):
                await task
        with pytest.raises(EngineFailed, match="closed"):
            await model.judge(HEARD)

    run_virtual(main())


def test_nothing_is_asked_that_would_come_too_late():
    async def main() -> None:
        pool = _Pool()
        model = SmartTurn(MODEL, deadline_ms=230, pool=pool)
        first, second = (asyncio.create_task(model.judge(HEARD)) for _ in range(2))
        await asyncio.sleep(0.14)
        pool.one.answer()
        assert await first == pytest.approx(0.7)
        # There were 90 ms left, and it takes 140 (the estimate: at most 115).
        with pytest.raises(EngineFailed, match="busy: no time was left for it"):
            await second
        assert pool.one.asked == 1
        third = asyncio.create_task(model.judge(HEARD))  # there is time again
        await asyncio.sleep(0)
        pool.one.answer()
        assert await third == pytest.approx(0.7)
        await model.aclose()

    run_virtual(main())


def test_a_process_that_hangs_is_killed():
    async def main() -> None:
        pool = _Pool()
        model = SmartTurn(MODEL, deadline_ms=60_000, pool=pool)
        with pytest.raises(EngineFailed, match="it died"):
            await model.judge(HEARD)
        assert not pool.up
        await model.aclose()

    run_virtual(main())


def test_a_failing_model_is_an_engine_failure():
    class Broken(SmartTurnModel):
        def completeness(self, pcm16: bytes, rate_hz: int) -> float:
            raise RuntimeError("no memory")

    payload = worker.RATE.pack(8000) + bytes(200)
    assert worker.answer(Broken(MODEL), payload) == (worker.FAILED, b"no memory")

    async def main() -> None:
        pool = _Pool()
        model = SmartTurn(MODEL, pool=pool)
        asked = asyncio.create_task(model.judge(HEARD))
        await asyncio.sleep(0)
        pool.one.hear(worker.FAILED, b"no memory")
        with pytest.raises(EngineFailed, match="no memory"):
            await asked
        await model.aclose()

    run_virtual(main())
    with pytest.raises(ValueError, match="deadline_ms"):
        SmartTurn(MODEL, deadline_ms=0)
