"""A real worker speaking."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest
from tests.fakes.speech import Clauses

from chorus.audio import codec
from chorus.audio.frame import ALAW_8K, MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from chorus.speech.engines import EngineFailed, Mark, Spoken, Voice, VoiceStyle
from chorus.speech.tts.espeak import EspeakVoice, cut, split
from chorus.speech.tts.espeak_worker import word_ends

ENGLISH = VoiceStyle(language="en")


async def _say(
    voice: EspeakVoice, *texts: str, format: AudioFormat = MULAW_8K, style: VoiceStyle = ENGLISH
) -> list[Spoken]:
    checked: Voice = voice
    session = await checked.open(checked.gives(format), style)
    return [piece async for piece in session.speak(Clauses(*texts))]


def _seconds(pieces: list[Spoken], format: AudioFormat = MULAW_8K) -> float:
    return sum(format.ms(len(piece.audio)) for piece in pieces) / 1000


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_clauses_become_loud_audio_with_marks_in_pieces():
    async def main() -> list[Spoken]:
        voice = EspeakVoice()
        try:
            return await _say(voice, "Sure, I can help.", "What time would you like?")
        finally:
            await voice.aclose()

    pieces = asyncio.run(main())
    assert all(MULAW_8K.ms(len(piece.audio)) <= 80 for piece in pieces)
    assert [piece.clause for piece in pieces if piece.last] == [0, 1]
    for clause, text in enumerate(("Sure, I can help.", "What time would you like?")):
        own = [piece for piece in pieces if piece.clause == clause]
        audio = b"".join(piece.audio for piece in own)
        assert codec.peak(codec.decode(MULAW_8K, audio)) > 3000
        marks = [mark for piece in own for mark in piece.marks]
        assert [m.chars_end for m in marks] == [m.end() for m in re.finditer(r"\S+", text)]
        assert [m.end_ms for m in marks] == sorted(m.end_ms for m in marks)
        assert all(0 < m.end_ms <= MULAW_8K.ms(len(audio)) + 1 for m in marks)
        assert marks[-1].end_ms > 0.8 * MULAW_8K.ms(len(audio))
    # the pause after a sentence stands before the next one
    second = b"".join(p.audio for p in pieces if p.clause == 1)
    assert codec.peak(codec.decode(MULAW_8K, second[:1600])) < 50


def test_every_format_and_the_style_are_obeyed():
    async def main() -> None:
        voice = EspeakVoice()
        try:
            plain = _seconds(await _say(voice, "one two three four"))
            for format in (ALAW_8K, PCM_8K, PCM_16K, AudioFormat("pcm16", 48000)):
                pieces = await _say(voice, "one two three four", format=format)
                assert _seconds(pieces, format) == pytest.approx(plain, rel=0.1)
                assert all(len(piece.audio) % format.sample_bytes == 0 for piece in pieces)
            slow = VoiceStyle(speed=0.6, voice="en-gb+f3")
            assert _seconds(await _say(voice, "one two three four", style=slow)) > 1.3 * plain
            german = await _say(voice, "eins zwei drei", style=VoiceStyle(language="de-AT"))
            assert _seconds(german) > 0.5
            with pytest.raises(EngineFailed, match="no voice 'nobody'"):
                await _say(voice, "hello", style=VoiceStyle(voice="nobody"))
        finally:
            await voice.aclose()

    asyncio.run(main())


def test_nothing_to_say_is_a_clause_too():
    async def main() -> list[Spoken]:
        voice = EspeakVoice()
        try:
            return await _say(voice, "", " \x00\n", "?")
        finally:
            await voice.aclose()

    pieces = asyncio.run(main())
    assert [piece.clause for piece in pieces if piece.last] == [0, 1, 2]


def test_hostile_text_is_only_text():
    async def main() -> list[Spoken]:
        voice = EspeakVoice()
        try:
            texts = ("a\x00b", "<speak><break time='9s'/>hi</speak>", "\ud800 ok", "x" * 3000)
            return await _say(voice, *texts)
        finally:
            await voice.aclose()

    pieces = asyncio.run(main())
    assert [piece.clause for piece in pieces if piece.last] == [0, 1, 2, 3]
    assert _seconds([p for p in pieces if p.clause == 1]) < 8


def test_a_worker_killed_in_mid_clause_is_replaced_and_the_clause_spoken_again():
    async def main() -> tuple[list[Spoken], tuple[int, ...]]:
        voice = EspeakVoice()
        await voice.warm()
        (pid,) = voice.worker_pids
        os.kill(pid, signal.SIGSTOP)
        saying = asyncio.create_task(_say(voice, "Sure, I can help."))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        pieces = await saying
        pids = (pid, *voice.worker_pids)
        await voice.aclose()
        return pieces, pids

    pieces, pids = asyncio.run(main())
    assert _seconds(pieces) > 0.8
    assert pieces[-1].last
    assert len(set(pids)) == 2
    assert not any(map(_alive, pids))


def test_a_worker_that_hangs_is_killed_at_its_deadline():
    async def main() -> list[Spoken]:
        voice = EspeakVoice(deadline_s=0.5)
        await voice.warm()
        os.kill(voice.worker_pids[0], signal.SIGSTOP)
        try:
            return await _say(voice, "Sure, I can help.")
        finally:
            await voice.aclose()

    assert _seconds(asyncio.run(main())) > 0.8


def test_a_worker_that_hangs_is_killed_though_nobody_waits_for_it_any_more():
    async def main() -> list[Spoken]:
        voice = EspeakVoice(deadline_s=0.5)
        await voice.warm()
        os.kill(voice.worker_pids[0], signal.SIGSTOP)
        interrupted = asyncio.create_task(_say(voice, "Sure, I can help."))
        await asyncio.sleep(0.05)
        interrupted.cancel()
        try:
            async with asyncio.timeout(10):
                return await _say(voice, "One moment.")
        finally:
            await voice.aclose()

    assert _seconds(asyncio.run(main())) > 0.3


def test_closing_the_generator_leaves_the_worker_to_others():
    async def main() -> float:
        voice = EspeakVoice()
        try:
            session = await voice.open(MULAW_8K, ENGLISH)
            speech = session.speak(Clauses("a rather long sentence " * 20))
            await anext(speech)
            await speech.aclose()
            asking = asyncio.ensure_future(anext(session.speak(Clauses("one"))))
            await asyncio.sleep(0)
            asking.cancel()
            many = await asyncio.gather(*(_say(voice, "one two three") for _ in range(10)))
            return min(map(_seconds, many))
        finally:
            await voice.aclose()

    assert asyncio.run(main()) > 0.5


def test_a_closed_engine_refuses():
    async def main() -> None:
        voice = EspeakVoice()
        await voice.aclose()
        with pytest.raises(EngineFailed, match="closed"):
            await _say(voice, "hello")

    asyncio.run(main())
    with pytest.raises(ValueError, match="deadline_s"):
        EspeakVoice(deadline_s=0)


def test_long_clauses_are_split_between_words():
    text = "word " * 100
    parts = split(text)
    assert [len(part) <= 200 for _, part in parts] == [True] * len(parts)
    assert " ".join(part for _, part in parts) == " ".join(["word"] * 100)
    assert all(text[at : at + len(part)] == part for at, part in parts)
    assert [len(part) for _, part in split("x" * 450)] == [200, 200, 50]
    assert split(" \t ") == []
    assert split("  and \n so") == [(2, "and   so")]


def test_marks_go_with_the_piece_in_which_their_words_end():
    marks = [Mark(1, 570), Mark(3, 690)]
    pieces = cut(MULAW_8K.silence(200), marks, MULAW_8K, 3, 500, True)
    assert [piece.marks for piece in pieces] == [(Mark(1, 570),), (), (Mark(3, 690),)]
    assert [piece.last for piece in pieces] == [False, False, True]


def test_where_words_end_that_stand_between_spaces():
    marks = [(0, 1, 0), (1, 1, 100), (3, 4, 300)]
    assert word_ends("$5 each", marks, 900) == [(2, 300.0), (7, 900)]
    assert word_ends("a - b", [(0, 1, 0), (4, 1, 50)], 90) == [(1, 0.0), (3, 50.0), (5, 90)]


def test_a_text_without_spaces_ends_behind_each_of_the_voices_words():
    assert word_ends("我们明天见", [(0, 2, 0), (2, 2, 400), (4, 1, 800)], 1000) == [
        (2, 400.0),
        (4, 800.0),
        (5, 1000),
    ]
