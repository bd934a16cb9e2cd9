"""What a vendor's answer means."""

from __future__ import annotations

import pytest

from chorus.outbound_socket import SocketClosed
from chorus.speech.vendor.failures import Failures

KEY = "secret-key-of-the-account"


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (401, "no such key", "key"),
        (402, "no funds", "credit"),
        (403, "not allowed", "key"),
        (400, "model not found", "request"),
        (404, "no such voice", "request"),
        (401, "quota_exceeded", "credit"),
        (429, "too many concurrent requests", "busy"),
        (429, "insufficient_quota", "credit"),
        (503, "overloaded", "busy"),
        (500, "oh no", "other"),
        (0, "auth_error you must be authenticated", "key"),
        (0, "commit_throttled", "busy"),
        (1008, "max_active_conversations", "busy"),
        (0, "something else", "other"),
    ],
)
def test_the_kind_of_a_refusal(status: int, words: str, kind: str) -> None:
    assert Failures("acme", KEY).status("open", status, words).kind == kind


def test_a_close_is_a_lost_connection_unless_it_says_more() -> None:
    failures = Failures("acme", KEY)
    assert failures.closed("lost", SocketClosed(1006, "")).kind == "gone"
    assert failures.closed("lost", SocketClosed(1011, "NET-0001")).kind == "gone"
    assert failures.closed("lost", SocketClosed(1008, "quota exceeded")).kind == "credit"


def test_no_text_holds_a_key() -> None:
    failures = Failures("acme", KEY)
    told = failures.of("open", "key", f"Bearer abcdefghijkl and {KEY} and sk-abcdefghijklmnop")
    assert KEY not in str(told)
    assert "abcdefghijkl" not in str(told)
    assert len(failures.of("open", "other", "x" * 5000).detail) < 400
