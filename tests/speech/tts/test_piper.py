"""A Piper voice as a call uses it: pieces that meet, marks, and what there is no voice for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from bench.prompts import samples, to_16k, word_errors
from scripts.material import MODELS
from tests.material import needs_model

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from chorus.speech.engines import EngineFailed, Spoken, Voice, VoiceStyle
from chorus.speech.stt.whisper_model import WhisperModel
from chorus.speech.threads import ModelThreads
from chorus.speech.tts.espeak import EspeakVoice
from chorus.speech.tts.piper import PiperVoice

JOE = "en_US-joe-medium"
TEXT = ["Your appointment is on Friday, at ten thirty.", " Is there anything else I can do?"]

pytestmark = needs_model(f"piper-{JOE}")


def speak(
    texts: list[str], format: AudioFormat, style: VoiceStyle | None = None
) -> list[list[Spoken]]:
    """The pieces of each of `texts`, spoken one after the other in one session."""

    async def clauses(text: str) -> AsyncIterator[str]:
        yield text

    async def main() -> list[list[Spoken]]:
        threads, espeak = ModelThreads(1), EspeakVoice()
        paths = {JOE: MODELS / f"piper-{JOE}" / f"{JOE}.onnx"}
        voice: Voice = PiperVoice(paths, threads, espeak)
        try:
            session = await voice.open(voice.gives(format), style or VoiceStyle())
            return [[piece async for piece in session.speak(clauses(text))] for text in texts]
        finally:
            await threads.aclose()
            await espeak.aclose()

    return asyncio.run(main())


def test_it_is_understood_and_tells_where_its_words_end():
    said = speak(TEXT, MULAW_8K)
    first, _ = said
    assert [piece.last for piece in first] == [False] * (len(first) - 1) + [True]
    marks = [mark for piece in first for mark in piece.marks]
    assert [m.end_ms for m in marks] == sorted(m.end_ms for m in marks)
    assert marks[-1].chars_end == len(TEXT[0])
    assert {TEXT[0][: m.chars_end].split()[-1] for m in marks} >= {"appointment", "Friday,"}
    length_ms = MULAW_8K.ms(sum(len(piece.audio) for piece in first))
    assert 0.8 * length_ms < marks[-1].end_ms <= length_ms
    assert 150 < MULAW_8K.ms(len(first[0].audio)) < 400, "a piece, not the clause"
    if not (MODELS / "whisper-tiny.en" / "model.bin").exists():
        return
    hears = WhisperModel(MODELS / "whisper-tiny.en")

    def understood(said: list[list[Spoken]]) -> list[str]:
        sounds = [codec.decode(MULAW_8K, b"".join(p.audio for p in pieces)) for pieces in said]
        return [hears.decode(to_16k(samples(sound))).text for sound in sounds]

    # The voice says nothing twice the same, and small ears miss a word now and then.
    tries = [understood(said)]
    while errors(tries[-1]) > 1 and len(tries) < 3:
        tries.append(understood(speak(TEXT, MULAW_8K)))
    assert errors(tries[-1]) <= 1, tries


def errors(heard: Sequence[str]) -> int:
    wrong, words = word_errors(list(zip(TEXT, heard, strict=True)))
    assert words > 10
    return wrong


@pytest.mark.parametrize("format", [PCM_8K, PCM_16K])
def test_pieces_meet_without_a_seam(format: AudioFormat):
    [pieces] = speak(["A long and quiet sentence, which is spoken in several pieces."], format)
    assert len(pieces) > 4
    audio = samples(b"".join(piece.audio for piece in pieces))
    at = np.cumsum([len(piece.audio) // 2 for piece in pieces])[:-2]
    steps = np.abs(np.diff(audio))
    # A seam would be a step that is larger than those around it.
    assert all(steps[i - 1] <= 3 * steps[max(0, i - 40) : i + 40].max() for i in at)
    assert max(steps[i - 1] / (steps[max(0, i - 40) : i + 40].max() + 1e-4) for i in at) <= 1


def test_a_voice_that_there_is_not():
    with pytest.raises(EngineFailed, match="no voice 'x'"):
        speak(TEXT, MULAW_8K, VoiceStyle(voice="x"))


def test_what_has_nothing_to_say():
    [pieces] = speak(["  "], MULAW_8K)
    assert [(piece.audio, piece.last) for piece in pieces] == [(b"", True)]
