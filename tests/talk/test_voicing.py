"""A call's voices: what another one says when the first breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from tests.fakes.speech import FakeSession, FakeVoice
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.speech.engines import EngineFailed, Mark, Spoken, VoiceStyle
from chorus.speech.ranking import Ranking, Rests
from chorus.talk.voicing import Script, Voicing


def voicing(*voices: FakeVoice) -> tuple[Voicing, list[EngineFailed]]:
    told: list[EngineFailed] = []
    styles = tuple(VoiceStyle(voice=f"{voice.name}-1") for voice in voices)
    made = Voicing(Ranking(voices, Rests()), styles, MULAW_8K, on_failed=told.append)
    return made, told


def script(*clauses: str) -> Script:
    made = Script()
    for clause in clauses:
        made.put(clause)
    made.put(None)
    return made


async def say(made: Voicing, *clauses: str) -> list[Spoken]:
    return [piece async for piece in made.speak(script(*clauses))]


def test_while_the_first_works_it_speaks_alone() -> None:
    async def main() -> None:
        first, second = FakeVoice(name="a"), FakeVoice(name="b")
        made, told = voicing(first, second)
        pieces = await say(made, "Sure.", " Two?")
        await say(made, "More.")
        assert [piece.clause for piece in pieces if piece.last] == [0, 1]
        assert (len(first.sessions), second.sessions, told) == (1, [], [])
        assert first.styles[0].voice == "a-1"
        await made.aclose()
        assert first.sessions[0].closed

    run_virtual(main())


def test_the_next_voice_goes_on_at_the_next_word_and_its_marks_fit() -> None:
    async def main() -> None:
        first, second = FakeVoice(name="a", fail_at=4), FakeVoice(name="b")
        made, told = voicing(first, second)
        pieces = await say(made, "Hm.", "one two three", "End.")
        # "Hm." is two pieces, then 200 ms of the second clause: "one" and no more
        assert second.clauses == [" two three", "End."]
        assert [piece.clause for piece in pieces if piece.last] == [0, 1, 2]
        marks = [mark for piece in pieces if piece.clause == 1 for mark in piece.marks]
        assert marks[-2:] == [Mark(7, 400), Mark(13, 700)]
        assert [failure.vendor for failure in told] == ["a"]
        await say(made, "Again.")  # the first rests
        assert second.clauses[-1] == "Again."

    run_virtual(main())


def test_mandarin_goes_on_at_the_next_character() -> None:
    async def main() -> None:
        first, second = FakeVoice(name="a", fail_at=2), FakeVoice(name="b")
        made, _ = voicing(first, second)
        await say(made, "您的座位已经预订好了。")
        assert second.clauses == ["已经预订好了。"]  # 200 ms were given, of 50 a character

    run_virtual(main())


def test_one_that_tells_no_marks_has_its_clause_said_again() -> None:
    async def main() -> None:
        first, second = FakeVoice(name="a", fail_at=1, marks=None), FakeVoice(name="b")
        made, _ = voicing(first, second)
        pieces = await say(made, "one two three")
        assert second.clauses == ["one two three"]
        assert [piece.clause for piece in pieces if piece.last] == [0]

    run_virtual(main())


def test_no_audio_in_time_is_a_failure_but_no_text_is_not() -> None:
    async def main() -> None:
        hung = FakeVoice(name="a", first_audio_ms=60_000, deadline_ms=1500)
        second = FakeVoice(name="b")
        made, told = voicing(hung, second)
        waiting = Script()

        async def write() -> None:
            for clause in ("Sure.", " Two?", None):
                await asyncio.sleep(10)
                waiting.put(clause)

        writing = asyncio.create_task(write())
        pieces = [piece async for piece in made.speak(waiting)]
        await writing
        assert [piece.clause for piece in pieces if piece.last] == [0, 1]
        assert (hung.speaking, hung.closed_early) == (0, 1)
        assert [failure.stage for failure in told] == ["deadline"]
        assert second.clauses == ["Sure.", " Two?"]

    run_virtual(main())


def test_a_session_that_does_not_open_in_time_is_a_failure() -> None:
    async def main() -> None:
        hung, second = FakeVoice(name="a", open_ms=60_000), FakeVoice(name="b")
        made, told = voicing(hung, second)
        await say(made, "Sure.")
        assert second.clauses == ["Sure."]
        assert told[0].stage == "deadline"

    run_virtual(main())


def test_when_all_have_failed_the_last_failure_is_raised() -> None:
    async def main() -> None:
        made, told = voicing(FakeVoice(name="a", fail_at=0), FakeVoice(name="b", fail_at=0))
        with pytest.raises(EngineFailed, match="b speak"):
            await say(made, "Sure.")
        assert [failure.vendor for failure in told] == ["a"]

    run_virtual(main())


class _Short(FakeSession):
    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        async for _ in clauses:
            return
        yield Spoken(b"", 0)


class Short(FakeVoice):
    """Takes a clause and ends without a sound."""

    async def open(self, format: AudioFormat, style: VoiceStyle) -> FakeSession:
        return _Short(self, format)


def test_one_that_ends_early_has_failed() -> None:
    async def main() -> None:
        second = FakeVoice(name="b")
        made, _ = voicing(Short(name="a"), second)
        await say(made, "Sure.")
        assert second.clauses == ["Sure."]

    run_virtual(main())


def test_closing_stops_the_voice() -> None:
    async def main() -> None:
        first = FakeVoice(name="a")
        made, told = voicing(first)
        speech = made.speak(script("Good morning"))
        await anext(speech)
        await speech.aclose()
        assert (first.speaking, first.closed_early, told) == (0, 1, [])

    run_virtual(main())


def test_another_rate_is_converted_once_and_loses_nothing() -> None:
    async def main() -> None:
        wide = FakeVoice(name="a", format=AudioFormat("pcm16", 22_050))
        made, _ = voicing(wide)
        pieces = await say(made, "Sure.", " Two?")
        seconds = sum(len(piece.audio) for piece in pieces) / 8000
        assert seconds == pytest.approx(10 * 0.05, abs=0.005)

    run_virtual(main())
