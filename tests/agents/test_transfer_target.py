"""What a transfer target may be, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from chorus.agents.transfer_target import TransferTarget

X = {"key": "X-Order", "value": "{{order}}"}


def target(**fields: Any) -> TransferTarget:
    return TransferTarget.model_validate({"name": "Desk", "number": "+14155550123", **fields})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("+1 (415) 555-0123", "+14155550123"),
        ("sip:200@pbx.example.com", "sip:200@pbx.example.com"),
        ("SIP:Anna.Lee+1@pbx.example.com:5080", "sip:Anna.Lee+1@pbx.example.com:5080"),
        ("sips:200@10.0.0.7;transport=tls", "sips:200@10.0.0.7;transport=tls"),
    ],
)
def test_a_number_or_an_address(given: str, kept: str) -> None:
    assert target(number=given).number == kept


@pytest.mark.parametrize(
    "given",
    [
        "200@pbx.example.com",
        "sip:pbx.example.com",
        "sip:anna:secret@pbx.example.com",
        "sip:200@pbx.example.com?Replaces=1",
        "sip:200@pbx.example.com>\r\nX-A: 1",
        "sip:200@pbx.example.com;maddr=10.0.0.1",
        "sip:2 00@pbx.example.com",
        "tel:+14155550123",
        f"sip:{'2' * 30}@{'a' * 40}.example",
    ],
)
def test_what_is_neither(given: str) -> None:
    with pytest.raises(ValidationError, match=r"E\.164|SIP address"):
        target(number=given)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"headers": [{"key": "Route", "value": "x"}]}, "begins with X-"),
        ({"headers": [{"key": "X-A\r\nB", "value": "x"}]}, "begins with X-"),
        ({"headers": [{"key": "X-A", "value": "a\r\nVia: b"}]}, "one line"),
        ({"headers": [X, {**X, "key": "x-order"}]}, "same name twice"),
        ({"headers": [{"key": f"X-{n}", "value": "a"} for n in range(11)]}, "at most 10"),
        ({"headers": [{"key": f"X-{n}", "value": "a" * 450} for n in range(5)]}, "2000 characters"),
        ({"merge": "release", "headers": [X]}, "headers need merge bridge"),
        ({"merge": "release", "callerId": "caller"}, "callerId caller needs merge bridge"),
        ({"merge": "release", "transcribe": True}, "transcribe needs merge bridge"),
        (
            {"type": "warm", "merge": "release", "transcribe": True},
            "transcribe needs merge bridge",
        ),
        ({"callerId": "+14155550199"}, "own"),
    ],
)
def test_what_is_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        target(**fields)
