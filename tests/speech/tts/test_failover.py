from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from tests.fakes.speech import Clauses, FakeVoice
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.speech.engines import EngineFailed, Spoken, Voice, VoiceStyle
from chorus.speech.tts.failover import FailoverVoice


async def _say(
    engine: Voice, clauses: AsyncIterator[str], style: VoiceStyle | None = None
) -> list[Spoken]:
    return [piece async for piece in engine.speak(clauses, MULAW_8K, style or VoiceStyle())]


def _clauses_done(pieces: list[Spoken]) -> list[int]:
    return [piece.clause for piece in pieces if piece.last]


def test_while_the_first_works_it_speaks_alone():
    async def main() -> None:
        first, second = FakeVoice(name="a"), FakeVoice(name="b")
        pieces = await _say(FailoverVoice([first, second]), Clauses("Sure.", "Two?"))
        assert _clauses_done(pieces) == [0, 1]
        assert second.styles == []

    run_virtual(main())


def test_one_that_fails_before_its_first_audio():
    async def main() -> None:
        first, second = FakeVoice(name="a", fail_at=0), FakeVoice(name="b")
        told: list[EngineFailed] = []
        engine = FailoverVoice([first, second], on_failure=told.append)
        pieces = await _say(engine, Clauses("Sure.", "Two?"), VoiceStyle(voice="a-1", speed=1.2))
        assert _clauses_done(pieces) == [0, 1]
        assert second.clauses == ["Sure.", "Two?"]
        assert second.styles == [VoiceStyle(voice="", speed=1.2)]
        assert [f.vendor for f in told] == ["a"]
        # it rests: the next reply begins with the second
        await _say(engine, Clauses("Again."))
        assert second.clauses[-1] == "Again."

    run_virtual(main())


def test_one_that_breaks_off_is_taken_up_at_the_next_word():
    async def main() -> None:
        first, second = FakeVoice(name="a", fail_at=4), FakeVoice(name="b")
        pieces = await _say(FailoverVoice([first, second]), Clauses("Hm.", "one two three", "End."))
        # "Hm." is two pieces, then 200 ms of the second clause: "one" and no more
        assert second.clauses == ["two three", "End."]
        assert _clauses_done(pieces) == [0, 1, 2]
        words = [w for p in pieces if p.clause == 1 for w in p.words]
        assert [w.text for w in words] == ["one", "two", "three", "two", "three"]
        assert words[3].start_ms == 200

    run_virtual(main())


def test_one_without_word_times_says_the_clause_again():
    async def main() -> None:
        first, second = FakeVoice(name="a", fail_at=1, word_times=False), FakeVoice(name="b")
        pieces = await _say(FailoverVoice([first, second]), Clauses("one two three"))
        assert second.clauses == ["one two three"]
        assert _clauses_done(pieces) == [0]

    run_virtual(main())


def test_no_audio_in_time_is_a_failure_but_no_text_is_not():
    async def main() -> None:
        hung, second = FakeVoice(name="a", first_audio_ms=60_000), FakeVoice(name="b")
        loop = asyncio.get_running_loop()
        began = loop.time()

        class Slow(Clauses):
            async def __anext__(self) -> str:
                await asyncio.sleep(10)
                return await super().__anext__()

        pieces = await _say(FailoverVoice([hung, second]), Slow("Sure.", "Two?"))
        assert _clauses_done(pieces) == [0, 1]
        assert (hung.speaking, hung.closed_early) == (0, 1)
        assert loop.time() - began < 33  # the text's 30 s, one deadline, and the speech
        assert second.clauses == ["Sure.", "Two?"]

    run_virtual(main())


def test_all_failed():
    async def main() -> None:
        engine = FailoverVoice([FakeVoice(name="a", fail_at=0), FakeVoice(name="b", fail_at=0)])
        with pytest.raises(EngineFailed, match="b speak"):
            await _say(engine, Clauses("Sure."))

    run_virtual(main())


def test_one_that_ends_early_has_failed():
    class Mute:
        name = "mute"

        async def speak(
            self, clauses: AsyncIterator[str], format: AudioFormat, style: VoiceStyle
        ) -> AsyncGenerator[Spoken, None]:
            async for _ in clauses:
                return
            yield Spoken(b"", 0)

    async def main() -> None:
        second = FakeVoice(name="b")
        await _say(FailoverVoice([Mute(), second]), Clauses("Sure."))
        assert second.clauses == ["Sure."]

    run_virtual(main())


def test_a_source_that_breaks_is_not_the_voices_fault():
    class Broken(Clauses):
        async def __anext__(self) -> str:
            raise RuntimeError("the model fell over")

    async def main() -> None:
        second = FakeVoice(name="b")
        with pytest.raises(RuntimeError, match="fell over"):
            await _say(FailoverVoice([FakeVoice(name="a"), second]), Broken())
        assert second.styles == []

    run_virtual(main())


def test_closing_stops_the_vendor_and_leaves_nothing_behind():
    async def main() -> None:
        first = FakeVoice(name="a")
        speech = FailoverVoice([first]).speak(Clauses("Good morning"), MULAW_8K, VoiceStyle())
        await anext(speech)
        await speech.aclose()
        assert (first.speaking, first.closed_early) == (0, 1)

    run_virtual(main())
