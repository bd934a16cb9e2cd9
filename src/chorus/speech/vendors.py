"""The vendors whose ears and voices Chorus can use with a key of one's own: what each offers, and
how its engines are made. Making one opens nothing.

    net = Outbound(keep_alive_s=55)            # guarded; owned by the process
    vendor = VENDORS["deepgram"]
    ears = vendor.transcriber(key, HearingOptions(model="nova-3"), net=net)
    voice = vendor.voice(key, SpeakingOptions(), net=net)
    await vendor.check(net, key)               # raises EngineFailed, whose `kind` says why
    found = await vendor.voices(net, key)

See docs/vendors.md for how to add one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from chorus.speech.engines import Transcriber, Voice
from chorus.speech.stt import assemblyai
from chorus.speech.stt import azure as azure_stt
from chorus.speech.stt import cartesia as cartesia_stt
from chorus.speech.stt import deepgram as deepgram_stt
from chorus.speech.stt import elevenlabs as elevenlabs_stt
from chorus.speech.stt import google as google_stt
from chorus.speech.stt import openai_audio as openai_stt
from chorus.speech.stt import soniox as soniox_stt
from chorus.speech.tts import azure as azure_tts
from chorus.speech.tts import cartesia as cartesia_tts
from chorus.speech.tts import deepgram as deepgram_tts
from chorus.speech.tts import elevenlabs as elevenlabs_tts
from chorus.speech.tts import faseeh
from chorus.speech.tts import google as google_tts
from chorus.speech.tts import openai_audio as openai_tts
from chorus.speech.tts import soniox as soniox_tts
from chorus.speech.vendor import azure, google, openai_audio
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import (
    HearingModel,
    HearingOptions,
    SpeakingModel,
    SpeakingOptions,
    VendorVoice,
)


class MakeTranscriber(Protocol):
    def __call__(
        self, api_key: str, options: HearingOptions, *, net: Net, base_url: str
    ) -> Transcriber: ...


class MakeVoice(Protocol):
    def __call__(
        self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str
    ) -> Voice: ...


ListVoices = Callable[[Net, str, str], Awaitable[tuple[VendorVoice, ...]]]
"""Net, key and base URL to the voices that the key can use. Raises `EngineFailed`."""
Check = Callable[[Net, str, str], Awaitable[None]]
"""One tiny request. Raises `EngineFailed` where the key does not do."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """`base_url`: the documented one, "" where each has its own; another may be given, as for a
    region. `hears` and `speaks`: its models, the one to use by default first; empty where it does
    not do that."""

    id: str
    name: str
    base_url: str
    hears: tuple[HearingModel, ...] = ()
    speaks: tuple[SpeakingModel, ...] = ()
    make_transcriber: MakeTranscriber | None = None
    make_voice: MakeVoice | None = None
    list_voices: ListVoices | None = None
    check_key: Check | None = None

    def transcriber(
        self, api_key: str, options: HearingOptions, *, net: Net, base_url: str | None = None
    ) -> Transcriber:
        """Raises `ValueError` where it hears nobody."""
        if self.make_transcriber is None:
            raise ValueError(f"{self.name} has no transcription")
        return self.make_transcriber(api_key, options, net=net, base_url=base_url or self.base_url)

    def voice(
        self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str | None = None
    ) -> Voice:
        """Raises `ValueError` where it has no voice."""
        if self.make_voice is None:
            raise ValueError(f"{self.name} has no voices")
        return self.make_voice(api_key, options, net=net, base_url=base_url or self.base_url)

    async def voices(
        self, net: Net, api_key: str, base_url: str | None = None
    ) -> tuple[VendorVoice, ...]:
        """Those that the key can use; none where it has none. Raises `EngineFailed`."""
        if self.list_voices is None:
            return ()
        return await self.list_voices(net, api_key, (base_url or self.base_url).rstrip("/"))

    async def check(self, net: Net, api_key: str, base_url: str | None = None) -> None:
        """One tiny request. Raises `EngineFailed` where the key does not do."""
        if self.check_key is not None:
            await self.check_key(net, api_key, (base_url or self.base_url).rstrip("/"))


_ALL = (
    Vendor(
        "deepgram",
        "Deepgram",
        deepgram_stt.BASE_URL,
        hears=deepgram_stt.MODELS,
        speaks=deepgram_tts.MODELS,
        make_transcriber=deepgram_stt.DeepgramTranscriber,
        make_voice=deepgram_tts.DeepgramVoice,
        list_voices=deepgram_tts.deepgram_voices,
        check_key=deepgram_stt.check_deepgram,
    ),
    Vendor(
        "elevenlabs",
        "ElevenLabs",
        elevenlabs_stt.BASE_URL,
        hears=elevenlabs_stt.MODELS,
        speaks=elevenlabs_tts.MODELS,
        make_transcriber=elevenlabs_stt.ElevenLabsTranscriber,
        make_voice=elevenlabs_tts.ElevenLabsVoice,
        list_voices=elevenlabs_tts.elevenlabs_voices,
        check_key=elevenlabs_stt.check_elevenlabs,
    ),
    Vendor(
        "cartesia",
        "Cartesia",
        cartesia_stt.BASE_URL,
        hears=cartesia_stt.MODELS,
        speaks=cartesia_tts.MODELS,
        make_transcriber=cartesia_stt.CartesiaTranscriber,
        make_voice=cartesia_tts.CartesiaVoice,
        list_voices=cartesia_tts.cartesia_voices,
        check_key=cartesia_stt.check_cartesia,
    ),
    Vendor(
        "assemblyai",
        "AssemblyAI",
        assemblyai.BASE_URL,
        hears=assemblyai.MODELS,
        make_transcriber=assemblyai.AssemblyAITranscriber,
        check_key=assemblyai.check_assemblyai,
    ),
    Vendor(
        "soniox",
        "Soniox",
        soniox_stt.BASE_URL,
        hears=soniox_stt.MODELS,
        speaks=soniox_tts.MODELS,
        make_transcriber=soniox_stt.SonioxTranscriber,
        make_voice=soniox_tts.SonioxVoice,
        list_voices=soniox_tts.soniox_voices,
        check_key=soniox_stt.check_soniox,
    ),
    Vendor(
        "azure_speech",
        "Azure Speech",
        "",
        hears=azure.HEARS,
        speaks=azure.SPEAKS,
        make_transcriber=azure_stt.AzureTranscriber,
        make_voice=azure_tts.AzureVoice,
        list_voices=azure.azure_voices,
        check_key=azure.check_azure,
    ),
    Vendor(
        "google_speech",
        "Google Cloud Speech",
        google.BASE_URL,
        hears=google.HEARS if google_stt.INSTALLED else (),
        speaks=google.SPEAKS,
        make_transcriber=google_stt.GoogleTranscriber if google_stt.INSTALLED else None,
        make_voice=google_tts.GoogleVoice,
        list_voices=google.google_voices,
        check_key=google.check_google,
    ),
    Vendor(
        "faseeh",
        "Faseeh",
        faseeh.BASE_URL,
        speaks=faseeh.MODELS,
        make_voice=faseeh.FaseehVoice,
        list_voices=faseeh.faseeh_voices,
        check_key=faseeh.check_faseeh,
    ),
    Vendor(
        "openai",
        "OpenAI",
        openai_audio.OPENAI_URL,
        hears=openai_audio.OPENAI_HEARS,
        speaks=openai_audio.OPENAI_SPEAKS,
        make_transcriber=openai_stt.OpenAITranscriber,
        make_voice=openai_tts.OpenAISpeech,
        list_voices=openai_audio.openai_voices,
        check_key=openai_audio.check_openai_audio,
    ),
    Vendor(
        "groq",
        "Groq",
        openai_audio.GROQ_URL,
        hears=openai_audio.GROQ_HEARS,
        speaks=openai_audio.GROQ_SPEAKS,
        make_transcriber=openai_stt.GroqTranscriber,
        make_voice=openai_tts.GroqSpeech,
        list_voices=openai_audio.groq_voices,
        check_key=openai_audio.check_openai_audio,
    ),
    Vendor(
        "custom",
        "A server of one's own that speaks OpenAI's audio API",
        "",
        hears=(HearingModel("whisper-1", "What the server has under this name"),),
        speaks=(SpeakingModel("tts-1", "What the server has under this name"),),
        make_transcriber=openai_stt.CustomTranscriber,
        make_voice=openai_tts.CustomSpeech,
        list_voices=openai_audio.listed_voices,
        check_key=openai_audio.check_openai_audio,
    ),
)

VENDORS: Mapping[str, Vendor] = {vendor.id: vendor for vendor in _ALL}
