"""When a delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from chorus.webhooks.schedule import LONGEST_ASKED_S, SCHEDULE_S, asked_s, wait_s

NOW = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)


def test_the_waits_are_those_of_the_schedule_give_or_take_a_tenth():
    assert SCHEDULE_S == (0, 5, 60, 300, 1800, 7200, 21600, 43200, 86400)
    for tries, planned in enumerate(SCHEDULE_S):
        waits = [wait_s(tries) for _ in range(200)]
        assert all(wait is not None and planned * 0.9 <= wait <= planned * 1.1 for wait in waits)
        assert planned == 0 or len(set(waits)) > 100
    assert wait_s(len(SCHEDULE_S)) is None


def test_a_receiver_may_ask_for_more_but_not_for_less_nor_for_ever():
    assert wait_s(1, 30.0) == 30.0
    assert (wait_s(3, 1.0) or 0) >= 270
    assert wait_s(1, 1e9) == LONGEST_ASKED_S
    assert (wait_s(8, 1e9) or 0) >= 77_760
    assert wait_s(1, 30.0, of=1) is None


@pytest.mark.parametrize(
    ("status", "header", "wanted"),
    [
        (429, "120", 120.0),
        (503, " 7 ", 7.0),
        (503, format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120.0),
        (503, format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0.0),
        (503, "Wed, 15 Jan 2025 10:31:00 -0000", 60.0),
        (500, "120", None),
        (429, None, None),
        (429, "-5", None),
        (429, "soon", None),
        (429, "٣", None),
        (429, "9" * 5000, 999_999_999.0),
        (429, "Wed, 99 Foo 2025 10:31:00 GMT", None),
    ],
)
def test_retry_after(status: int, header: str | None, wanted: float | None):
    assert asked_s(status, header, NOW) == wanted
