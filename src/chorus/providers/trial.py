"""Testing a key: one small request to its vendor, and a sentence about what is wrong.

Each vendor is asked for the least that shows most: a language model for one word, because only
that tells whether there is money; a transcriber for a tenth of a second of silence where it takes
it; else the account or a list. The requests and the errors are those of the vendors' API
references; none of them was tried with a real account.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from chorus.llm.endpoint import without_secrets
from chorus.outbound import Outbound, OutboundAnswer, OutboundFailed, OutboundRefused
from chorus.providers.models import CHEAP
from chorus.providers.schemas import Problem
from chorus.providers.vendors import BY_NAME, Vendor
from chorus.speech.vendor import azure, google

TIMEOUT_MS = 10_000
_MOST_BYTES = 1_000_000
_MOST_SAID = 200
_TENTH_OF_SILENCE = b"\xff" * 800
"""µ-law at 8 kHz."""

_NO_MONEY = re.compile(
    r"(?i)insufficient[_ ](?:quota|funds|credit|balance)|quota[_ ]exceeded|exceeded your current"
    r"|credit balance|not enough credits|out of credits|payment[_ ]required|billing"
)
_BAD_KEY = re.compile(
    r"(?i)api[_ ]key[_ ]invalid|api key not valid|invalid api key|api key expired"
)
_NO_MODEL = re.compile(r"(?i)model")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problem` None: the key can be used."""

    problem: Problem | None
    message: str
    elapsed_ms: int = 0

    @property
    def ok(self) -> bool:
        return self.problem is None


@dataclass(frozen=True, slots=True)
class _Request:
    """`look` reads a good answer that may still tell of no quota. `model` is the one that is
    asked; `named`: by whoever gave the key."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    content: bytes | None = None
    look: Callable[[Any], str | None] | None = None
    model: str = ""
    named: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """What is to be tested: the vendor, the key in clear, and what was said with it."""

    vendor: Vendor
    api_key: str = field(repr=False)
    base_url: str | None = None
    models: tuple[str, ...] = ()


async def test(outbound: Outbound, tried: Tried) -> Verdict:
    """Never raises for what the vendor does."""
    title = tried.vendor.title
    try:
        # In a thread: a key that is a file signs with it, which takes some milliseconds.
        request = await asyncio.to_thread(_request, tried)
    except ValueError as error:
        return Verdict("bad_key", f"The key of {title} {error}.")
    try:
        answer = await outbound.send(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            timeout_ms=TIMEOUT_MS,
            max_bytes=_MOST_BYTES,
            truncate=True,
            max_redirects=0,
        )
    except OutboundRefused as refused:
        return Verdict("refused", f"The request was not sent: {refused}.")
    except OutboundFailed as failed:
        kind: Problem = "timeout" if failed.timed_out else "unreachable"
        return Verdict(kind, f"{title} cannot be reached: {failed}.")
    found = _read(answer, request, title)
    safe = without_secrets(found.message, tried.api_key)
    return Verdict(found.problem, safe, answer.elapsed_ms)


def _read(answer: OutboundAnswer, request: _Request, title: str) -> Verdict:
    body = _json(answer.body)
    said = _said(body)
    told = f": {said}" if said else "."
    status = answer.status
    if status < 300:
        empty = request.look(body) if request.look else None
        if empty is not None:
            return Verdict("no_quota", f"{title} takes the key, but {empty}.")
        return Verdict(None, f"{title} takes the key.")
    if status < 400:
        return Verdict("wrong_address", f"{title} redirected elsewhere: the base URL is wrong.")
    text = f"{said} {json.dumps(body)[:2000] if body is not None else ''}"
    if status in (401, 403) and "missing_permissions" in text:
        # ElevenLabs: a key that is restricted to speaking may not look at its own quota.
        return Verdict(None, f"{title} takes the key, which may not look at its own quota.")
    if status == 402 or (status in (400, 401, 403, 429) and _NO_MONEY.search(text)):
        return Verdict(
            "no_quota", f"{title} takes the key, but its quota or money is used up{told}"
        )
    if status == 401 or _BAD_KEY.search(text):
        return Verdict("bad_key", f"{title} does not take the key (HTTP {status}){told}")
    if status == 403:
        return Verdict("no_permission", f"{title} does not allow this key to be used{told}")
    if status == 429:
        return Verdict("rate_limited", f"{title} takes no more requests of this key now{told}")
    if status in (400, 404, 422) and request.model and (_NO_MODEL.search(text)):
        if request.named:
            return Verdict("no_model", f"{title} has no model {request.model} for this key{told}")
        return Verdict(
            None, f"{title} takes the key, but has no {request.model} to try it with{told}"
        )
    if status in (404, 405):
        return Verdict("wrong_address", f"There is no such API at the base URL (HTTP {status}).")
    return Verdict("vendor_error", f"{title} answered HTTP {status}{told}")


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _said(body: Any) -> str:
    """What the vendor says is wrong, in one line."""
    found = body
    if isinstance(found, list) and found:
        found = cast("list[Any]", found)[0]
    for _ in range(3):
        if not isinstance(found, dict):
            break
        inner = cast("dict[str, Any]", found)
        names = ("error", "message", "detail", "err_msg", "errorMessage", "error_message", "title")
        found = next((inner[name] for name in names if inner.get(name)), None)
    if not isinstance(found, str):
        return ""
    return " ".join(found.split())[:_MOST_SAID]


# --- what each vendor is asked ------------------------------------------------------------------


def _request(tried: Tried) -> _Request:
    vendor, key = tried.vendor, tried.api_key
    base = (tried.base_url or BY_NAME[vendor.name].base_url or "").rstrip("/")
    bearer = ("authorization", f"Bearer {key}")
    model = tried.models[0] if tried.models else CHEAP.get(vendor.name, "")
    named = bool(tried.models)
    match vendor.name:
        case "anthropic":
            body = {"model": model, "max_tokens": 1, "messages": _WORD}
            headers = (("x-api-key", key), ("anthropic-version", "2023-06-01"))
            return _post(f"{base}/v1/messages", headers, body, model, named)
        case "google":
            url = f"{base}/v1beta/models/{model}:generateContent"
            body = {
                "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
                "generationConfig": {"maxOutputTokens": 1},
            }
            return _post(url, (("x-goog-api-key", key),), body, model, named)
        case "openrouter":
            return _Request("GET", f"{base}/key", (bearer,), look=_openrouter_quota)
        case "deepgram":
            url = f"{base}/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000"
            headers = (("authorization", f"Token {key}"), ("content-type", "audio/mulaw"))
            return _Request("POST", url, headers, _TENTH_OF_SILENCE)
        case "elevenlabs":
            url = f"{base}/v1/user/subscription"
            return _Request("GET", url, (("xi-api-key", key),), look=_elevenlabs_quota)
        case "cartesia":
            headers = (("x-api-key", key), ("cartesia-version", "2026-03-01"))
            return _Request("GET", f"{base}/voices?limit=1", headers)
        case "assemblyai":
            return _Request("GET", f"{base}/v2/transcript?limit=1", (("authorization", key),))
        case "soniox":
            return _Request("GET", f"{base}/v1/models", (bearer,))
        case "azure_speech":
            headers = tuple(azure.headers_of(key))
            url = azure.voices_url(base)
            return _Request("GET", url, headers)
        case "google_speech":
            url, signed, content = google.tiny_request(google.ServiceAccount(key), base)
            return _Request("POST", url, tuple(signed), content)
        case "faseeh":
            url = f"{base}/api/v1/text-to-speech/faseeh-mini-v1-preview"
            body = {"voice_id": "ar-hijazi-female-1", "text": "نعم", "streaming": False}
            return _post(url, (("x-api-key", key),), body)
        case _:
            return _chat(base, vendor, key, model, named)


_WORD = [{"role": "user", "content": "Hi"}]


def _chat(base: str, vendor: Vendor, key: str, model: str, named: bool) -> _Request:
    """A server of chat completions: one word of a model, or its list where none is known."""
    path, mark, query = base.partition("?")
    rest = mark + query
    headers = (("authorization", f"Bearer {key}"),)
    if vendor.name == "azure_openai":
        headers = (("api-key", key),)
    if not model:
        return _Request("GET", f"{path}/models{rest}", headers)
    # OpenAI's newer models take the one name only, most other servers the other.
    most = "max_completion_tokens" if vendor.name in ("openai", "azure_openai") else "max_tokens"
    body = {"model": model, "messages": _WORD, most: 16}
    return _post(f"{path}/chat/completions{rest}", headers, body, model, named)


def _post(
    url: str,
    headers: tuple[tuple[str, str], ...],
    body: dict[str, Any],
    model: str = "",
    named: bool = False,
) -> _Request:
    content = json.dumps(body).encode()
    kind = ("content-type", "application/json")
    return _Request("POST", url, (*headers, kind), content, model=model, named=named)


def _openrouter_quota(body: Any) -> str | None:
    """`limit_remaining` null is no limit."""
    left = body.get("data", {}).get("limit_remaining") if isinstance(body, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  any JSON
    return "its credit limit is used up" if isinstance(left, int | float) and left <= 0 else None


def _elevenlabs_quota(body: Any) -> str | None:
    found = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    used, limit = found.get("character_count"), found.get("character_limit")
    extends = found.get("can_extend_character_limit") and found.get(
        "allowed_to_extend_character_limit"
    )
    if isinstance(used, int) and isinstance(limit, int) and used >= limit and not extends:
        return f"its {limit} characters of this month are used up"
    return None
