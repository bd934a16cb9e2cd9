"""Keys told by INFO: the way of PBXs that know no RFC 4733."""

from __future__ import annotations

from chorus.lines.dtmf import KEYS

_BY_NUMBER = dict(zip(map(str, range(16)), "0123456789*#ABCD", strict=True))


def key_of(content_type: str, body: bytes) -> str | None:
    """`application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`); None for anything else.
    10 and 11 stand for * and # with some, 12 to 15 for A to D."""
    text = body[:200].decode("ascii", "replace")
    if content_type == "application/dtmf-relay":
        lines = (line.partition("=") for line in text.splitlines())
        signal = next((v.strip() for n, _, v in lines if n.strip().lower() == "signal"), "")
    elif content_type == "application/dtmf":
        signal = text.strip()
    else:
        return None
    signal = signal.upper()
    if len(signal) == 1 and signal in KEYS:
        return signal
    return _BY_NUMBER.get(signal)


def relay(digit: str, duration_ms: int) -> bytes:
    """The body of an INFO of ours."""
    return f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode()
