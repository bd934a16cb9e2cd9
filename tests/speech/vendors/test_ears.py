"""What every adapter of a transcribing vendor has to do, over real sockets, against a stand-in
that plays the documented messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.fakes.speech import tone
from tests.fakes.vendors.hearing import KEY, At, Ears, Fault, Kind
from tests.fakes.vendors.net import Refusal, Served
from tests.speech.vendors.cases import EARS, EarsCase

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Hints, Transcription, Words
from chorus.speech.vendor import outbox
from chorus.speech.vendor.limits import limits_of

pytestmark = pytest.mark.parametrize("case", EARS, ids=lambda case: case.name.replace(" ", "-"))

ENGLISH = Hints(("en",))


@dataclass
class Heard:
    """What a stream said."""

    words: list[Words] = field(default_factory=list[Words])
    failures: list[EngineFailed] = field(default_factory=list[EngineFailed])
    fed: bytes = b""
    format: AudioFormat = MULAW_8K

    @property
    def finals(self) -> list[Words]:
        return [words for words in self.words if words.final]

    @property
    def fed_ms(self) -> float:
        return self.format.ms(len(self.fed))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.002)


@asynccontextmanager
async def stream(
    case: EarsCase, ears: Ears, *, key: str = KEY
) -> AsyncGenerator[tuple[Transcription, Heard]]:
    outbound = Outbound(allow_private=True)
    heard = Heard()
    try:
        async with Served(ears) as url:
            transcriber = case.transcriber(key, outbound, url)
            heard.format = transcriber.takes(MULAW_8K)
            opened = await transcriber.open(
                heard.format, ENGLISH, heard.words.append, heard.failures.append
            )
            try:
                yield opened, heard
            finally:
                await opened.close()
    finally:
        await outbound.aclose()


def feed(stream: Transcription, heard: Heard, ms: float, *, loud: bool = True) -> None:
    """In frames of 20 ms, as a line does."""
    audio = tone(heard.format, ms) if loud else heard.format.silence(ms)
    size = heard.format.size(20)
    for at in range(0, len(audio), size):
        stream.feed(audio[at : at + size])
    heard.fed += audio


def says(stream: Transcription, heard: Heard, ms: float = 600) -> None:
    """A turn: speech and the pause after it, and final words are asked for."""
    feed(stream, heard, 100, loud=False)
    feed(stream, heard, ms)
    stream.speech_started(ms)
    feed(stream, heard, 100, loud=False)
    stream.finalize()


async def test_two_turns_over_one_socket(case: EarsCase) -> None:
    ears = case.ears()
    ears.understands("A table for two.", "On Monday.")
    async with stream(case, ears) as (opened, heard):
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 1)
        first_ms = heard.fed_ms
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 2)
        one, two = heard.finals
        assert (one.text, two.text) == ("A table for two.", "On Monday.")
        assert first_ms - 1 <= one.heard_to_ms <= first_ms + 1
        assert heard.fed_ms - 1 <= two.heard_to_ms <= heard.fed_ms + 1
        assert 0 < one.spoken_at_ms <= one.heard_to_ms
        for word in two.words:
            filled_ms = 30 if case.fills else 1
            assert first_ms - 1 <= word.start_ms <= word.end_ms <= heard.fed_ms + filled_ms
        if ears.interims:
            interims = [words.text for words in heard.words if not words.final and words.text]
            assert interims[0] == "A table for two."
        assert not heard.failures
    [talk] = ears.talks
    same_ms = 700 if case.fills else heard.fed_ms
    size = heard.format.size(same_ms)
    assert bytes(talk.audio[:size]) == heard.fed[:size]
    assert talk.heard_ms >= heard.fed_ms
    assert talk.format == heard.format


async def test_nothing_said_is_answered_with_nothing(case: EarsCase) -> None:
    ears = case.ears()
    async with stream(case, ears) as (opened, heard):
        feed(opened, heard, 500, loud=False)
        opened.finalize()
        asked_ms = heard.fed_ms
        if not ears.answers_silence:  # then what it says of what follows is the answer
            feed(opened, heard, 500, loud=False)
            await asyncio.sleep(0.75)
            feed(opened, heard, 500, loud=False)
        await heard.until(lambda: len(heard.finals) == 1)
        assert heard.finals[0].text == ""
        assert heard.finals[0].heard_to_ms >= asked_ms - 1
        if not ears.answers_silence:
            return
        opened.finalize()  # and nothing was fed since
        await heard.until(lambda: len(heard.finals) == 2)
        assert not heard.failures


async def test_a_short_word_right_after_another(case: EarsCase) -> None:
    ears = case.ears()
    ears.understands("Well.", "Yes.")
    async with stream(case, ears) as (opened, heard):
        says(opened, heard)
        feed(opened, heard, 160)
        opened.finalize()
        await heard.until(lambda: len(heard.finals) == 2)
        assert [words.text for words in heard.finals] == ["Well.", "Yes."]
        assert heard.finals[1].heard_to_ms == pytest.approx(heard.fed_ms, abs=1)


async def test_the_vendor_is_told_that_the_call_is_over(case: EarsCase) -> None:
    ears = case.ears()
    async with stream(case, ears) as (opened, heard):
        feed(opened, heard, 200)
    await heard.until(lambda: ears.talks[0].said_bye or ears.talks[0].gone)
    assert ears.talks[0].said_bye is case.bye


KINDS = ("close", "kill", "garbage", "nonsense", "error", "stall")
FAILURES = {"close": "gone", "kill": "gone", "error": "credit"}  # else it is garbage


@pytest.mark.parametrize("at", ["audio", "finalize", "idle"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_breaks_says_so_once(
    case: EarsCase, kind: Kind, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears = case.ears()
    ears.understands("A table for two.", "never told")
    if at != "idle":
        ears.understood.popleft()
    ears.fault = Fault(kind, at)
    told = int(at == "idle")
    async with stream(case, ears) as (opened, heard):
        says(opened, heard)
        await heard.until(lambda: ears.fault is None)
        if kind == "stall":
            monkeypatch.setattr(outbox, "_GOODBYE_S", 0.02)
            await heard.until(lambda: len(heard.finals) == told)
            says(opened, heard)
            await asyncio.sleep(0.1)
            assert len(heard.finals) == told  # and so the call's own deadline hands it over
            assert not heard.failures
            return
        await heard.until(lambda: bool(heard.failures))
        feed(opened, heard, 400)
        opened.finalize()
        await asyncio.sleep(0.01)
        [failure] = heard.failures
        assert failure.stage == "lost"
        assert failure.kind == FAILURES.get(kind, "garbage")
        assert [words.text for words in heard.finals] == ["A table for two."][:told]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_breaks_at_its_greeting(case: EarsCase, kind: Kind) -> None:
    """A vendor that greets is found out while its stream is opened; one that does not, then or
    right after."""
    ears = case.ears()
    ears.fault = Fault(kind, "greeting")
    outbound = Outbound(allow_private=True)
    heard = Heard()
    try:
        async with Served(ears) as url:
            adapter = case.transcriber(KEY, outbound, url)
            format = adapter.takes(MULAW_8K)

            async def opened() -> Transcription:
                return await adapter.open(
                    format, ENGLISH, heard.words.append, heard.failures.append
                )

            async def broken() -> None:
                stream = await opened()
                try:
                    await heard.until(lambda: bool(heard.failures))
                finally:
                    await stream.close()
                raise heard.failures.pop()

            opening = asyncio.create_task(broken())
            await heard.until(lambda: ears.fault is None)
            if kind == "stall":  # the call has a deadline for it
                opening.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await opening
            else:
                with pytest.raises(EngineFailed) as caught:
                    await opening
                assert caught.value.kind == FAILURES.get(kind, "garbage")
                assert caught.value.stage == "open" or not ears.greets
            # Its place at the vendor is free again, and another stream can be had.
            assert not any(limit.under_way for limit in limits_of(outbound))
            await (await opened()).close()
            assert not heard.failures
    finally:
        await outbound.aclose()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, "too many concurrent requests", "busy"),
        (402, "no funds", "credit"),
        (500, f"oh no, {KEY}", "other"),
    ],
)
async def test_a_refused_handshake_says_why(
    case: EarsCase, status: int, body: str, kind: str
) -> None:
    ears = case.ears()
    ears.refuse = Refusal(status, body)
    with pytest.raises(EngineFailed) as caught:
        async with stream(case, ears):
            pass
    assert caught.value.kind == kind
    assert KEY not in str(caught.value)


async def test_a_wrong_key_is_refused(case: EarsCase) -> None:
    with pytest.raises(EngineFailed) as caught:
        async with stream(case, case.ears(), key="wrong"):
            pass
    assert caught.value.kind == "key"


async def test_nobody_there(case: EarsCase) -> None:
    async def why(outbound: Outbound) -> str:
        heard = Heard()
        transcriber = case.transcriber(KEY, outbound, "http://127.0.0.1:9")
        try:
            await transcriber.open(MULAW_8K, ENGLISH, heard.words.append, heard.failures.append)
        except EngineFailed as failure:
            return failure.kind
        finally:
            await outbound.aclose()
        return "open"

    assert await why(Outbound(allow_private=True)) == "gone"
    assert await why(Outbound()) == "request"  # addresses of one's own network are not allowed
