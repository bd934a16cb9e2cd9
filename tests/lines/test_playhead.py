"""Positions: what was sent, what was heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.lines.playhead import Playhead


def test_without_acknowledgements_time_is_the_estimate() -> None:
    head = Playhead()
    head.sent(500, 10.0)
    assert head.heard_ms(10.2) == pytest.approx(200)
    assert head.heard_ms(11.0) == 500


def test_an_acknowledgement_moves_the_position_up_at_once() -> None:
    head = Playhead()
    head.sent(500, 10.0)
    head.acknowledged(0, 300, 10.1)
    assert head.heard_ms(10.1) == 300
    assert head.heard_ms(10.15) == pytest.approx(350)


def test_a_carrier_that_started_late_makes_the_position_wait_not_run_back() -> None:
    head = Playhead()
    head.sent(1000, 10.0)
    assert head.heard_ms(10.4) == pytest.approx(400)
    head.acknowledged(0, 100, 10.4)
    assert head.heard_ms(10.5) == pytest.approx(400)
    assert head.heard_ms(10.9) == pytest.approx(600)


def test_audio_after_a_pause_starts_when_it_is_sent() -> None:
    head = Playhead()
    head.sent(100, 10.0)
    head.sent(100, 12.0)
    assert head.heard_ms(12.05) == pytest.approx(150)


def test_audio_sent_while_the_carrier_is_behind_does_not_start_at_once() -> None:
    head = Playhead()
    head.sent(500, 10.0)
    head.acknowledged(0, 100, 10.5)  # 400 ms are still to be played
    head.sent(500, 10.6)
    assert head.heard_ms(10.9) == pytest.approx(500)
    assert head.heard_ms(11.1) == pytest.approx(700)


def test_clear_makes_the_position_the_end_and_old_marks_worthless() -> None:
    head = Playhead()
    head.sent(500, 10.0)
    head.clear(10.2)
    assert head.sent_ms == head.heard_ms(10.3) == pytest.approx(200)
    head.sent(500, 11.0)
    head.acknowledged(0, 500, 11.0)
    assert head.heard_ms(11.1) == pytest.approx(300)
    head.acknowledged(1, 400, 11.1)
    assert head.heard_ms(11.1) == pytest.approx(600)


def test_what_was_never_sent_or_was_known_already_is_ignored() -> None:
    head = Playhead()
    head.sent(500, 10.0)
    head.acknowledged(0, 500.125, 10.1)
    head.acknowledged(7, 300, 10.1)
    assert head.heard_ms(10.1) == pytest.approx(100)
    head.acknowledged(0, 400, 10.2)
    head.acknowledged(0, 300, 10.3)
    assert head.heard_ms(10.3) == pytest.approx(500)


def test_what_may_be_sent_goes_by_the_clock_not_by_what_was_acknowledged() -> None:
    head = Playhead()
    head.sent(500, 10.0)
    assert head.ahead_ms(10.2) == pytest.approx(300)
    head.acknowledged(0, 100, 10.3)  # 200 ms on its way there and back
    assert head.ahead_ms(10.3) == pytest.approx(200)
    head.acknowledged(0, 400, 10.31)  # played faster than in real time
    assert head.ahead_ms(10.31) == pytest.approx(100)
    head.clear(10.32)
    assert head.ahead_ms(10.32) == 0


def test_a_carrier_far_behind_is_sent_no_more() -> None:
    head = Playhead()
    head.sent(3000, 10.0)
    head.acknowledged(0, 100, 12.9)
    assert head.ahead_ms(12.9) == pytest.approx(1900)
    assert head.ahead_ms(14.9) == 0


STEP = st.one_of(
    st.tuples(st.just("sent"), st.integers(0, 4000).map(lambda n: n / 8)),
    st.tuples(st.just("wait"), st.floats(0, 2)),
    st.tuples(st.just("mark"), st.floats(-100, 3000)),
    st.tuples(st.just("late"), st.floats(0, 3000)),
    st.tuples(st.just("clear"), st.just(0.0)),
)


@given(st.lists(STEP, max_size=60))
def test_heard_never_exceeds_sent_and_never_runs_back(steps: list[tuple[str, float]]) -> None:
    head, now_s, before_ms = Playhead(), 1000.0, 0.0
    for what, value in steps:
        match what:
            case "sent":
                head.sent(value, now_s)
            case "wait":
                now_s += value
            case "mark":
                head.acknowledged(head.epoch, value, now_s)
            case "late":
                head.acknowledged(head.epoch - 1, value, now_s)
            case _:
                head.clear(now_s)
                assert head.sent_ms == head.heard_ms(now_s)
        heard_ms = head.heard_ms(now_s)
        assert before_ms <= heard_ms <= head.sent_ms
        assert 0 <= head.ahead_ms(now_s) <= head.sent_ms
        before_ms = heard_ms
    assert head.heard_ms(now_s + 3600) == head.sent_ms
