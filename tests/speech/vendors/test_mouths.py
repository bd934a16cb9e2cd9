"""What every adapter of a speaking vendor has to do, over real sockets, against a stand-in that
plays the documented messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import pytest
from tests.fakes.speech import Clauses, HeldClauses
from tests.fakes.vendors.hearing import KEY
from tests.fakes.vendors.net import MemoryNet, Refusal, Served
from tests.fakes.vendors.speaking import MS_PER_CHAR, At, Fault, Kind, Mouth
from tests.fakes.virtual import run_virtual
from tests.speech.vendors.cases import MOUTHS, MouthCase

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Mark, Spoken, VoiceSession, VoiceStyle

pytestmark = pytest.mark.parametrize("case", MOUTHS, ids=lambda case: case.name.replace(" ", "-"))

STYLE = VoiceStyle(language="en")


@asynccontextmanager
async def session(
    case: MouthCase, mouth: Mouth, *, key: str = KEY
) -> AsyncGenerator[tuple[VoiceSession, AudioFormat]]:
    outbound = Outbound(allow_private=True)
    try:
        async with Served(mouth) as url, asyncio.timeout(20):
            voice = case.voice(key, outbound, url)
            format = voice.gives(MULAW_8K)
            opened = await voice.open(format, STYLE)
            try:
                yield opened, format
            finally:
                await opened.aclose()
    finally:
        await outbound.aclose()


async def spoken(session: VoiceSession, *texts: str) -> list[Spoken]:
    async with aclosing(session.speak(Clauses(*texts))) as pieces:
        return [piece async for piece in pieces]


def lengths_ms(pieces: list[Spoken], format: AudioFormat) -> dict[int, float]:
    found: dict[int, float] = {}
    for piece in pieces:
        found[piece.clause] = found.get(piece.clause, 0.0) + format.ms(len(piece.audio))
    return found


def marks_of(pieces: list[Spoken], clause: int) -> list[Mark]:
    return [mark for piece in pieces if piece.clause == clause for mark in piece.marks]


async def test_clauses_in_order_and_where_their_words_end(case: MouthCase) -> None:
    texts = ("Hello there.", " How are you?")
    async with session(case, case.mouth()) as (opened, format):
        pieces = await spoken(opened, *texts)
        again = await spoken(opened, "Once more.")
    assert [piece.clause for piece in pieces] == sorted(piece.clause for piece in pieces)
    for index, text in enumerate(texts):
        length_ms = lengths_ms(pieces, format)[index]
        assert length_ms == pytest.approx(len(text) * MS_PER_CHAR, abs=60)
        assert [p.last for p in pieces if p.clause == index and p.last]
        marks = marks_of(pieces, index)
        assert bool(marks) is case.marks
        for mark in marks:
            assert mark.end_ms == pytest.approx(mark.chars_end * MS_PER_CHAR, abs=60)
        if marks:
            assert marks[-1].chars_end >= len(text) - 1
            assert [mark.chars_end for mark in marks] == sorted(mark.chars_end for mark in marks)
    assert lengths_ms(again, format)[0] == pytest.approx(10 * MS_PER_CHAR, abs=60)


async def test_one_connection_for_all_replies_and_none_left_open(case: MouthCase) -> None:
    mouth = case.mouth()
    async with session(case, mouth) as (opened, _):
        for text in ("One.", "Two.", "Three."):
            await spoken(opened, text)
    assert "".join(mouth.said).replace(" ", "") == "One.Two.Three."
    assert len(mouth.sockets) == 1
    assert mouth.byes == case.byes


async def test_the_first_audio_does_not_wait_for_the_second_clause(case: MouthCase) -> None:
    async with session(case, case.mouth()) as (opened, _):
        clauses = HeldClauses("Well then.", " That is it.")
        async with aclosing(opened.speak(clauses)) as speech:
            # The end of the first is told too: nothing is owed while the model thinks.
            while not (await anext(speech)).last:
                pass
            clauses.more.set()
            rest = [piece async for piece in speech]
    assert rest[-1].clause == 1
    assert rest[-1].last


async def test_nothing_to_say_and_nothing_that_can_be_said(case: MouthCase) -> None:
    mouth = case.mouth()
    async with session(case, mouth) as (opened, _):
        assert await spoken(opened) == []
        pieces = await spoken(opened, "…", " Yes.", " --")
    assert "".join(mouth.said).strip() == "Yes."
    assert [piece.clause for piece in pieces if piece.last][-1] == 2


async def test_an_interruption_stops_the_vendor_and_the_next_reply_is_clean(
    case: MouthCase,
) -> None:
    mouth = case.mouth()
    mouth.pace = 8.0
    async with session(case, mouth) as (opened, format):
        async with aclosing(opened.speak(Clauses("A very long sentence. " * 8))) as speech:
            await anext(speech)
        await asyncio.sleep(0.05)
        sounded = mouth.contexts[0].sounded
        if case.stops:
            assert mouth.contexts[0].cancelled
            await asyncio.sleep(0.1)
            assert mouth.contexts[0].sounded == sounded < 176
        pieces = await spoken(opened, "Short.")
        assert lengths_ms(pieces, format) == {0: pytest.approx(6 * MS_PER_CHAR, abs=60)}


async def test_a_draft_beside_what_is_being_said(case: MouthCase) -> None:
    mouth = case.mouth()
    mouth.pace = 20.0
    async with session(case, mouth) as (opened, format):
        both = await asyncio.gather(
            spoken(opened, "The first of them.", " And more."), spoken(opened, "The draft.")
        )
    assert lengths_ms(both[0], format)[0] == pytest.approx(18 * MS_PER_CHAR, abs=60)
    assert lengths_ms(both[1], format)[0] == pytest.approx(10 * MS_PER_CHAR, abs=60)


async def test_ten_interruptions_in_a_row(case: MouthCase) -> None:
    mouth = case.mouth()
    mouth.pace = 40.0
    async with session(case, mouth) as (opened, format):
        for _ in range(10):
            async with aclosing(opened.speak(Clauses("Let me tell you something."))) as speech:
                await anext(speech)
        pieces = await spoken(opened, "Fine.")
        assert lengths_ms(pieces, format)[0] == pytest.approx(5 * MS_PER_CHAR, abs=60)


@pytest.mark.parametrize("at", ["text", "audio", "later"])
@pytest.mark.parametrize("kind", ["close", "kill", "garbage", "nonsense", "error"])
async def test_a_reply_that_breaks_fails_and_the_next_does_not(
    case: MouthCase, kind: Kind, at: At
) -> None:
    mouth = case.mouth()
    mouth.fault = Fault(kind, at)
    async with session(case, mouth) as (opened, format):
        heard: list[Spoken] = []

        async def listen() -> None:
            async with aclosing(opened.speak(Clauses("Hello there.", " Goodbye."))) as speech:
                async for piece in speech:
                    heard.append(piece)

        with pytest.raises(EngineFailed) as caught:
            await listen()
        expected = {"close": "gone", "kill": "gone", "error": "credit"}.get(kind, "garbage")
        assert caught.value.kind == expected
        assert bool([p for p in heard if p.audio]) is (at != "text")
        pieces = await spoken(opened, "Again.")
        assert lengths_ms(pieces, format)[0] == pytest.approx(6 * MS_PER_CHAR, abs=60)


@pytest.mark.parametrize("at", ["text", "audio", "later"])
def test_a_stall_is_given_up_with_its_socket(case: MouthCase, at: At) -> None:
    """The call's deadline closes the generator; what stalled is not used again. Virtual time."""

    async def scene() -> None:
        mouth = case.mouth()
        mouth.fault = Fault("stall", at)
        voice = case.voice(KEY, MemoryNet({"": mouth}), "https://vendor.example")
        opened = await voice.open(MULAW_8K, STYLE)
        heard: list[Spoken] = []

        async def listen() -> None:
            async with aclosing(opened.speak(Clauses("Hello there.", " Goodbye."))) as speech:
                async for piece in speech:
                    heard.append(piece)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(voice.deadline_ms / 1000):
                await listen()
        assert mouth.fault is None
        assert {piece.clause for piece in heard if piece.audio} == {
            "text": set(),
            "audio": {0},
            "later": {0, 1},
        }[at]
        pieces = await spoken(opened, "Again.")
        assert lengths_ms(pieces, MULAW_8K)[0] == pytest.approx(6 * MS_PER_CHAR, abs=60)
        assert len(mouth.sockets) == 2
        await opened.aclose()

    run_virtual(scene())


async def test_a_reply_without_a_sound_has_failed(case: MouthCase) -> None:
    mouth = case.mouth()
    mouth.fault = Fault("mute")
    async with session(case, mouth) as (opened, _):
        with pytest.raises(EngineFailed) as caught:
            await spoken(opened, "Hello there.")
        assert caught.value.kind in ("garbage", "other")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, "no such voice", "request"),
        (429, "too many concurrent requests", "busy"),
        (500, f"oh no, {KEY}", "other"),
    ],
)
async def test_a_refusal_says_why(case: MouthCase, status: int, body: str, kind: str) -> None:
    mouth = case.mouth()
    mouth.refuse = Refusal(status, body)
    with pytest.raises(EngineFailed) as caught:
        async with session(case, mouth) as (opened, _):
            await spoken(opened, "Hello.")
    assert caught.value.kind == kind
    assert KEY not in str(caught.value)


async def test_a_wrong_key_is_refused(case: MouthCase) -> None:
    with pytest.raises(EngineFailed) as caught:
        async with session(case, case.mouth(), key="wrong") as (opened, _):
            await spoken(opened, "Hello.")
    assert caught.value.kind == "key"
