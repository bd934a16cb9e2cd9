"""What a vendor answers when it does not do its part, as an `EngineFailed` of the right kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from chorus.outbound import OutboundFailed, OutboundRefused
from chorus.outbound_socket import SocketClosed, SocketRefused
from chorus.speech.engines import EngineFailed, FailureKind

T = TypeVar("T")

_MOST = 300
_BY_STATUS: Mapping[int, FailureKind] = {
    401: "key",
    402: "credit",
    403: "key",
    408: "late",
    429: "busy",
    503: "busy",
    529: "busy",
}
_SENTENCES: Mapping[FailureKind, str] = {
    "key": "the API key is refused",
    "credit": "the account has no credit or quota left",
    "busy": "the account has too much under way",
    "full": "the account has as much under way as it may",
    "request": "what was asked for is refused",
    "gone": "the connection is gone",
    "late": "no answer in time",
    "garbage": "an answer that cannot be read",
    "other": "it failed",
}
# How vendors word it where the status says nothing, or something else. "quota" before "limit".
_BY_WORDS: tuple[tuple[str, FailureKind], ...] = (
    ("quota", "credit"),
    ("credit", "credit"),
    ("balance", "credit"),
    ("insufficient_funds", "credit"),
    ("payment", "credit"),
    ("concurren", "busy"),
    ("rate_limit", "busy"),
    ("rate limit", "busy"),
    ("too many", "busy"),
    ("throttl", "busy"),
    ("overflow", "busy"),
    ("exhausted", "busy"),
    ("max_active", "busy"),
    ("unauthorized", "key"),
    ("auth_error", "key"),
    ("api key", "key"),
    ("api_key", "key"),
)
_SECRET = re.compile(r"(?i)\b(?:(?:sk|pk|rk|gsk|key|xai|bearer|token)[-_ ])[\w*.\-]{8,}")


def kind_of(status: int, words: str = "") -> FailureKind:
    """From an HTTP status, or a number that means the same, and from the vendor's own words.
    0: there is no status."""
    lower = words.lower()
    said: FailureKind | None = None
    for word, kind in _BY_WORDS:
        if word in lower:
            said = kind
            break
    if said is not None and (status in (0, 400, 401, 403, 429) or status >= 1000):
        return said
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return "request"
    return "other"


GARBAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What reading an answer raises that is not as documented."""


class Failures:
    """Of one vendor, whose key is kept out of every text."""

    def __init__(self, vendor: str, api_key: str) -> None:
        self.vendor = vendor
        self._api_key = api_key

    @property
    def account(self) -> str:
        """Whose limits they are, to compare and for nothing else: the key itself."""
        return self._api_key

    def of(self, stage: str, kind: FailureKind, words: str = "") -> EngineFailed:
        """`words` are the vendor's, or this program's own."""
        words = " ".join(self._clean(words).split())[:_MOST]
        sentence = _SENTENCES[kind]
        return EngineFailed(self.vendor, stage, f"{sentence}: {words}" if words else sentence, kind)

    def status(self, stage: str, status: int, words: str = "") -> EngineFailed:
        """An answer with a status that is no success."""
        kind = kind_of(status, words)
        named = f"{'HTTP' if status < 1000 else 'code'} {status} " if status else ""
        return self.of(stage, kind, named + words)

    def closed(self, stage: str, closed: SocketClosed) -> EngineFailed:
        kind = kind_of(closed.code, closed.reason)
        if kind in ("other", "request"):
            kind = "gone"
        return self.of(stage, kind, str(closed))

    def garbage(self, stage: str, error: Exception) -> EngineFailed:
        return self.of(stage, "garbage", f"{type(error).__name__} {error}")

    def reading(self, stage: str, read: Callable[[], T]) -> T:
        """What `read` makes of an answer; `EngineFailed` where that is not as documented."""
        try:
            return read()
        except GARBAGE as error:
            raise self.garbage(stage, error) from None

    def unreached(
        self, stage: str, error: OutboundFailed | OutboundRefused | SocketRefused
    ) -> EngineFailed:
        """No socket, or no answer."""
        if isinstance(error, SocketRefused):
            if not error.status:
                return self.of(stage, "garbage", f"the handshake failed ({error.body})")
            return self.status(stage, error.status, error.headers.get("dg-error") or error.body)
        if isinstance(error, OutboundRefused):
            return self.of(stage, "request", str(error))
        return self.of(stage, "late" if error.timed_out else "gone", str(error))

    def _clean(self, text: str) -> str:
        if self._api_key:
            text = text.replace(self._api_key, "[key]")
        return _SECRET.sub("[key]", text)
