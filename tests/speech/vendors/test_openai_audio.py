"""OpenAI's audio API over HTTP, against a server that answers as its reference says."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from email.parser import BytesParser
from typing import Any

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, but_posts, posts, respond
from tests.fakes.speech import Clauses, tone
from tests.speech.vendors.test_ears import ENGLISH, Heard, feed, says
from tests.speech.vendors.test_mouths import lengths_ms

from chorus.audio.codec import peak
from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.audio.wav import wav_file
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Spoken, Transcription, VoiceSession, VoiceStyle
from chorus.speech.vendor.options import HearingOptions, SpeakingOptions
from chorus.speech.vendors import VENDORS

KEY = "sk-stand-in-0123456789"
PCM_24K = AudioFormat("pcm16", 24000)


def form(asked: Asked) -> dict[str, bytes]:
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + asked.body).get_payload()
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in parts
    }


# --- hearing --------------------------------------------------------------------------------


@asynccontextmanager
async def stream(
    answer: Callable[[Asked], bytes | AsyncIterator[bytes]], *, vendor: str = "openai"
) -> AsyncGenerator[tuple[Transcription, Heard, HttpPeer]]:
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    heard = Heard()
    async with HttpPeer(but_posts(answer)) as peer:
        options = HearingOptions(keyterms=("Chorus",))
        transcriber = VENDORS[vendor].transcriber(KEY, options, net=outbound, base_url=peer.url)
        heard.format = transcriber.takes(MULAW_8K)
        opened = await transcriber.open(
            heard.format, ENGLISH, heard.words.append, heard.failures.append
        )
        try:
            yield opened, heard, peer
        finally:
            await opened.close()
            await outbound.aclose()


async def test_each_turn_is_one_request_over_one_connection() -> None:
    texts = ["A table for two.", "On Monday."]
    async with stream(lambda _: respond(200, {"text": f" {texts.pop(0)}"})) as (
        opened,
        heard,
        peer,
    ):
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 1)
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 2)
    assert [words.text for words in heard.finals] == ["A table for two.", "On Monday."]
    assert heard.finals[1].heard_to_ms == pytest.approx(heard.fed_ms)
    assert {asked.connection for asked in peer.requests} == {1}
    for asked in posts(peer):
        assert asked.target == "/audio/transcriptions"
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        fields = form(asked)
        assert fields["language"] == b"en"
        assert fields["prompt"] == b"Chorus"
        wav = fields["file"]
        assert struct.unpack_from("<I", wav, 24) == (8000,)
        loud = [at for at in range(44, len(wav), 160) if peak(wav[at : at + 160]) > 500]
        assert len(loud) * 10 == pytest.approx(600, abs=20)  # nothing of the turn is missing


async def test_silence_asks_nobody() -> None:
    async with stream(lambda _: respond(500)) as (opened, heard, peer):
        feed(opened, heard, 500, loud=False)
        opened.finalize()
        await heard.until(lambda: len(heard.finals) == 1)
        assert heard.finals[0].text == ""
        assert not posts(peer)


async def test_answers_come_in_the_order_of_the_turns() -> None:
    second = asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        await second.wait()
        yield respond(200, {"text": "one"})

    def answer(asked: Asked) -> bytes | AsyncIterator[bytes]:
        if len(form(asked)["file"]) < 16_000:  # a second of sound
            return late()
        second.set()
        return respond(200, {"text": "two"})

    async with stream(answer) as (opened, heard, _):
        says(opened, heard, 300)
        says(opened, heard, 1200)
        await heard.until(lambda: len(heard.finals) == 2)
        assert [words.text for words in heard.finals] == ["one", "two"]


async def test_what_whisper_makes_up_of_silence_is_left_out() -> None:
    made_up = {"text": "Thank you.", "language": "english", "segments": [{"no_speech_prob": 0.9}]}
    async with stream(lambda _: respond(200, made_up), vendor="groq") as (opened, heard, peer):
        says(opened, heard, 100)
        await heard.until(lambda: len(heard.finals) == 1)
        assert heard.finals[0].text == ""
        fields = form(posts(peer)[0])
        assert fields["response_format"] == b"verbose_json"
        assert len(fields["file"]) >= 44 + 8000  # half a second: less is refused


QUOTA = {"error": {"code": "insufficient_quota", "message": f"no quota for {KEY}"}}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (respond(401, {"error": {"message": f"wrong key {KEY}"}}), "key"),
        (respond(402, {"error": "no balance"}), "credit"),
        (respond(429, QUOTA), "credit"),
        (respond(429, {"error": {"message": "slow down"}}), "busy"),
        (respond(404, {"error": {"message": "no such model"}}), "request"),
        (respond(503, "<html>"), "busy"),
        (respond(200, "<html>"), "garbage"),
        (respond(200, {"texts": []}), "garbage"),
        (respond(200, ["text"]), "garbage"),
        (b"not even http\r\n\r\n", "gone"),
    ],
)
async def test_a_turn_that_is_not_understood_loses_the_stream(answer: bytes, kind: str) -> None:
    async with stream(lambda _: answer) as (opened, heard, _):
        says(opened, heard)
        await heard.until(lambda: bool(heard.failures))
        [failure] = heard.failures
        assert (failure.stage, failure.kind) == ("lost", kind)
        assert KEY not in str(failure)
        assert not heard.finals


async def test_a_stalled_server_answers_nothing_and_can_be_left() -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    async with stream(lambda _: never()) as (opened, heard, peer):
        says(opened, heard)
        await heard.until(lambda: bool(posts(peer)))
        await opened.close()
        assert not heard.finals
        assert not heard.failures


@pytest.mark.parametrize("vendor", ["openai", "groq", "custom"])
@pytest.mark.parametrize("status", [200, 404])
async def test_a_connection_is_open_before_the_first_turn_and_is_used_for_it(
    vendor: str, status: int
) -> None:
    """A server of one's own may have no list of models."""

    def answer(asked: Asked) -> bytes:
        if asked.method == "GET":
            assert asked.target == "/models"
            assert asked.headers["authorization"] == f"Bearer {KEY}"
            return respond(status, {})
        return respond(200, {"text": "Yes."})

    outbound = Outbound(allow_private=True)
    async with HttpPeer(answer) as peer:
        heard = Heard()
        ears = VENDORS[vendor].transcriber(KEY, HearingOptions(), net=outbound, base_url=peer.url)
        heard.format = ears.takes(MULAW_8K)
        opened = await ears.open(heard.format, ENGLISH, heard.words.append, heard.failures.append)
        assert peer.connections == 1
        says(opened, heard)
        await heard.until(lambda: bool(heard.finals))
        assert [asked.connection for asked in peer.requests] == [1, 1]
        await opened.close()
    await outbound.aclose()


@pytest.mark.parametrize(("status", "kind"), [(401, "key"), (429, "busy")])
async def test_a_refused_key_is_found_before_anything_is_heard(status: int, kind: str) -> None:
    outbound = Outbound(allow_private=True)
    async with HttpPeer(lambda _: respond(status, f"not {KEY}")) as peer:
        ears = VENDORS["openai"].transcriber(KEY, HearingOptions(), net=outbound, base_url=peer.url)
        heard = Heard()
        with pytest.raises(EngineFailed) as caught:
            await ears.open(
                ears.takes(MULAW_8K), ENGLISH, heard.words.append, heard.failures.append
            )
        assert (caught.value.stage, caught.value.kind) == ("open", kind)
        assert KEY not in str(caught.value)
    await outbound.aclose()


# --- speaking -------------------------------------------------------------------------------


def speech(asked: Asked) -> bytes:
    """50 ms a character, at 24 kHz."""
    if asked.target.endswith("/models"):
        return respond(200, {"data": []})
    audio = tone(PCM_24K, len(asked.json["input"]) * 50)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ncontent-length: {len(audio)}\r\n\r\n"
    return head.encode() + audio


@asynccontextmanager
async def session(
    answer: Callable[[Asked], bytes | AsyncIterator[bytes]], *, vendor: str = "openai"
) -> AsyncGenerator[tuple[VoiceSession, HttpPeer]]:
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    try:
        async with HttpPeer(answer) as peer:
            made = VENDORS[vendor].voice(KEY, SpeakingOptions(), net=outbound, base_url=peer.url)
            assert made.gives(MULAW_8K) == PCM_24K
            opened = await made.open(PCM_24K, VoiceStyle(voice="coral", speed=1.1))
            yield opened, peer
            await opened.aclose()
    finally:
        await outbound.aclose()


async def spoken(session: VoiceSession, *texts: str) -> list[Spoken]:
    async with aclosing(session.speak(Clauses(*texts))) as pieces:
        return [piece async for piece in pieces]


async def test_a_request_a_clause_over_connections_that_are_kept() -> None:
    async with session(speech) as (opened, peer):
        pieces = await spoken(opened, "Hello there.", " …", " How are you?")
        assert await spoken(opened, "Again.")
    assert lengths_ms(pieces, PCM_24K) == {0: 600, 1: 0, 2: 600}
    assert [piece.clause for piece in pieces if piece.last] == [0, 1, 2]
    assert len({asked.connection for asked in peer.requests}) <= 2
    body = peer.requests[1].json
    assert (body["input"], body["voice"], body["speed"]) == ("Hello there.", "coral", 1.1)
    assert body["response_format"] == "pcm"


@pytest.mark.parametrize("rate_hz", [24_000, 22_050, 48_000])
async def test_wav_files_of_any_rate(rate_hz: int) -> None:
    def wav(asked: Asked) -> bytes:
        if asked.target.endswith("/models"):
            return respond(404)
        audio = tone(AudioFormat("pcm16", rate_hz), 500)
        return respond(200, b"").replace(b"content-length: 0", b"connection: close") + (
            wav_file(audio, rate_hz)
        )

    async def pieces(asked: Asked) -> AsyncIterator[bytes]:
        whole = wav(asked)
        for at in range(0, len(whole), 1001):
            yield whole[at : at + 1001]

    async with session(pieces, vendor="groq") as (opened, _):
        assert lengths_ms(await spoken(opened, "Hello."), PCM_24K)[0] == pytest.approx(500, abs=20)


async def test_an_interruption_closes_the_connection() -> None:
    async def endless(asked: Asked) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\nconnection: close\r\n\r\n"
        for _ in range(1000):
            yield tone(PCM_24K, 100)
            await asyncio.sleep(0.01)

    async with session(
        lambda asked: speech(asked) if asked.target.endswith("/models") else endless(asked)
    ) as (opened, peer):
        async with aclosing(opened.speak(Clauses("Hello there."))) as audio:
            await anext(audio)
        async with asyncio.timeout(20):
            while not peer.gone:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (respond(401, {"error": {"message": f"wrong key {KEY}"}}), "key"),
        (respond(429, QUOTA), "credit"),
        (respond(429, {"error": {"message": "slow down"}}), "busy"),
        (respond(400, {"error": {"message": "no such voice"}}), "request"),
        (respond(500), "other"),
        (respond(200, "", content_type="audio/pcm"), "garbage"),
        (respond(200, {"error": "later"}), "garbage"),
        (respond(200, "RIFX", content_type="audio/wav"), "garbage"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\nabc", "gone"),
    ],
)
async def test_a_clause_that_is_not_spoken_says_why(answer: bytes, kind: str) -> None:
    async def then_closed() -> AsyncIterator[bytes]:
        yield answer

    vendor = "groq" if b"RIFX" in answer else "openai"
    async with session(
        lambda asked: speech(asked) if asked.target.endswith("/models") else then_closed(),
        vendor=vendor,
    ) as (opened, _):
        # One clause: of two that are refused at once the other may find the account full.
        with pytest.raises(EngineFailed) as caught:
            await spoken(opened, "Hello there.")
        assert caught.value.kind == kind
        assert KEY not in str(caught.value)


async def test_a_refused_key_is_found_before_anything_is_said() -> None:
    with pytest.raises(EngineFailed) as caught:
        async with session(lambda _: respond(401)):
            pass
    assert caught.value.kind == "key"


async def test_voices_of_a_server_of_ones_own() -> None:
    outbound = Outbound(allow_private=True)
    listed: dict[str, Any] = {"voices": ["af_heart", {"id": "b", "name": "Bee", "language": "en"}]}
    async with HttpPeer(lambda _: respond(200, listed)) as peer:
        voices = await VENDORS["custom"].voices(outbound, "", peer.url)
        assert [(v.id, v.name, v.languages) for v in voices] == [
            ("af_heart", "af_heart", ()),
            ("b", "Bee", ("en",)),
        ]
        assert "authorization" not in peer.requests[0].headers
    async with HttpPeer(lambda _: respond(404)) as peer:
        assert await VENDORS["custom"].voices(outbound, "", peer.url) == ()
    await outbound.aclose()
