"""What is told of an end-of-turn model that does not answer: on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fakes.speech import FakeEndOfTurn
from tests.fakes.virtual import run_virtual

from chorus.speech.engines import EngineFailed, Heard
from chorus.talk.failures import Failures
from chorus.talk.judging import JUDGE_TIMEOUT_S, Judge

BUSY = EngineFailed("eot", "busy", "4 questions wait")


def verdict(model: FakeEndOfTurn) -> tuple[float | None, float, int]:
    """The verdict, after how many milliseconds it came, and how many failures were noted."""
    notes: list[dict[str, Any]] = []

    async def ask() -> tuple[float | None, float]:
        loop = asyncio.get_running_loop()
        judge = Judge(model, Failures(lambda kind, **data: notes.append({kind: data})))
        began_s = loop.time()
        answer = await judge.verdict(Heard(b"", 8000, "I am done", 64))
        return answer, round((loop.time() - began_s) * 1000)

    return *run_virtual(ask()), len(notes)


def test_what_the_model_says_is_the_verdict():
    assert verdict(FakeEndOfTurn(0.3, delay_ms=40)) == (0.3, 40, 0)


def test_a_model_that_fails_has_no_opinion_and_says_so_at_once():
    assert verdict(FakeEndOfTurn(BUSY, delay_ms=0)) == (None, 0, 1)


def test_what_hangs_is_not_waited_for():
    assert verdict(FakeEndOfTurn(None, delay_ms=0)) == (None, JUDGE_TIMEOUT_S * 1000, 1)
