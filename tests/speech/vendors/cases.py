"""Every adapter with its stand-in, for the tests that all of them have to pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.vendors.assemblyai import AssemblyEars
from tests.fakes.vendors.cartesia import InkEars, SonicMouth
from tests.fakes.vendors.deepgram import AuraMouth, FluxEars, NovaEars
from tests.fakes.vendors.elevenlabs import ElevenLabsMouth, ScribeEars
from tests.fakes.vendors.hearing import Ears
from tests.fakes.vendors.soniox import SonioxEars, SonioxMouth
from tests.fakes.vendors.speaking import Mouth

from chorus.speech.vendor.options import HearingOptions, SpeakingOptions
from chorus.speech.vendors import VENDORS


@dataclass(frozen=True)
class EarsCase:
    name: str
    vendor: str
    ears: type[Ears]
    model: str = ""
    bye: bool = True
    """There is a message that ends a stream; else it ends with its socket."""
    idle_s: float = 5.0
    """Without audio, it is told so often that the stream is still wanted."""
    fills: bool = False
    """A piece of audio that is too short for it is filled up with silence."""

    def transcriber(self, key: str, net: Any, url: str, **options: Any) -> Any:
        wanted = HearingOptions(self.model, **options)
        return VENDORS[self.vendor].transcriber(key, wanted, net=net, base_url=url)


@dataclass(frozen=True)
class MouthCase:
    name: str
    vendor: str
    mouth: Callable[[], Mouth]
    marks: bool = True
    stops: bool = True
    """The vendor's work can be stopped."""
    byes: int = 1
    """Messages that end a session; else it ends with its socket."""

    def voice(self, key: str, net: Any, url: str) -> Any:
        return VENDORS[self.vendor].voice(key, SpeakingOptions(), net=net, base_url=url)


EARS = (
    EarsCase("deepgram nova-3", "deepgram", NovaEars),
    EarsCase("deepgram flux", "deepgram", FluxEars, "flux-general-en"),
    EarsCase("elevenlabs scribe", "elevenlabs", ScribeEars, bye=False),
    EarsCase("cartesia ink", "cartesia", InkEars, idle_s=120.0),
    EarsCase("assemblyai", "assemblyai", AssemblyEars, fills=True),
    EarsCase("soniox", "soniox", SonioxEars),
)
MOUTHS = (
    MouthCase("deepgram aura-2", "deepgram", AuraMouth, marks=False),
    MouthCase("elevenlabs", "elevenlabs", ElevenLabsMouth, stops=False),
    MouthCase("cartesia", "cartesia", SonicMouth, byes=0),
    MouthCase("soniox", "soniox", SonioxMouth, byes=0),
)
