"""The control messages of a browser call, in JSON; what each means is in `docs/browser-calls.md`.

Whatever a page sends is a stranger's: a message is read into one of these, or refused with
`WrongMessage` and a sentence that says what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import orjson

from chorus.audio.frame import MULAW_8K, PCM_16K, AudioFormat
from chorus.lines.dtmf import KEYS

MAX_CONTROL_CHARS = 4096
MAX_TEXT_CHARS = 256
# A month of samples: larger numbers mean nothing.
MAX_NUMBER = 1 << 37

FORMATS = {
    "pcm16/16000": PCM_16K,
    "pcm16/24000": AudioFormat("pcm16", 24000),
    "mulaw/8000": MULAW_8K,
}
"""By the name that a page asks for; the last is what telephones have."""


class WrongMessage(Exception):
    """Not a message of ours; the text says why."""


@dataclass(frozen=True, slots=True)
class Start:
    """The first of a call. `format` of the audio in both directions."""

    call_id: str
    token: str
    format: AudioFormat


@dataclass(frozen=True, slots=True)
class Resume:
    """The first on a new socket of a call whose socket was lost. `received` are the samples that
    came since the clear with the number `epoch`."""

    call_id: str
    token: str
    epoch: int
    received: int


@dataclass(frozen=True, slots=True)
class Played:
    """Positions in samples since the clear with the number `epoch`. `plays`: it goes on."""

    epoch: int
    played: int
    received: int
    plays: bool
    round_trip_ms: float


@dataclass(frozen=True, slots=True)
class Skip:
    """So much of the microphone's sound was never sent."""

    ms: float


@dataclass(frozen=True, slots=True)
class Digit:
    digit: str


@dataclass(frozen=True, slots=True)
class Ping:
    t: float


@dataclass(frozen=True, slots=True)
class Stop:
    """The person hangs up."""


Control = Played | Skip | Digit | Ping | Stop


def read_first(message: str | bytes) -> Start | Resume:
    """Raises `WrongMessage`."""
    body = _object(message)
    match body.get("type"):
        case "start":
            format = body.get("format", "pcm16/16000")
            if not isinstance(format, str) or format not in FORMATS:
                raise WrongMessage(f"format must be one of {', '.join(FORMATS)}")
            return Start(_text(body, "callId"), _text(body, "token"), FORMATS[format])
        case "resume":
            return Resume(
                _text(body, "callId"),
                _text(body, "token"),
                _count(body, "epoch"),
                _count(body, "received"),
            )
        case _:
            raise WrongMessage("the first message must be start or resume")


def read(message: str) -> Control:
    """Raises `WrongMessage`."""
    body = _object(message)
    match body.get("type"):
        case "played":
            return Played(
                _count(body, "epoch"),
                _count(body, "played"),
                _count(body, "received"),
                body.get("plays") is True,
                _number(body, "rttMs", 0.0),
            )
        case "skip":
            return Skip(_number(body, "ms"))
        case "digit":
            digit = body.get("digit")
            if not isinstance(digit, str) or len(digit) != 1 or digit not in KEYS:
                raise WrongMessage("digit must be one key")
            return Digit(digit)
        case "ping":
            return Ping(_number(body, "t"))
        case "stop":
            return Stop()
        case other:
            raise WrongMessage(f"the type {str(other)[:40]!r} is unknown")


def _object(message: str | bytes) -> dict[str, Any]:
    if not isinstance(message, str) or len(message) > MAX_CONTROL_CHARS:
        raise WrongMessage(f"it must be text of at most {MAX_CONTROL_CHARS} characters")
    try:
        body = orjson.loads(message)
    except ValueError:
        raise WrongMessage("it must be JSON") from None
    if not isinstance(body, dict):
        raise WrongMessage("it must be a JSON object")
    return cast("dict[str, Any]", body)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT_CHARS:
        raise WrongMessage(f"{name} must be a short text")
    return value


def _count(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise WrongMessage(f"{name} must be a count")
    return value


def _number(body: dict[str, Any], name: str, default: float | None = None) -> float:
    value = body.get(name, default)
    # JSON has no NaN, but numbers that are too large for a float.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e15:
        raise WrongMessage(f"{name} must be a number that is not negative")
    return float(value)
