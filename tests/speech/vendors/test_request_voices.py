"""What every voice over HTTP has to do, over real sockets: one that stalls, at the head of its
answer, behind it, or after its first sound, is left to the call's deadline, which closes the
request; so does a caller who interrupts; and nothing is asked for again of which some was heard."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.fakes.speech import Clauses, tone
from tests.fakes.vendors.google import key_file

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.audio.wav import wav_file
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Spoken, VoiceSession, VoiceStyle
from chorus.speech.vendor.options import SpeakingOptions
from chorus.speech.vendors import VENDORS

KEY = "sk-stand-in-0123456789"
SOUND_MS = 300


def bare(format: AudioFormat) -> bytes:
    return tone(format, SOUND_MS)


def wav(format: AudioFormat) -> bytes:
    return wav_file(tone(format, SOUND_MS), format.rate_hz)


def in_json(format: AudioFormat) -> bytes:
    return b'{"audioContent": "' + b64encode(wav(format)) + b'"}'


@dataclass(frozen=True)
class Case:
    """`body`: an answer's, of `SOUND_MS`; `kind`: its content type."""

    vendor: str
    body: Callable[[AudioFormat], bytes]
    kind: str = "audio/basic"
    key: str = KEY


CASES = (
    Case("azure_speech", bare),
    Case("google_speech", in_json, "application/json", key_file()),
    Case("openai", bare),
    Case("groq", wav, "audio/wav"),
    Case("custom", bare),
    Case("faseeh", bare),
)
pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.vendor)

At = Literal["head", "body", "audio"]


class Vendor:
    """Speaks each clause, the next one as `scripted` and all of them as `every` where there is one,
    and answers whatever else is asked."""

    def __init__(self, case: Case) -> None:
        self.format = MULAW_8K
        self.scripted: AsyncIterator[bytes] | None = None
        self.every: Callable[[], AsyncIterator[bytes]] | None = None
        self._case = case
        self.clauses = 0

    def head(self, more: str = "connection: close") -> bytes:
        return f"HTTP/1.1 200 OK\r\ncontent-type: {self._case.kind}\r\n{more}\r\n\r\n".encode()

    def body(self) -> bytes:
        return self._case.body(self.format)

    def first(self) -> bytes:
        """Of a body, with some sound in it."""
        return self.body()[: len(self.body()) // 2]

    def answer(self, asked: Asked) -> bytes | AsyncIterator[bytes]:
        if asked.method != "POST":
            return respond(200, {"data": [], "voices": []})
        self.clauses += 1
        scripted, self.scripted = self.scripted, None
        if self.every is not None:
            return self.every()
        if scripted is not None:
            return scripted
        return self.head(f"content-length: {len(self.body())}") + self.body()


@asynccontextmanager
async def session(case: Case) -> AsyncGenerator[tuple[VoiceSession, Vendor, HttpPeer]]:
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    vendor = Vendor(case)
    try:
        async with HttpPeer(vendor.answer) as peer:
            voice = VENDORS[case.vendor].voice(
                case.key, SpeakingOptions(), net=outbound, base_url=peer.url
            )
            vendor.format = voice.gives(MULAW_8K)
            opened = await voice.open(vendor.format, VoiceStyle())
            try:
                yield opened, vendor, peer
            finally:
                await opened.aclose()
    finally:
        await outbound.aclose()


async def spoken_ms(opened: VoiceSession, format: AudioFormat, *texts: str) -> float:
    async with aclosing(opened.speak(Clauses(*texts))) as pieces:
        return sum([format.ms(len(piece.audio)) async for piece in pieces])


async def listen(opened: VoiceSession, heard: list[Spoken]) -> None:
    async with aclosing(opened.speak(Clauses("Hello."))) as pieces:
        async for piece in pieces:
            heard.append(piece)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.002)


async def test_a_connection_is_open_before_the_first_clause_and_is_used_for_it(case: Case) -> None:
    async with session(case) as (opened, vendor, peer):
        assert peer.connections == 1
        assert vendor.clauses == 0
        for text in ("Hello.", "Again."):
            await spoken_ms(opened, vendor.format, text)
        assert vendor.clauses == 2
        assert {asked.connection for asked in peer.requests} == {1}


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_found_before_anything_is_to_be_said(
    case: Case, status: int
) -> None:
    outbound = Outbound(allow_private=True)
    async with HttpPeer(lambda _: respond(status, f"not {case.key}")) as peer:
        voice = VENDORS[case.vendor].voice(
            case.key, SpeakingOptions(), net=outbound, base_url=peer.url
        )
        with pytest.raises(EngineFailed) as caught:
            await voice.open(voice.gives(MULAW_8K), VoiceStyle())
        assert caught.value.kind == "key"
        assert case.key not in str(caught.value)
    await outbound.aclose()


@pytest.mark.parametrize("at", ["head", "body", "audio"])
async def test_a_stall_ends_with_its_request_and_the_next_reply_is_spoken(
    case: Case, at: At
) -> None:
    stalled = asyncio.Event()

    async def stalls(vendor: Vendor) -> AsyncIterator[bytes]:
        if at != "head":
            yield vendor.head()
        if at == "audio":
            yield vendor.first()
        stalled.set()
        await asyncio.Event().wait()

    heard: list[Spoken] = []
    async with session(case) as (opened, vendor, peer):
        vendor.scripted = stalls(vendor)
        listening = asyncio.create_task(listen(opened, heard))
        await until(lambda: stalled.is_set() and bool(heard) is (at == "audio"))
        assert not listening.done()  # how long that may last is for the call to say
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await until(lambda: peer.gone == 1)
        assert vendor.clauses == 1
        assert await spoken_ms(opened, vendor.format, "Again.") == pytest.approx(SOUND_MS, abs=20)


async def test_who_is_interrupted_ends_the_requests_of_all_clauses(case: Case) -> None:
    async def long(vendor: Vendor) -> AsyncIterator[bytes]:
        yield vendor.head()
        yield vendor.first()
        await asyncio.Event().wait()

    async with session(case) as (opened, vendor, peer):
        vendor.every = lambda: long(vendor)
        async with aclosing(opened.speak(Clauses("One.", " Two.", " Three."))) as pieces:
            assert (await anext(pieces)).audio
            await until(lambda: vendor.clauses == 2)  # the next is asked for meanwhile
        await until(lambda: peer.gone == 2)
        assert vendor.clauses == 2


async def test_what_broke_off_after_its_first_sound_is_not_asked_for_again(case: Case) -> None:
    async def cut(vendor: Vendor) -> AsyncIterator[bytes]:
        yield vendor.head(f"content-length: {len(vendor.body())}")
        yield vendor.first()

    async with session(case) as (opened, vendor, _):
        vendor.scripted = cut(vendor)
        heard: list[Spoken] = []
        with pytest.raises(EngineFailed) as caught:
            await listen(opened, heard)
        assert caught.value.kind == "gone"
        assert heard
        assert vendor.clauses == 1


async def test_what_broke_off_before_it_is_asked_for_once_more(case: Case) -> None:
    """An idle connection of the pool may have been closed by the server just then."""

    async def cut() -> AsyncIterator[bytes]:
        for nothing in ():
            yield nothing

    async with session(case) as (opened, vendor, _):
        vendor.scripted = cut()
        assert await spoken_ms(opened, vendor.format, "Hello.") == pytest.approx(SOUND_MS, abs=20)
        assert vendor.clauses == 2
