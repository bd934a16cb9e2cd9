"""How the text of one environment variable is read: a function for each kind of value.

Each returns the value or raises `Wrong`, whose text finishes the sentence that begins with the
variable's name. Values that may be secrets are never repeated in it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from chorus.languages import LanguageWrong, languages_with
from chorus.llm.options import OpenAIOptions

API_KEY_PATTERN = re.compile(r"(sk_live_|chorus_)[A-Za-z0-9_-]{32,200}")


class Wrong(Exception):
    """The text cannot be read as this kind of value."""


def text(raw: str) -> str:
    return raw


def host(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", raw):
        raise Wrong(f"must be an IP address or a host name, not {raw!r}")
    return raw


def credential(raw: str) -> str:
    # It travels in a header. It is not repeated: a bad key is still a secret.
    if not re.fullmatch(r"[!-~]+", raw):
        raise Wrong("must hold no spaces and nothing but ASCII")
    return raw


def document(raw: str) -> str:
    # A credential that is a file, as JSON. It is not repeated either.
    if not raw.startswith("{"):
        raise Wrong("must be a JSON document, whole")
    return raw


def flag(raw: str) -> bool:
    match raw.lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
        case _:
            raise Wrong(f"must be 1 or 0, not {raw!r}")


def number(low: int, high: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        # int() would also take "1_000" and digits of other scripts.
        if not re.fullmatch(r"[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise Wrong(f"must be a whole number from {low} to {high}, not {raw!r}")
        return int(raw)

    return read


def share(raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise Wrong(f"must be a number from 0 to 1, not {raw!r}")
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    def read(raw: str) -> str:
        if raw.lower() not in allowed:
            raise Wrong(f"must be one of {', '.join(allowed)}, not {raw!r}")
        return raw.lower()

    return read


def _list(raw: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in raw.split(",")) if part)


def names(raw: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(_list(raw)))
    if not names:
        raise Wrong("must hold at least one name")
    return names


def model_options(raw: str) -> dict[str, Any]:
    """A JSON object of `OpenAIOptions.with_json`; it may hold secrets and is not repeated."""
    try:
        given: Any = json.loads(raw)
    except (ValueError, RecursionError):
        raise Wrong('must be a JSON object such as {"temperature": 0.3}') from None
    if not isinstance(given, dict):
        raise Wrong('must be a JSON object such as {"temperature": 0.3}')
    try:
        OpenAIOptions().with_json(given)  # pyright: ignore[reportUnknownArgumentType]
    except ValueError as wrong:
        raise Wrong(f"cannot be used: {wrong}") from None
    return given  # pyright: ignore[reportUnknownVariableType]


def _split(raw: str) -> SplitResult:
    if not re.fullmatch(r"[!-~]+", raw):
        raise Wrong("must be a URL without spaces, in ASCII (other host names as xn--…)")
    try:
        parts = urlsplit(raw)
        if parts.username or parts.password:
            raise Wrong("must not hold a user name or a password")
        _ = parts.port
    except ValueError:
        # Not repeated: where it cannot be told apart, it may hold a password.
        raise Wrong("is not a URL, or its port is not a number up to 65535") from None
    if parts.query or parts.fragment:
        raise Wrong("must have no query and no fragment")
    return parts


def url(raw: str) -> str:
    parts = _split(raw)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Wrong(f"must be a URL that begins with http:// or https://, not {raw!r}")
    return raw.rstrip("/")


def origins(raw: str) -> tuple[str, ...]:
    found = _list(raw)
    for origin in found:
        if origin != "*" and (origin != url(origin) or urlsplit(origin).path):
            raise Wrong(f"must be origins such as https://app.example.com, not {origin!r}")
    return found


def addresses(raw: str) -> tuple[str, ...]:
    addresses = _list(raw)
    for address in addresses:
        try:
            if address != "*":
                ipaddress.ip_network(address)
        except ValueError:
            raise Wrong(f"must be IP addresses or networks, not {address!r}") from None
    return addresses


def path(raw: str) -> Path:
    try:
        return Path(raw).expanduser()
    except RuntimeError:
        raise Wrong(f"names the home of a user that does not exist: {raw!r}") from None


def languages(raw: str) -> Path:
    """A folder of language files, all of which can be used."""
    folder = path(raw)
    try:
        languages_with(folder)
    except LanguageWrong as wrong:
        raise Wrong(f"names a folder that cannot be used: {wrong}") from None
    return folder


def storage_url(raw: str) -> str:
    parts = _split(raw)
    match parts.scheme:
        case "file" if parts.netloc in ("", "localhost") and len(parts.path) > 1:
            return raw.rstrip("/")
        case "s3" if parts.netloc:
            return raw.rstrip("/")
        case _:
            raise Wrong(f"must be file:///folder or s3://bucket/prefix, not {raw!r}")


def secret_keys(raw: str) -> tuple[str, ...]:
    keys = _list(raw)
    if not keys or min(map(len, keys)) < 32:
        raise Wrong(
            "must be at least 32 characters (several keys are separated by commas); "
            "make one with: openssl rand -base64 32"
        )
    return keys


def api_key(raw: str) -> str:
    if not API_KEY_PATTERN.fullmatch(raw):
        raise Wrong("must be sk_live_ or chorus_ and at least 32 letters, digits, - or _")
    return raw


def database_url(raw: str) -> str:
    # Imported here: it takes longer than all else that `chorus --help` does.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(raw)
    except (ArgumentError, ValueError):
        # The value may hold a password: it is not repeated.
        raise Wrong("is not a database URL such as postgresql://user:password@host/name") from None
    match url.drivername:
        case "sqlite" | "sqlite+aiosqlite":
            if not url.database or url.database == ":memory:":
                raise Wrong("must name a file: a SQLite database in memory is not supported")
            url = url.set(drivername="sqlite+aiosqlite")
        case "postgres" | "postgresql" | "postgresql+psycopg":
            url = url.set(drivername="postgresql+psycopg")
        case other:
            raise Wrong(f"must begin with sqlite:// or postgresql://, not {other}://")
    return url.render_as_string(hide_password=False)
