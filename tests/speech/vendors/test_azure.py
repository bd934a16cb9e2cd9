"""Azure Speech over HTTP, against a server that answers as Microsoft's reference says and refuses
what it says is refused."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, but_posts, posts, respond
from tests.fakes.speech import Clauses
from tests.speech.vendors.test_ears import Heard, feed, says

from chorus.audio.codec import peak
from chorus.audio.frame import MULAW_8K, PCM_16K, AudioFormat
from chorus.languages import languages
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Hints, Transcription, VoiceSession, VoiceStyle
from chorus.speech.vendor.azure import address, locale
from chorus.speech.vendor.options import HearingOptions, SpeakingOptions, VendorVoice
from chorus.speech.vendors import VENDORS

KEY = "0123456789abcdef0123456789abcdef"
AZURE = VENDORS["azure_speech"]
Answer = Callable[[Asked], bytes | AsyncIterator[bytes]]


def recognition(*texts: str | None) -> Answer:
    """The REST API for short audio; None: it understands nothing."""
    left = list(texts)

    def answer(asked: Asked) -> bytes:
        url = urlsplit(asked.target)
        assert url.path == "/stt/speech/recognition/conversation/cognitiveservices/v1"
        if asked.headers.get("ocp-apim-subscription-key") != KEY:
            return respond(401, {"error": {"code": "401", "message": "invalid subscription key"}})
        region = parse_qs(url.query).get("language", [""])[0]
        wav = struct.unpack_from("<4sI4s4sIHHIIHH", asked.body)
        rate, channels, bits = wav[7], wav[6], wav[10]
        seconds = (len(asked.body) - 44) / 32000
        if "-" not in region or (rate, channels, bits) != (16000, 1, 16) or seconds > 60:
            return respond(400, "Bad request")
        text = left.pop(0)
        if text is None:
            return respond(200, {"RecognitionStatus": "NoMatch", "Offset": 0, "Duration": 0})
        told = {"RecognitionStatus": "Success", "DisplayText": text, "Offset": 1, "Duration": 2}
        return respond(200, told)

    return answer


@asynccontextmanager
async def stream(
    answer: Answer, *, key: str = KEY, language: str = "de"
) -> AsyncGenerator[tuple[Transcription, Heard, HttpPeer]]:
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    heard = Heard()
    async with HttpPeer(but_posts(answer)) as peer:
        ears = AZURE.transcriber(key, HearingOptions(), net=outbound, base_url=peer.url)
        heard.format = ears.takes(MULAW_8K)
        hints = Hints((language, "en"))
        opened = await ears.open(heard.format, hints, heard.words.append, heard.failures.append)
        try:
            yield opened, heard, peer
        finally:
            await opened.close()
            await outbound.aclose()


async def test_each_turn_is_a_file_in_the_agents_language() -> None:
    async with stream(recognition("Ein Tisch.", "Montag.")) as (opened, heard, peer):
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 1)
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 2)
    assert heard.format == PCM_16K
    assert [words.text for words in heard.finals] == ["Ein Tisch.", "Montag."]
    assert heard.finals[1].heard_to_ms == pytest.approx(heard.fed_ms)
    assert {asked.connection for asked in peer.requests} == {1}
    assert peer.requests[0].method == "HEAD"  # the connection was there before the first turn
    for asked in posts(peer):
        assert asked.target.endswith("?language=de-DE")
        assert asked.headers["content-type"].startswith("audio/wav")
        pcm = asked.body[44:]
        loud = [at for at in range(0, len(pcm), 320) if peak(pcm[at : at + 320]) > 500]
        assert len(loud) * 10 == pytest.approx(600, abs=20)


async def test_what_it_does_not_understand_is_a_turn_without_words() -> None:
    async with stream(recognition(None)) as (opened, heard, _):
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 1)
        assert heard.finals[0].text == ""
        assert not heard.failures


async def test_silence_asks_nobody() -> None:
    async with stream(recognition()) as (opened, heard, peer):
        feed(opened, heard, 500, loud=False)
        opened.finalize()
        await heard.until(lambda: len(heard.finals) == 1)
        assert not posts(peer)


async def test_a_turn_longer_than_a_request_may_be_fails_before_it_is_sent() -> None:
    async with stream(recognition()) as (opened, heard, peer):
        feed(opened, heard, 100)
        opened.speech_started(100)
        opened.feed(bytes(32_000 * 60))
        await heard.until(lambda: bool(heard.failures))
        assert heard.failures[0].kind == "request"
        assert not posts(peer)


async def cut() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"


FAULTS: list[tuple[Answer, str]] = [
    (lambda _: respond(401, {"error": {"message": f"invalid {KEY}"}}), "key"),
    (lambda _: respond(403, "Out of call volume quota."), "credit"),
    (lambda _: respond(429, "Rate limit is exceeded."), "busy"),
    (lambda _: respond(400, "Bad request"), "request"),
    (lambda _: respond(503, "no"), "busy"),
    (lambda _: respond(200, "<html>"), "garbage"),
    (lambda _: respond(200, {"RecognitionStatus": "Success"}), "garbage"),
    (lambda _: respond(200, {"RecognitionStatus": "Error"}), "other"),
    (lambda _: cut(), "gone"),
]


@pytest.mark.parametrize(("answer", "kind"), FAULTS)
async def test_a_failure_is_told_once_and_without_the_key(answer: Answer, kind: str) -> None:
    async with stream(answer) as (opened, heard, _):
        says(opened, heard)
        await heard.until(lambda: bool(heard.failures))
        says(opened, heard)
        await asyncio.sleep(0.02)
        [failure] = heard.failures
        assert failure.kind == kind
        assert KEY not in str(failure)


async def test_a_stall_is_over_when_the_stream_is_closed() -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    async with stream(lambda _: never()) as (opened, heard, peer):
        says(opened, heard)
        await heard.until(lambda: bool(posts(peer)))
        assert not heard.finals
    assert not heard.failures


# --- speaking -------------------------------------------------------------------------------


def speech(asked: Asked) -> bytes:
    """50 ms for each character, in the format that was asked for."""
    if asked.headers.get("ocp-apim-subscription-key") != KEY:
        return respond(401, "")
    assert asked.target == "/tts/cognitiveservices/v1"
    assert asked.headers["content-type"] == "application/ssml+xml"
    assert asked.headers["user-agent"]
    size = {
        "raw-8khz-8bit-mono-mulaw": 400,
        "raw-8khz-8bit-mono-alaw": 400,
        "raw-16khz-16bit-mono-pcm": 1600,
    }[asked.headers["x-microsoft-outputformat"]]
    text = "".join(ElementTree.fromstring(asked.body).itertext())
    return respond(200, b"\x41" * (size * len(text)), content_type="audio/basic")


@asynccontextmanager
async def session(
    answer: Answer, style: VoiceStyle, line: AudioFormat = MULAW_8K
) -> AsyncGenerator[tuple[VoiceSession, AudioFormat, HttpPeer]]:
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    async with HttpPeer(but_posts(answer)) as peer:
        voice = AZURE.voice(KEY, SpeakingOptions(), net=outbound, base_url=peer.url)
        opened = await voice.open(voice.gives(line), style)
        try:
            yield opened, voice.gives(line), peer
        finally:
            await opened.aclose()
            await outbound.aclose()


async def spoken(opened: VoiceSession, *texts: str) -> bytes:
    async with aclosing(opened.speak(Clauses(*texts))) as pieces:
        return b"".join([piece.audio async for piece in pieces])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (MULAW_8K, "raw-8khz-8bit-mono-mulaw"),
        (AudioFormat("alaw", 8000), "raw-8khz-8bit-mono-alaw"),
        (AudioFormat("pcm16", 48000), "raw-16khz-16bit-mono-pcm"),
    ],
)
async def test_clauses_are_spoken_in_the_lines_own_format(line: AudioFormat, name: str) -> None:
    style = VoiceStyle("de-AT-IngridNeural", speed=1.2, language="de-AT")
    async with session(speech, style, line) as (opened, format, peer):
        audio = await spoken(opened, "Tom & Jerry <b>.", " Ja\x07.")
        assert format.ms(len(audio)) == 50 * len("Tom & Jerry <b>.Ja.")
    assert peer.requests[0].target == "/tts/cognitiveservices/voices/list"
    for asked in posts(peer):
        assert asked.headers["x-microsoft-outputformat"] == name
        root = ElementTree.fromstring(asked.body)
        [voice] = root
        assert voice.attrib["name"] == "de-AT-IngridNeural"
        assert voice[0].attrib["rate"] == "+20%"
    assert {asked.connection for asked in peer.requests} <= {1, 2}


async def test_an_agent_without_a_voice_has_one_of_its_language() -> None:
    async with session(speech, VoiceStyle(language="fr")) as (opened, _, peer):
        await spoken(opened, "Oui.")
    [voice] = ElementTree.fromstring(posts(peer)[0].body)
    assert voice.attrib["name"] == "fr-FR-DeniseNeural"


VOICE_FAULTS: list[tuple[Answer, str]] = [
    (lambda _: respond(401, ""), "key"),
    (lambda _: respond(429, ""), "busy"),
    (lambda _: respond(400, "SSML is invalid"), "request"),
    (lambda _: respond(502, ""), "other"),
    (lambda _: respond(200, "{}", content_type="application/json"), "garbage"),
    (lambda _: respond(200, b"", content_type="audio/basic"), "garbage"),
    (lambda _: cut(), "gone"),
]


@pytest.mark.parametrize(("answer", "kind"), VOICE_FAULTS)
async def test_a_voice_that_fails_says_why(answer: Answer, kind: str) -> None:
    async with session(answer, VoiceStyle()) as (opened, _, _):
        with pytest.raises(EngineFailed) as caught:
            await spoken(opened, "Hello.")
        assert caught.value.kind == kind
        assert KEY not in str(caught.value)


async def test_who_is_interrupted_closes_the_request() -> None:
    async def long() -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: audio/basic\r\n\r\n"
        while True:
            yield b"\x41" * 800
            await asyncio.sleep(0.01)

    async with session(lambda _: long(), VoiceStyle()) as (opened, _, peer):
        async with aclosing(opened.speak(Clauses("Hello."))) as pieces:
            assert (await anext(pieces)).audio
        async with asyncio.timeout(20):
            while not peer.gone:
                await asyncio.sleep(0.005)


# --- where it is, and what it has -----------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "found"),
    [
        (
            "https://westeurope.api.cognitive.microsoft.com/",
            "https://westeurope.tts.speech.microsoft.com",
        ),
        (
            "https://westus2.stt.speech.microsoft.com",
            "https://westus2.tts.speech.microsoft.com",
        ),
        (
            "https://usgovvirginia.api.cognitive.microsoft.us",
            "https://usgovvirginia.tts.speech.azure.us",
        ),
        ("https://chinanorth2.stt.speech.azure.cn", "https://chinanorth2.tts.speech.azure.cn"),
        (
            "https://acme.cognitiveservices.azure.com",
            "https://acme.cognitiveservices.azure.com/tts",
        ),
    ],
)
def test_one_address_leads_to_ears_and_voices(base: str, found: str) -> None:
    assert address(base, "tts") == found


def test_a_language_without_a_region_has_one() -> None:
    assert [locale(each) for each in ("de", "en", "pt", "de-AT", None)] == [
        *("de-DE", "en-US", "pt-BR", "de-AT", "en-US")
    ]
    documented = {"fa": "fa-IR", "et": "et-EE", "ca": "ca-ES", "bn": "bn-IN", "ta": "ta-IN"}
    documented |= {"ms": "ms-MY", "sw": "sw-KE", "sl": "sl-SI", "sr": "sr-RS", "no": "nb-NO"}
    assert {code: locale(code) for code in documented} == documented


def test_every_language_of_ours_has_a_region() -> None:
    ours = {code: locale(code) for code in languages()}
    assert [code for code, region in ours.items() if "-" not in region] == []


async def test_the_voices_of_a_region() -> None:
    listed = [
        {
            "DisplayName": "Jenny Multilingual",
            "ShortName": "en-US-JennyMultilingualNeural",
            "Gender": "Female",
            "Locale": "en-US",
            "SecondaryLocaleList": ["de-DE"],
        }
    ]
    outbound = Outbound(allow_private=True)
    async with HttpPeer(lambda _: respond(200, listed)) as peer:
        [voice] = await AZURE.voices(outbound, KEY, peer.url)
        assert peer.requests[0].target == "/tts/cognitiveservices/voices/list"
    await outbound.aclose()
    assert voice == VendorVoice(
        "en-US-JennyMultilingualNeural",
        "Jenny Multilingual",
        ("en-US", "de-DE"),
        labels={"gender": "Female"},
    )
