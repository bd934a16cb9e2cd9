"""The measure of answers: the same each time, and it sees a caller who is spoken into."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from bench.replies import FRAME_MS, VENDORS, Answer, Bench, Said, hesitating
from bench.replies_engines import InlineSilero, RememberedJudge
from bench.replies_words import timed
from bench.utterances import one
from tests.fakes.virtual import run_virtual

from chorus.audio.pace import Ticker
from chorus.outbound import Outbound
from chorus.speech.models import find_model

SILERO = find_model("silero_vad")
pytestmark = pytest.mark.skipif(SILERO is None, reason="no models: make setup-dev")
PROMPT = next(vendor for vendor in VENDORS if vendor.name == "prompt")


class SureJudge(RememberedJudge):
    """Takes whatever it hears for the end of a turn."""

    def probability(self, heard: object) -> float:
        return 1.0


def question() -> Said:
    [utterance] = one()
    frames = tuple(base64.b64decode(frame) for frame in utterance.frames)
    text = "Can you tell me when you are open on Sunday morning?"
    return Said("question", "en", frames, timed(text, len(frames) * FRAME_MS), held_out=False)


def answers(said: list[Said], memory: Path) -> list[Answer]:
    async def calls() -> list[Answer]:
        assert SILERO is not None
        ticker, outbound = Ticker(), Outbound()
        ticker.start()
        judge = SureJudge(memory, takes_ms=40)
        bench = Bench(InlineSilero(SILERO), judge, ticker, outbound)
        found = [await bench.call(each, PROMPT, wait_frames=20) for each in said]
        ticker.stop()
        await outbound.aclose()
        return found

    return run_virtual(calls())


def test_an_answer_takes_what_the_vendors_take_and_is_the_same_again(tmp_path: Path) -> None:
    first, second = answers([question(), question()], tmp_path / "memory.json")
    assert first == second
    assert first.response_ms is not None
    assert 300 <= first.response_ms <= 480  # a first token after 200, a voice after 100
    assert not first.cut_in


def test_a_caller_who_only_paused_is_seen_to_be_cut_short(tmp_path: Path) -> None:
    paused = hesitating(question(), 1200)
    assert paused is not None
    [answer] = answers([paused], tmp_path / "memory.json")
    assert answer.cut_in
    assert answer.response_ms is None


def test_words_share_the_time_and_those_before_the_pause_are_over_by_then() -> None:
    assert timed("one three", 1000) == (("one", 400.0), ("three", 1000.0))
    whole, paused = question(), hesitating(question(), 600)
    assert paused is not None
    assert len(paused.frames) - len(whole.frames) == 600 // FRAME_MS
    moved = [b - a for (_, a), (_, b) in zip(whole.words, paused.words, strict=True)]
    assert moved[0] == 0
    assert moved[-1] == 600
