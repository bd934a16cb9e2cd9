"""What OpenAI's audio API over HTTP asks of a client, and who else speaks it: what is sent where,
and what differs from one server to another."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from chorus.outbound import Headers
from chorus.speech.engines import EngineFailed
from chorus.speech.vendor.failures import GARBAGE, Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import HearingModel, SpeakingModel, VendorVoice
from chorus.speech.vendor.rest import get_json

OPENAI_URL = "https://api.openai.com/v1"
GROQ_URL = "https://api.groq.com/openai/v1"

OPENAI_HEARS = (
    HearingModel("gpt-4o-mini-transcribe", "GPT-4o mini Transcribe", p99_ms=1660),
    HearingModel("gpt-4o-transcribe", "GPT-4o Transcribe", p99_ms=1660),
    HearingModel("gpt-transcribe", "GPT Transcribe", p99_ms=1660),
    HearingModel("whisper-1", "Whisper", p99_ms=1660),
)
OPENAI_SPEAKS = (
    SpeakingModel("gpt-4o-mini-tts", "GPT-4o mini TTS"),
    SpeakingModel("tts-1", "TTS-1"),
)
GROQ_HEARS = (
    HearingModel("whisper-large-v3-turbo", "Whisper large v3 turbo", p99_ms=1540),
    HearingModel("whisper-large-v3", "Whisper large v3", p99_ms=1540),
)
GROQ_SPEAKS = (
    SpeakingModel("canopylabs/orpheus-v1-english", "Orpheus English", ("en",)),
    SpeakingModel("canopylabs/orpheus-arabic-saudi", "Orpheus Arabic", ("ar",)),
)
_OPENAI_VOICES = (
    *("marin", "cedar", "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx"),
    *("sage", "shimmer", "verse"),
)
_GROQ_VOICES = {
    GROQ_SPEAKS[0]: ("autumn", "diana", "hannah", "austin", "daniel", "troy"),
    GROQ_SPEAKS[1]: ("fahad", "sultan", "abdullah", "lulwa", "noura", "aisha"),
}


def authorization(api_key: str) -> Headers:
    """None for a server of one's own that wants no key."""
    return (("Authorization", f"Bearer {api_key}"),) if api_key else ()


def words_of(body: bytes) -> str:
    """What an error says, or its beginning."""
    try:
        error: Any = json.loads(body)["error"]
        if isinstance(error, str):
            return error
        told: dict[str, Any] = error
        return f"{told.get('code') or ''} {told.get('message') or ''}".strip()
    except GARBAGE:
        return body[:500].decode("utf-8", "replace")


def multipart(fields: list[tuple[str, str]], wav: bytes) -> tuple[str, bytes]:
    """A form with the file of a recording: its content type and its body (RFC 7578)."""
    boundary = uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="turn.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n".encode()
    )
    parts += [wav, f"\r\n--{boundary}--\r\n".encode()]
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)


async def check_openai_audio(net: Net, api_key: str, base_url: str) -> None:
    """Whether the key is taken: asks for the models. Raises `EngineFailed`."""
    failures = Failures("openai_audio", api_key)
    await get_json(net, f"{base_url}/models", authorization(api_key), failures)


async def openai_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """OpenAI has no list to ask for; these are in its reference."""
    return tuple(VendorVoice(name, name.title(), labels={}) for name in _OPENAI_VOICES)


async def groq_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """Groq has no list to ask for; these are in its reference."""
    return tuple(
        VendorVoice(name, name.title(), model.languages, model.id)
        for model, names in _GROQ_VOICES.items()
        for name in names
    )


async def listed_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """Of a server that has `/audio/voices`, as Kokoro-FastAPI and speaches do; none where there is
    no such list. Raises `EngineFailed`."""
    failures = Failures("openai_audio", api_key)
    try:
        listed = await get_json(net, f"{base_url}/audio/voices", authorization(api_key), failures)
    except EngineFailed as failure:
        if failure.kind == "request":
            return ()
        raise

    def voice(each: Any) -> VendorVoice:
        if isinstance(each, str):
            return VendorVoice(each, each)
        found: dict[str, Any] = each
        name = str(found.get("voice_id") or found.get("id") or found["name"])
        language = str(found.get("language") or "")
        return VendorVoice(name, str(found.get("name") or name), (language,) if language else ())

    def voices() -> tuple[VendorVoice, ...]:
        return tuple(voice(each) for each in listed["voices"])

    return failures.reading("voices", voices)
