"""Google Cloud's voices over HTTP, and its keys, against a server that answers as Google's
reference says and refuses what it says is refused."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.fakes.speech import Clauses, tone
from tests.fakes.vendors.google import is_signed, key_file, private_lines, refusal

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.audio.wav import wav_file
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, VoiceSession, VoiceStyle
from chorus.speech.vendor.google import location, voices_address
from chorus.speech.vendor.options import SpeakingOptions, VendorVoice
from chorus.speech.vendors import VENDORS

GOOGLE = VENDORS["google_speech"]
MS_PER_CHAR = 50
Answer = Callable[[Asked], bytes | AsyncIterator[bytes]]


def speech(asked: Asked) -> bytes:
    """50 ms for each character, in the rate that was asked for."""
    if not is_signed(asked.headers.get("authorization", "")):
        return respond(401, refusal(401, "UNAUTHENTICATED", "invalid authentication credentials"))
    if asked.method == "GET":
        return respond(200, {"voices": []})
    assert asked.target == "/v1/text:synthesize"
    told = asked.json
    rate = told["audioConfig"]["sampleRateHertz"]
    if told["audioConfig"]["audioEncoding"] != "LINEAR16":
        return respond(400, refusal(400, "INVALID_ARGUMENT", "Invalid audio encoding"))
    if not told["voice"]["name"].startswith(told["voice"]["languageCode"]):
        return respond(400, refusal(400, "INVALID_ARGUMENT", "the voice has another language"))
    audio = tone(AudioFormat("pcm16", rate), MS_PER_CHAR * len(told["input"]["text"]))
    return respond(200, {"audioContent": b64encode(wav_file(audio, rate)).decode()})


@asynccontextmanager
async def session(
    answer: Answer, style: VoiceStyle, line: AudioFormat = MULAW_8K, key: str | None = None
) -> AsyncGenerator[tuple[VoiceSession, AudioFormat, HttpPeer]]:
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    try:
        async with HttpPeer(answer) as peer:
            voice = GOOGLE.voice(
                key or key_file(), SpeakingOptions(), net=outbound, base_url=peer.url
            )
            opened = await voice.open(voice.gives(line), style)
            yield opened, voice.gives(line), peer
            await opened.aclose()
    finally:
        await outbound.aclose()


async def spoken(opened: VoiceSession, *texts: str) -> bytes:
    async with aclosing(opened.speak(Clauses(*texts))) as pieces:
        return b"".join([piece.audio async for piece in pieces])


@pytest.mark.parametrize(("line_hz", "rate_hz"), [(8000, 8000), (16000, 16000), (48000, 24000)])
async def test_clauses_are_spoken_at_the_lines_own_rate(line_hz: int, rate_hz: int) -> None:
    style = VoiceStyle("de-DE-Neural2-G", speed=3.0, language="de-AT")
    line = AudioFormat("pcm16", line_hz)
    async with session(speech, style, line) as (opened, format, peer):
        assert format == AudioFormat("pcm16", rate_hz)
        audio = await spoken(opened, 'Er sagt "ja".', " Gut.")
        assert format.ms(len(audio)) == MS_PER_CHAR * len('Er sagt "ja".Gut.')
        assert audio[: format.size(MS_PER_CHAR)] == tone(format, MS_PER_CHAR)
    warm, *asked = peer.requests
    assert warm.target == "/v1/voices?languageCode=de-DE"
    assert [each.json["voice"]["name"] for each in asked] == ["de-DE-Neural2-G"] * 2
    assert {each.json["audioConfig"]["speakingRate"] for each in asked} == {2.0}


@pytest.mark.parametrize(
    ("language", "voice"),
    [
        ("fr", "fr-FR-Chirp3-HD-Achernar"),
        ("zh", "cmn-CN-Chirp3-HD-Achernar"),
        (None, "en-US-Chirp3-HD-Achernar"),
    ],
)
async def test_an_agent_without_a_voice_has_one_of_its_language(
    language: str | None, voice: str
) -> None:
    async with session(speech, VoiceStyle(language=language)) as (opened, _, peer):
        await spoken(opened, "Oui.")
    assert peer.requests[-1].json["voice"]["name"] == voice


async def test_audio_is_heard_before_its_json_is_whole() -> None:
    """The file comes in odd pieces; what follows it has no say."""
    wav = b64encode(wav_file(tone(AudioFormat("pcm16", 8000), 500), 8000))
    more = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
        yield head + b'{ "audioContent" : "' + wav[:1001]
        await more.wait()
        yield wav[1001:1003]
        yield wav[1003:] + b'", "audioConfig": {"x": "AAAA"}}'

    def answer(asked: Asked) -> bytes | AsyncIterator[bytes]:
        return respond(200, {"voices": []}) if asked.method == "GET" else slow()

    async with session(answer, VoiceStyle()) as (opened, format, _):
        async with aclosing(opened.speak(Clauses("Hello."))) as pieces:
            first = await anext(pieces)
            assert first.audio == b64decode(wav[:1000])[44:]
            more.set()
            rest = b"".join([piece.audio async for piece in pieces])
        assert format.ms(len(first.audio + rest)) == 500


async def cut() -> AsyncIterator[bytes]:
    yield b'HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{"audioContent": "UklG'


FAULTS: list[tuple[Answer, str]] = [
    (lambda _: respond(401, refusal(401, "UNAUTHENTICATED", "no")), "key"),
    (lambda _: respond(403, refusal(403, "PERMISSION_DENIED", "it is disabled")), "key"),
    (lambda _: respond(429, refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded for")), "busy"),
    (lambda _: respond(400, refusal(400, "INVALID_ARGUMENT", "no such voice")), "request"),
    (lambda _: respond(503, refusal(503, "UNAVAILABLE", "try again")), "busy"),
    (lambda _: respond(500, ""), "other"),
    (lambda _: respond(200, "<html>", content_type="text/html"), "garbage"),
    (lambda _: respond(200, {"nothing": 1}), "garbage"),
    (lambda _: respond(200, {"audioContent": ""}), "garbage"),
    (lambda _: respond(200, {"audioContent": "!not base64!"}), "garbage"),
    (lambda _: respond(200, {"audioContent": b64encode(b"no file" * 9).decode()}), "garbage"),
    (lambda _: cut(), "gone"),
]


@pytest.mark.parametrize(("answer", "kind"), FAULTS)
async def test_a_voice_that_fails_says_why(answer: Answer, kind: str) -> None:
    def later(asked: Asked) -> bytes | AsyncIterator[bytes]:
        return respond(200, {}) if asked.method == "GET" else answer(asked)

    async with session(later, VoiceStyle()) as (opened, _, _):
        with pytest.raises(EngineFailed) as caught:
            await spoken(opened, "Hello.")
        assert caught.value.kind == kind


async def test_a_refused_key_is_found_before_anything_is_to_be_said() -> None:
    def answer(_: Asked) -> bytes:
        return respond(401, refusal(401, "UNAUTHENTICATED", "no"))

    with pytest.raises(EngineFailed) as caught:
        async with session(answer, VoiceStyle()):
            pass
    assert (caught.value.stage, caught.value.kind) == ("request", "key")


async def test_who_is_interrupted_closes_the_request() -> None:
    async def long() -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
        yield b'{"audioContent": "' + b64encode(wav_file(bytes(1600), 8000))[:400]
        while True:
            yield b"AAAA" * 200
            await asyncio.sleep(0.01)

    def answer(asked: Asked) -> bytes | AsyncIterator[bytes]:
        return respond(200, {}) if asked.method == "GET" else long()

    async with session(answer, VoiceStyle()) as (opened, _, peer):
        async with aclosing(opened.speak(Clauses("Hello."))) as pieces:
            assert (await anext(pieces)).audio
        async with asyncio.timeout(20):
            while not peer.gone:
                await asyncio.sleep(0.005)


# --- keys, and what there is ----------------------------------------------------------------

WITHOUT = {name: value for name, value in json.loads(key_file()).items() if name != "client_email"}


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("sk-a-key-of-another-vendor", "must be the JSON key file"),
        ("[]", "must be the JSON key file"),
        (json.dumps(WITHOUT), "has no client_email"),
        (json.dumps(json.loads(key_file()) | {"private_key": "hush"}), "cannot be read"),
    ],
)
async def test_what_is_no_key_file_is_a_key_that_does_not_do(key: str, says: str) -> None:
    with pytest.raises(EngineFailed) as caught:
        async with session(speech, VoiceStyle(), key=key):
            pass
    assert caught.value.kind == "key"
    assert says in caught.value.detail
    assert "hush" not in str(caught.value)


async def test_a_key_is_checked_by_a_tenth_of_a_second_of_silence() -> None:
    def answer(asked: Asked) -> bytes:
        assert asked.target == "/v2/projects/acme-calls/locations/global/recognizers/_:recognize"
        assert is_signed(asked.headers["authorization"])
        assert set(b64decode(asked.json["content"])) == {0xFF}
        return respond(200, {"metadata": {}})

    outbound = Outbound(allow_private=True)
    async with HttpPeer(answer) as peer:
        await GOOGLE.check(outbound, key_file(), peer.url)
        assert len(peer.requests) == 1
    for status, kind in ((401, "key"), (403, "key"), (404, "request"), (429, "busy")):

        def echo(asked: Asked, status: int = status) -> bytes:
            return respond(status, asked.headers["authorization"])

        async with HttpPeer(echo) as peer:
            with pytest.raises(EngineFailed) as caught:
                await GOOGLE.check(outbound, key_file(), peer.url)
            assert caught.value.kind == kind
            [asked] = peer.requests
            assert asked.headers["authorization"] not in str(caught.value)
            sent = f"{asked.headers} {asked.body}"
            assert not any(line in sent for line in private_lines())
    await outbound.aclose()


async def test_the_voices_of_a_key() -> None:
    listed = {
        "voices": [
            {"languageCodes": ["de-DE"], "name": "de-DE-Neural2-G", "ssmlGender": "FEMALE"},
            {"languageCodes": ["de-DE"], "name": "de-DE-Chirp3-HD-Kore", "ssmlGender": "FEMALE"},
            {"languageCodes": ["de-DE"], "name": "Kore", "ssmlGender": "FEMALE"},  # Gemini's
        ]
    }
    outbound = Outbound(allow_private=True)
    async with HttpPeer(lambda _: respond(200, listed)) as peer:
        one, two = await GOOGLE.voices(outbound, key_file(), peer.url)
        assert peer.requests[0].target == "/v1/voices"
    async with HttpPeer(lambda _: respond(200, {"nothing": 1})) as peer:
        with pytest.raises(EngineFailed) as caught:
            await GOOGLE.voices(outbound, key_file(), peer.url)
        assert caught.value.kind == "garbage"
    await outbound.aclose()
    label = {"gender": "female"}
    assert one == VendorVoice(
        "de-DE-Neural2-G", "de-DE-Neural2-G", ("de-DE",), "neural2", labels=label
    )
    assert two.model == "chirp3-hd"


@pytest.mark.parametrize(
    ("base", "place", "voices"),
    [
        ("https://us-speech.googleapis.com", "us", "https://us-texttospeech.googleapis.com"),
        ("https://eu-speech.googleapis.com/", "eu", "https://eu-texttospeech.googleapis.com"),
        (
            "https://europe-west4-speech.googleapis.com",
            "europe-west4",
            "https://eu-texttospeech.googleapis.com",
        ),
        (
            "https://asia-southeast1-speech.googleapis.com",
            "asia-southeast1",
            "https://texttospeech.googleapis.com",
        ),
        ("https://speech.googleapis.com", "global", "https://texttospeech.googleapis.com"),
    ],
)
def test_one_address_leads_to_ears_and_voices(base: str, place: str, voices: str) -> None:
    assert location(base) == place
    assert voices_address(base) == voices
