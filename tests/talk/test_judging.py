"""Whether a turn is over where the model does not say: on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.speech import FakeEndOfTurn
from tests.fakes.virtual import run_virtual

from chorus.speech.engines import EngineFailed, Heard
from chorus.talk.failures import Failures
from chorus.talk.judging import JUDGE_TIMEOUT_S, Judge

BUSY = EngineFailed("eot", "busy", "4 questions wait")


def verdict(model: FakeEndOfTurn, text: str, silence_ms: float) -> tuple[float, float]:
    """The verdict, and after how many milliseconds it came."""
    notes: list[dict[str, Any]] = []

    async def ask() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        judge = Judge(model, "en", Failures(lambda kind, **data: notes.append({kind: data})))
        began_s = loop.time()
        answer = await judge.verdict(Heard(b"", 8000, text, silence_ms))
        return answer, round((loop.time() - began_s) * 1000)

    found = run_virtual(ask())
    assert len(notes) == 1
    return found


@pytest.mark.parametrize(
    ("text", "silence_ms", "expected"),
    [
        pytest.param("I am done.", 128, (1.0, 122), id="a sentence: at 250 ms"),
        pytest.param("I am done.", 400, (1.0, 0), id="a sentence, long enough"),
        pytest.param("I am done", 384, (1.0, 166), id="plain words: at 550 ms"),
        pytest.param("I am done", 128, (0.0, 0), id="plain words: to be asked again first"),
        pytest.param("I am and", 384, (0.0, 0), id="an open end"),
    ],
)
def test_silence_decides_as_soon_as_it_is_long_enough(
    text: str, silence_ms: float, expected: tuple[float, float]
):
    assert verdict(FakeEndOfTurn(BUSY, delay_ms=0), text, silence_ms) == expected


def test_what_hangs_is_not_waited_for():
    hanging = FakeEndOfTurn(None, delay_ms=0)
    assert verdict(hanging, "I am done", 128) == (1.0, JUDGE_TIMEOUT_S * 1000)
