"""What Google Cloud's speech services ask of a client: where they are reached, how a key is shown,
and which models and voices there are.

By Google's references of Speech-to-Text v2 and Text-to-Speech v1 (docs.cloud.google.com), of
service accounts' own tokens (google.aip.dev/auth/4111), and the types of `google-cloud-speech`
2.41 and `google-cloud-texttospeech` 2.38, read in November 2026. A key is a service account's key
file, whole. It signs the tokens that are sent: nobody has to be asked for one.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import b64encode
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

from chorus.outbound import Headers, OutboundFailed, OutboundRefused
from chorus.speech.engines import EngineFailed
from chorus.speech.vendor import azure
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import HearingModel, SpeakingModel, VendorVoice, bare
from chorus.speech.vendor.rest import get_json

BASE_URL = "https://us-speech.googleapis.com"
"""Speech-to-Text in the multi-region `us`, which has Chirp 3. The voices' address follows it."""
HEARS = (
    HearingModel("chirp_3", "Chirp 3", p99_ms=1570),
    HearingModel("telephony", "Telephony", p99_ms=1570),
)
SPEAKS = (
    SpeakingModel("chirp3-hd", "Chirp 3 HD"),
    SpeakingModel("neural2", "Neural2"),
    SpeakingModel("wavenet", "WaveNet"),
    SpeakingModel("standard", "Standard"),
)
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_S, _RENEW_S = 3600, 300
_HOST = re.compile(r"^(?:(?P<location>[a-z]+(?:-[a-z]+\d+)?)-)?speech\.googleapis\.com$")
_TRY_MS, _TRY_BYTES = 8000, 1_000_000
_SILENCE = b"\xff" * 800
"""A tenth of a second, µ-law at 8 kHz."""


class ServiceAccount:
    """What a key file says. Raises `ValueError`, whose text is a sentence without the key."""

    def __init__(self, key_file: str) -> None:
        try:
            told = json.loads(key_file)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise ValueError("must be the JSON key file of a service account, whole")
        found = cast("dict[str, Any]", told)
        for name in ("project_id", "private_key_id", "private_key", "client_email"):
            if not found.get(name) or not isinstance(found[name], str):
                raise ValueError(f"is no key file of a service account: it has no {name}")
        self.project: str = found["project_id"]
        self.key_id: str = found["private_key_id"]
        self._email: str = found["client_email"]
        self._pem: str = found["private_key"]
        self._token, self._until_s = "", 0.0

    @cached_property
    def _private_key(self) -> Any:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(self._pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("has a private_key that cannot be read")
        return key

    def token(self) -> str:
        """Good for five minutes at least. The first takes some milliseconds. Raises `ValueError`
        where the private key cannot be read."""
        now_s = time.time()
        if now_s > self._until_s - _RENEW_S:
            import jwt

            whose = {"iss": self._email, "sub": self._email, "scope": _SCOPE}
            claims = {**whose, "iat": int(now_s), "exp": int(now_s) + _TOKEN_S}
            named = {"kid": self.key_id}
            self._token = jwt.encode(claims, self._private_key, "RS256", headers=named)
            self._until_s = now_s + _TOKEN_S
        return self._token

    def headers(self) -> Headers:
        """Raises `ValueError` as `token` does."""
        return (("Authorization", f"Bearer {self.token()}"),)


class GoogleFailures(Failures):
    """Google's quotas are of requests a minute: who exceeds one has money left."""

    def status(self, stage: str, status: int, words: str = "") -> EngineFailed:
        if status == 429:
            return self.of(stage, "busy", f"HTTP 429 {words}")
        return super().status(stage, status, words)


async def account_of(api_key: str, failures: Failures, stage: str) -> ServiceAccount:
    """With a token at hand. Raises `EngineFailed` where the key is no key file."""

    def read() -> ServiceAccount:
        account = ServiceAccount(api_key)
        account.token()
        return account

    try:
        return await asyncio.to_thread(read)
    except ValueError as error:
        raise failures.of(stage, "key", f"it {error}") from None


def locale(language: str | None) -> str:
    """`de-DE` of `de`; Google calls Mandarin `cmn`."""
    if bare(language) == "zh":
        return "cmn-Hans-CN"
    return azure.locale(language)


def voice_locale(language: str | None) -> str:
    """Voices of Mandarin are named without a script."""
    return locale(language).replace("-Hans-", "-")


def location(base_url: str) -> str:
    """Where a recognizer is: the beginning of Google's host, or `global`."""
    found = _HOST.match(urlsplit(base_url).hostname or "")
    return (found and found["location"]) or "global"


def is_googles(base_url: str) -> bool:
    """Whether an address is one of Speech-to-Text's own."""
    url = urlsplit(base_url)
    return url.scheme == "https" and bool(_HOST.match(url.hostname or "")) and not url.port


def voices_address(base_url: str) -> str:
    """Of Text-to-Speech, which has the multi-regions `us` and `eu`, and one for all."""
    if not is_googles(base_url):
        return base_url.rstrip("/")
    place = location(base_url)
    region = next((each for each in ("us", "eu") if place.startswith(each)), "")
    return f"https://{region}{'-' if region else ''}texttospeech.googleapis.com"


def tier(voice: str) -> str:
    """The model of a voice, by its name: `neural2` of `de-DE-Neural2-G`."""
    lower = voice.lower()
    return next((model.id for model in SPEAKS if f"-{model.id}-" in f"{lower}-"), "")


async def google_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """Those of the models that Chorus knows a price of. Raises `EngineFailed`."""
    failures = GoogleFailures("google_speech", api_key)
    account = await account_of(api_key, failures, "request")
    url = f"{voices_address(base_url)}/v1/voices"
    found = await get_json(net, url, account.headers(), failures)
    listed = failures.reading("request", lambda: [_voice(each) for each in found["voices"]])
    return tuple(voice for voice in listed if voice.model)


def _voice(each: dict[str, Any]) -> VendorVoice:
    name = str(each["name"])
    languages = tuple(str(code) for code in each["languageCodes"])
    gender = str(each.get("ssmlGender") or "").lower()
    labels = {"gender": gender} if gender in ("male", "female", "neutral") else None
    return VendorVoice(name, name, languages, tier(name), labels=labels)


def tiny_request(account: ServiceAccount, base_url: str) -> tuple[str, Headers, bytes]:
    """URL, headers and body of the smallest that shows whether somebody is heard: a tenth of a
    second of silence. Raises `ValueError` as `ServiceAccount.token` does."""
    place = f"projects/{account.project}/locations/{location(base_url)}/recognizers/_"
    decoding = {"encoding": "MULAW", "sampleRateHertz": 8000, "audioChannelCount": 1}
    model = HEARS[1 if location(base_url) == "global" else 0].id
    config = {"explicitDecodingConfig": decoding, "model": model, "languageCodes": ["en-US"]}
    body = json.dumps({"config": config, "content": b64encode(_SILENCE).decode()}).encode()
    headers = (*account.headers(), ("Content-Type", "application/json"))
    return f"{base_url.rstrip('/')}/v2/{place}:recognize", headers, body


async def check_google(net: Net, api_key: str, base_url: str) -> None:
    """Raises `EngineFailed`."""
    failures = GoogleFailures("google_speech", api_key)
    account = await account_of(api_key, failures, "request")
    url, headers, body = tiny_request(account, base_url)
    try:
        answer = await net.send(
            "POST", url, headers=headers, content=body, timeout_ms=_TRY_MS, max_bytes=_TRY_BYTES
        )
    except (OutboundFailed, OutboundRefused) as error:
        raise failures.unreached("request", error) from None
    if answer.status != 200:
        told = answer.body[:2000].decode("utf-8", "replace")
        raise failures.status("request", answer.status, told)
