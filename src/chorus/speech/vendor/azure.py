"""What Azure Speech's REST API asks of a client: where it is reached, and how a key is shown.

By Microsoft's references "Speech to text REST API for short audio" and "Text to speech REST API"
(learn.microsoft.com, read in November 2026). They are the parts of the service that need no SDK:
a turn is sent as a file, there are no words before it, and no times of words.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from chorus.outbound import Headers
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import HearingModel, SpeakingModel, VendorVoice, bare
from chorus.speech.vendor.rest import get_json

HEARS = (HearingModel("short-audio", "Azure Speech", p99_ms=1800),)
SPEAKS = (SpeakingModel("neural", "Azure neural voices"),)

_REGIONAL = re.compile(r"^(?P<region>[a-z0-9]+)\.(?:api\.cognitive|tts\.speech|stt\.speech)\.")
# Of the languages that it hears and speaks, by Microsoft's "Language and voice support" (read in
# November 2026): the only region of each, or of several the one meant where none is named.
_REGIONS = (
    "af-ZA am-ET ar-EG as-IN az-AZ bg-BG bn-IN bs-BA ca-ES cs-CZ cy-GB da-DK de-DE el-GR en-US "
    "es-ES et-EE eu-ES fa-IR fi-FI fil-PH fr-FR ga-IE gl-ES gu-IN he-IL hi-IN hr-HR hu-HU hy-AM "
    "id-ID is-IS it-IT ja-JP jv-ID ka-GE kk-KZ km-KH kn-IN ko-KR lo-LA lt-LT lv-LV mk-MK ml-IN "
    "mn-MN mr-IN ms-MY mt-MT my-MM nb-NO ne-NP nl-NL or-IN pa-IN pl-PL ps-AF pt-BR ro-RO ru-RU "
    "si-LK sk-SK sl-SI so-SO sq-AL sr-RS sv-SE sw-KE ta-IN te-IN th-TH tr-TR uk-UA ur-IN uz-UZ "
    "vi-VN wuu-CN yue-CN zh-CN zu-ZA"
)
_OTHER_NAMES = {"iw": "he-IL", "no": "nb-NO", "tl": "fil-PH"}  # older or wider ones
_LOCALES = {tag.split("-")[0]: tag for tag in _REGIONS.split()} | _OTHER_NAMES
_VOICES = {
    "ar": "ar-EG-SalmaNeural",
    "de": "de-DE-KatjaNeural",
    "en": "en-US-JennyNeural",
    "es": "es-ES-ElviraNeural",
    "fr": "fr-FR-DeniseNeural",
    "it": "it-IT-ElsaNeural",
}


def locale(language: str | None) -> str:
    """A region is needed with each language: `de-DE` of `de`. A language that the service does not
    know is named as it is, and refused."""
    if language and "-" in language:
        return language
    name = bare(language) or "en"
    return _LOCALES.get(name, name)


def default_voice(language: str | None) -> str:
    return _VOICES.get(bare(language) or "en", _VOICES["en"])


def address(base_url: str, part: str) -> str:
    """Of a `part` (`stt`, `tts`) of a resource. A region's address (as the portal shows it,
    `https://REGION.api.cognitive.microsoft.com`) leads to that part's own; at a resource's own
    domain (`https://NAME.cognitiveservices.azure.com`) the part is a path."""
    base = base_url.rstrip("/")
    host = urlsplit(base).hostname or ""
    if found := _REGIONAL.match(host):
        clouds = {".azure.cn": "azure.cn", ".azure.us": "azure.us", ".microsoft.us": "azure.us"}
        own = (rest for end, rest in clouds.items() if host.endswith(end))
        rest = next(own, "microsoft.com")
        return f"https://{found['region']}.{part}.speech.{rest}"
    return f"{base}/{part}"


def voices_url(base_url: str) -> str:
    return f"{address(base_url, 'tts')}/cognitiveservices/voices/list"


def headers_of(api_key: str) -> Headers:
    return (("Ocp-Apim-Subscription-Key", api_key), ("User-Agent", "chorus"))


async def azure_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """Those of the region. Raises `EngineFailed`."""
    failures = Failures("azure_speech", api_key)
    url = voices_url(base_url)
    found = await get_json(net, url, headers_of(api_key), failures)
    return failures.reading("request", lambda: tuple(_voice(each) for each in found))


def _voice(each: dict[str, Any]) -> VendorVoice:
    others: list[str] = each.get("SecondaryLocaleList") or []
    languages = (str(each["Locale"]), *others)
    labels = {"gender": str(each["Gender"])} if each.get("Gender") else None
    name = str(each.get("DisplayName") or each["ShortName"])
    return VendorVoice(str(each["ShortName"]), name, languages, labels=labels)


async def check_azure(net: Net, api_key: str, base_url: str) -> None:
    """Raises `EngineFailed`."""
    url = voices_url(base_url)
    await get_json(net, url, headers_of(api_key), Failures("azure_speech", api_key))
