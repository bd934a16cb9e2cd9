"""Faseeh's voices over HTTP, against a server that answers as its makers' plugin and reference say
and refuses what they say is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, but_posts, posts, respond
from tests.fakes.speech import Clauses, HeldClauses, tone
from tests.speech.vendors.test_mouths import lengths_ms

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Spoken, VoiceSession, VoiceStyle
from chorus.speech.vendor.options import SpeakingOptions
from chorus.speech.vendors import VENDORS

KEY = "fsh-0123456789abcdef0123456789abcdef"
FASEEH = VENDORS["faseeh"]
PCM_24K = AudioFormat("pcm16", 24000)
MS_PER_CHAR = 50
MODELS = ("faseeh-v1-preview", "faseeh-mini-v1-preview")
VOICES = ("ar-hijazi-female-1", "ar-hijazi-female-2")
Answer = Callable[[Asked], bytes | AsyncIterator[bytes]]


def error(status: int, message: str) -> bytes:
    return respond(status, {"errorMessage": message})


async def chunked(*pieces: bytes, whole: bool = True) -> AsyncIterator[bytes]:
    """Samples as they are made. Without its last chunk an answer is cut off."""
    yield b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n\r\n"
    for piece in pieces:
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    if whole:
        yield b"0\r\n\r\n"


def refused(asked: Asked) -> bytes | None:
    """What Faseeh refuses of a request for speech."""
    if asked.headers.get("x-api-key") != KEY:
        return error(401, "Invalid API key")
    if asked.target.removeprefix("/api/v1/text-to-speech/") not in MODELS:
        return error(404, "Model not found")
    told = asked.json
    if told["voice_id"] not in VOICES:
        return error(404, "Voice not found")
    if not 0 <= told["stability"] <= 1 or not 0.7 <= told["speed"] <= 1.2 or not told["text"]:
        return error(400, "Validation failed")
    assert asked.method == "POST"
    assert asked.headers["content-type"] == "application/json"
    assert told["streaming"] is True  # otherwise it is a WAV file, when all of it is made
    return None


def speech(asked: Asked) -> bytes:
    """50 ms for each character. Of a known length, so that its connection is kept."""
    if asked.method == "GET":
        assert asked.target == "/api/v1/models"
        return respond(200 if asked.headers.get("x-api-key") == KEY else 401, {"data": []})
    if answer := refused(asked):
        return answer
    audio = tone(PCM_24K, MS_PER_CHAR * len(asked.json["text"]))
    return respond(200, audio, content_type="audio/pcm")


@asynccontextmanager
async def session(
    answer: Answer,
    style: VoiceStyle | None = None,
    *,
    key: str = KEY,
    model: str = "",
) -> AsyncGenerator[tuple[VoiceSession, HttpPeer]]:
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    try:
        async with HttpPeer(answer) as peer:
            voice = FASEEH.voice(key, SpeakingOptions(model), net=outbound, base_url=peer.url)
            assert voice.gives(MULAW_8K) == PCM_24K  # there is no other
            opened = await voice.open(PCM_24K, style or VoiceStyle())
            try:
                yield opened, peer
            finally:
                await opened.aclose()
    finally:
        await outbound.aclose()


async def spoken(opened: VoiceSession, *texts: str) -> list[Spoken]:
    async with aclosing(opened.speak(Clauses(*texts))) as pieces:
        return [piece async for piece in pieces]


async def test_what_is_asked_for_a_clause() -> None:
    style = VoiceStyle("ar-hijazi-female-2", speed=2.0, stability=0.8)
    async with session(speech, style, model="faseeh-mini-v1-preview") as (opened, peer):
        pieces = await spoken(opened, "أهلا.", " …", " كيف أساعدك؟")
    assert lengths_ms(pieces, PCM_24K) == {0: 5 * MS_PER_CHAR, 1: 0, 2: 11 * MS_PER_CHAR}
    assert [piece.clause for piece in pieces if piece.last] == [0, 1, 2]
    first, second = posts(peer)
    assert first.target == "/api/v1/text-to-speech/faseeh-mini-v1-preview"
    assert (first.json["text"], second.json["text"]) == ("أهلا.", "كيف أساعدك؟")
    assert first.json["voice_id"] == "ar-hijazi-female-2"
    assert first.json["speed"] == 1.2  # the fastest that it takes
    assert first.json["stability"] == 0.8


async def test_an_agent_without_a_voice_or_a_model_has_its_first() -> None:
    async with session(speech) as (opened, peer):
        await spoken(opened, "نعم.")
    [asked] = posts(peer)
    assert asked.json["voice_id"] == VOICES[0]
    assert asked.target.endswith(f"/{MODELS[0]}")


async def test_clauses_one_after_the_other_are_spoken_over_one_connection() -> None:
    async with session(speech) as (opened, peer):
        clauses = HeldClauses("أهلا.", " تفضل.")
        async with aclosing(opened.speak(clauses)) as pieces:
            async for piece in pieces:
                if piece.last:
                    clauses.more.set()
        assert await spoken(opened, "نعم.")
    assert [asked.json["text"] for asked in posts(peer)] == ["أهلا.", "تفضل.", "نعم."]
    assert len({asked.connection for asked in posts(peer)}) == 1


async def test_samples_are_given_out_as_they_are_made_and_whole() -> None:
    audio = tone(PCM_24K, 400)
    more = asyncio.Event()

    async def slow(asked: Asked) -> AsyncIterator[bytes]:
        assert refused(asked) is None
        async for piece in chunked(audio[:4801], audio[4801:]):
            yield piece
            if piece.endswith(audio[4790:4801] + b"\r\n"):
                await more.wait()

    async with (
        session(but_posts(slow)) as (opened, _),
        aclosing(opened.speak(Clauses("أهلا."))) as pieces,
    ):
        first = await anext(pieces)
        assert first.audio == audio[:4800]  # the other half of a sample is to come
        more.set()
        rest = b"".join([piece.audio async for piece in pieces])
    assert first.audio + rest == audio


FAULTS: list[tuple[Answer, str]] = [
    (lambda _: error(400, "Validation failed"), "request"),
    (lambda _: error(401, f"Invalid API key {KEY}"), "key"),
    (lambda _: error(402, "Insufficient balance"), "credit"),
    (lambda _: error(403, "This voice is not yours"), "key"),
    (lambda _: error(403, "Insufficient balance"), "credit"),
    (lambda _: error(404, "Voice not found"), "request"),
    (lambda _: error(429, "Too many requests"), "busy"),
    (lambda _: respond(500, f"<html>{KEY}"), "other"),
    (lambda _: respond(503, ""), "busy"),
    (lambda _: respond(200, "<html>sorry</html>", content_type="text/html"), "garbage"),
    (lambda _: respond(200, {"errorMessage": "later"}), "garbage"),
    (lambda _: respond(200, b"", content_type="audio/pcm"), "garbage"),
    (lambda _: chunked(), "garbage"),
    (lambda _: chunked(whole=False), "gone"),
    (lambda _: chunked(tone(PCM_24K, 100), whole=False), "gone"),
    (lambda _: b"not even http\r\n\r\n", "gone"),
]


@pytest.mark.parametrize(("answer", "kind"), FAULTS)
async def test_a_clause_that_is_not_spoken_says_why(answer: Answer, kind: str) -> None:
    async with session(but_posts(answer)) as (opened, _):
        with pytest.raises(EngineFailed) as caught:
            await spoken(opened, "أهلا.", " تفضل.")
        assert caught.value.kind == kind
        assert caught.value.vendor == "faseeh/faseeh-v1-preview"
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("style", [VoiceStyle("nobody"), VoiceStyle("ar-hijazi-female-3")])
async def test_a_voice_that_is_not_there_is_refused(style: VoiceStyle) -> None:
    async with session(speech, style) as (opened, _):
        with pytest.raises(EngineFailed) as caught:
            await spoken(opened, "أهلا.")
        assert caught.value.kind == "request"


# --- keys, and what there is ----------------------------------------------------------------


async def test_a_key_is_checked_by_one_word_which_is_not_heard_to_its_end() -> None:
    async def endless(asked: Asked) -> AsyncIterator[bytes]:
        assert refused(asked) is None
        async for piece in chunked(*([tone(PCM_24K, 100)] * 1000)):
            yield piece
            await asyncio.sleep(0.01)

    outbound = Outbound(allow_private=True)
    async with HttpPeer(but_posts(endless)) as peer:
        await FASEEH.check(outbound, KEY, peer.url)
        async with asyncio.timeout(20):
            while not peer.gone:
                await asyncio.sleep(0.005)
        assert len(posts(peer)) == 1
    await outbound.aclose()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(error(401, "Invalid API key"), "key"), (error(402, "Insufficient balance"), "credit")],
)
async def test_a_key_that_does_not_do_is_found(answer: bytes, kind: str) -> None:
    outbound = Outbound(allow_private=True)
    async with HttpPeer(but_posts(lambda _: answer)) as peer:
        with pytest.raises(EngineFailed) as caught:
            await FASEEH.check(outbound, KEY, peer.url)
        assert caught.value.kind == kind
    await outbound.aclose()


async def test_its_public_voices_are_listed_without_asking() -> None:
    outbound = Outbound()
    found = await FASEEH.voices(outbound, KEY, "http://127.0.0.1:9")
    assert [(voice.id, voice.languages) for voice in found] == [(each, ("ar",)) for each in VOICES]
    await outbound.aclose()
