"""Keys are checked and voices listed with the requests that the vendors document."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, respond

from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed
from chorus.speech.vendor.options import HearingOptions, SpeakingOptions, VendorVoice
from chorus.speech.vendors import VENDORS

KEY = "sk-stand-in-0123456789"

LISTS: dict[str, tuple[str, Any, VendorVoice]] = {
    "deepgram": (
        "/v1/models",
        {
            "stt": [],
            "tts": [
                {"canonical_name": "aura-asteria-en", "name": "asteria", "languages": ["en"]},
                {
                    "canonical_name": "aura-2-thalia-en",
                    "name": "thalia",
                    "languages": ["en", "en-US"],
                    "metadata": {"accent": "American", "sample": "https://x/thalia.wav"},
                },
            ],
        },
        VendorVoice(
            "aura-2-thalia-en",
            "Thalia",
            ("en", "en-US"),
            "aura-2",
            "https://x/thalia.wav",
            {"accent": "American"},
        ),
    ),
    "elevenlabs": (
        "/v1/voices",
        {
            "voices": [
                {
                    "voice_id": "v1",
                    "name": "Rachel",
                    "labels": {"gender": "female"},
                    "preview_url": "https://x/r.mp3",
                    "verified_languages": [{"language": "en", "locale": "en-US"}],
                }
            ]
        },
        VendorVoice("v1", "Rachel", ("en-US",), "", "https://x/r.mp3", {"gender": "female"}),
    ),
    "cartesia": (
        "/voices?limit=100",
        {
            "data": [{"id": "v1", "name": "Katie", "language": "en", "gender": "feminine"}],
            "has_more": False,
        },
        VendorVoice("v1", "Katie", ("en",), labels={"gender": "feminine"}),
    ),
}
CHECKED = [name for name in VENDORS if name not in ("faseeh", "google_speech")]


def answered(answer: bytes) -> Callable[[Asked], bytes]:
    return lambda _: answer


@pytest.mark.parametrize("name", LISTS)
async def test_the_voices_of_a_key(name: str) -> None:
    path, listed, voice = LISTS[name]
    outbound = Outbound(allow_private=True)
    async with HttpPeer(answered(respond(200, listed))) as peer:
        assert await VENDORS[name].voices(outbound, KEY, peer.url) == (voice,)
        assert peer.requests[0].target == path
        assert any(KEY in value for value in peer.requests[0].headers.values())
    async with HttpPeer(answered(respond(200, {"nothing": 1}))) as peer:
        with pytest.raises(EngineFailed) as caught:
            await VENDORS[name].voices(outbound, KEY, peer.url)
        assert caught.value.kind == "garbage"
    await outbound.aclose()


@pytest.mark.parametrize("name", CHECKED)
async def test_a_key_is_checked_with_one_request(name: str) -> None:
    outbound = Outbound(allow_private=True)
    async with HttpPeer(answered(respond(200, {}))) as peer:
        await VENDORS[name].check(outbound, KEY, peer.url)
        assert len(peer.requests) == 1
        assert any(KEY in value for value in peer.requests[0].headers.values())
    for status, kind in ((401, "key"), (402, "credit"), (429, "busy")):
        async with HttpPeer(answered(respond(status, KEY))) as peer:
            with pytest.raises(EngineFailed) as caught:
                await VENDORS[name].check(outbound, KEY, peer.url)
            assert caught.value.kind == kind
            assert KEY not in str(caught.value)
    await outbound.aclose()


async def test_faseeh_speaks_a_clause_at_a_time_and_is_checked_with_a_word() -> None:
    def speech(asked: Asked) -> bytes:
        return respond(200, b"\x01\x00" * 24000, content_type="application/octet-stream")

    outbound = Outbound(allow_private=True)
    async with HttpPeer(speech) as peer:
        await VENDORS["faseeh"].check(outbound, KEY, peer.url)
        voice = VENDORS["faseeh"].voice(
            KEY, SpeakingOptions("faseeh-mini-v1-preview"), net=outbound, base_url=peer.url
        )
        assert voice.name == "faseeh/faseeh-mini-v1-preview"
        opening, asked = peer.requests
        assert (opening.method, opening.target) == ("GET", "/api/v1/models")
        assert asked.target == "/api/v1/text-to-speech/faseeh-v1-preview"
        assert asked.headers["x-api-key"] == KEY
        assert json.loads(asked.body) == {
            "voice_id": "ar-hijazi-female-1",
            "text": "نعم",
            "stability": 0.5,
            "speed": 1.0,
            "streaming": True,
        }
    async with HttpPeer(answered(respond(402, {"errorMessage": "no balance"}))) as peer:
        with pytest.raises(EngineFailed) as caught:
            await VENDORS["faseeh"].check(outbound, KEY, peer.url)
        assert caught.value.kind == "credit"
    await outbound.aclose()


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
def test_making_an_engine_opens_nothing(vendor: Any) -> None:
    """Outside of any event loop."""
    url = vendor.base_url or "https://speech.example/v1"
    for model in vendor.hears:
        made = vendor.transcriber(KEY, HearingOptions(model.id), net=Outbound(), base_url=url)
        assert made.name == f"{vendor.id}/{model.id}"
        assert made.endpointing.final_within_ms >= (model.p99_ms or 0)
    for model in vendor.speaks:
        made = vendor.voice(KEY, SpeakingOptions(model.id), net=Outbound(), base_url=url)
        assert made.name.startswith(f"{vendor.id}/")
        assert KEY not in repr(made)
    for engine in ("transcriber", "voice"):
        offered = vendor.hears if engine == "transcriber" else vendor.speaks
        if not offered:
            with pytest.raises(ValueError, match="has no"):
                getattr(vendor, engine)(KEY, HearingOptions(), net=Outbound())
