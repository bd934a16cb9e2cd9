"""What a page has heard, by its own reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.lines.browser.position import BETWEEN_REPORTS_MS, MOST_ROUND_TRIP_MS, Position


def test_nothing_is_heard_that_was_not_reported() -> None:
    position = Position()
    position.sent(500, 10.0)
    assert position.heard_ms(11.0) == 0
    position.reported(0, 120, False, 0, 11.0)
    assert position.heard_ms(12.0) == 120


def test_a_page_that_plays_goes_on_until_its_next_report_is_overdue() -> None:
    position = Position()
    position.sent(2000, 10.0)
    position.reported(0, 100, True, 0, 10.2)
    assert position.heard_ms(10.25) == pytest.approx(150)
    assert position.heard_ms(15) == 100 + BETWEEN_REPORTS_MS


def test_what_a_clear_leaves_is_what_will_have_been_played_when_it_arrives() -> None:
    position = Position()
    position.sent(2000, 10.0)
    position.reported(0, 100, True, 80, 10.2)
    position.clear(10.2)
    assert position.sent_ms == position.heard_ms(10.2) == 180
    position.reported(0, 900, True, 80, 10.3)  # of before the clear
    assert position.heard_ms(10.3) == 180
    position.sent(100, 10.3)
    position.reported(1, 40, False, 80, 10.5)
    assert position.heard_ms(11) == 220


def test_a_page_that_is_gone_plays_nothing() -> None:
    position = Position()
    position.sent(2000, 10.0)
    position.reported(0, 100, True, 0, 10.0)
    position.lost(10.1)
    assert position.heard_ms(20) == pytest.approx(200)


def test_no_more_is_sent_to_a_page_that_stands_still() -> None:
    position = Position()
    position.sent(400, 10.0)
    assert position.ahead_ms(10.0) == 400
    assert position.ahead_ms(10.3) == pytest.approx(100)
    position.sent(1200, 10.4)
    assert position.ahead_ms(12.0) == 600  # all of it was due, and a second may be under way


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("sent", "reported", "clear", "lost")),
            st.floats(0, 3000),
            st.booleans(),
            st.integers(0, 2),
        ),
        max_size=40,
    )
)
def test_whatever_a_page_reports_positions_never_run_back_or_past_the_end(
    steps: list[tuple[str, float, bool, int]],
) -> None:
    position, now_s, last = Position(), 0.0, 0.0
    for what, ms, plays, epoch in steps:
        now_s += ms / 10_000
        if what == "sent":
            position.sent(ms, now_s)
        elif what == "reported":
            position.reported(epoch, ms, plays, ms * 10, now_s)
        elif what == "clear":
            position.clear(now_s)
        else:
            position.lost(now_s)
        heard_ms = position.heard_ms(now_s)
        assert last <= heard_ms <= position.sent_ms + 1e-6
        assert position.ahead_ms(now_s) >= -1e-6
        last = heard_ms
    assert MOST_ROUND_TRIP_MS < BETWEEN_REPORTS_MS * 3
