"""The ticker on virtual time: spread, without drift, and calm after a stall."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.fakes.virtual import VirtualLoop, run_virtual

from chorus.audio.pace import Beat, Lag, Ticker


def running() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def ms(seconds: list[float], start: float) -> list[int]:
    return [round((at - start) * 1000) for at in seconds]


def test_callbacks_are_spread_over_the_slots():
    async def main() -> None:
        ticker, calls = Ticker(), [[] for _ in range(100)]
        for seen in calls:
            ticker.add(seen.append)
        start = running().time()
        ticker.start()
        await asyncio.sleep(0.0999)
        ticker.stop()
        bursts: dict[int, int] = {}
        for seen in calls:
            for at in ms(seen, start):
                bursts[at] = bursts.get(at, 0) + 1
        assert bursts == dict.fromkeys(range(5, 100, 5), 25)

    run_virtual(main())


def test_ten_minutes_do_not_drift():
    async def main() -> None:
        ticker, seen = Ticker(), []
        ticker.add(seen.append)
        start = running().time()
        ticker.start()
        await asyncio.sleep(600)
        ticker.stop()
        assert len(seen) == 30_000
        assert abs(seen[-1] - start - 600) < 1e-3

    run_virtual(main())


def test_a_short_stall_makes_everybody_late_and_nobody_lose_a_tick():
    async def main() -> None:
        ticker, calls = Ticker(), [[] for _ in range(4)]
        start = running().time()

        def stall(now: float) -> None:
            calls[0].append(now)
            if len(calls[0]) == 1:
                running().jump(0.012)

        ticker.add(stall)
        for seen in calls[1:]:
            ticker.add(seen.append)
        ticker.start()
        await asyncio.sleep(0.065)
        # The first slot of the wheel is due a whole interval after the start.
        assert ms(calls[0], start) == [20, 40, 60]
        assert ms(calls[1], start) == [5, 32, 45, 65]
        assert ms(calls[2], start) == [10, 32, 50]
        assert ms(calls[3], start) == [15, 35, 55]
        assert round(ticker.lag.max_ms) == 7
        ticker.stop()

    run_virtual(main())


def test_after_a_long_stall_ticks_are_skipped_and_told_the_true_time():
    async def main() -> None:
        ticker, calls = Ticker(), [[] for _ in range(4)]
        for seen in calls:
            ticker.add(seen.append)
        start = running().time()
        ticker.start()
        await asyncio.sleep(0.021)
        running().jump(0.5)
        await asyncio.sleep(0.040)
        ticker.stop()
        after = [[at for at in ms(seen, start) if at > 21] for seen in calls]
        # The one that was due at 25 is late; the others take their places in the wheel again.
        assert after == [[540, 560], [521, 525, 545], [530, 550], [535, 555]]
        assert round(ticker.lag.max_ms) == 496

    run_virtual(main())


def test_one_that_raises_is_reported_and_stops_nobody(caplog):
    async def main() -> None:
        ticker, seen, errors = Ticker(slots=1), [], []

        def broken(now: float) -> None:
            raise RuntimeError("no frame")

        def broken_too(error: Exception) -> None:
            raise LookupError("nor a report")

        ticker.add(broken, errors.append)
        ticker.add(broken, broken_too)
        ticker.add(seen.append)
        ticker.start()
        with caplog.at_level(logging.ERROR):
            await asyncio.sleep(0.205)
        ticker.stop()
        assert len(seen) == 10
        assert [str(e) for e in errors] == ["no frame"] * 10
        ticks = [r for r in caplog.records if r.message.startswith("tick failed")]
        assert len(ticks) == 2  # once each, not ten times
        assert "nor a report" in caplog.text

    run_virtual(main())


def test_adding_and_removing_within_a_tick():
    async def main() -> None:
        ticker, seen, late = Ticker(slots=1), [], []

        def first(now: float) -> None:
            if not late_ticket:
                second.remove()
                own.remove()
                late_ticket.append(ticker.add(late.append))

        late_ticket = []
        own = ticker.add(first)
        second = ticker.add(seen.append)
        ticker.start()
        await asyncio.sleep(0.065)
        assert seen == []  # removed before its turn in the same tick
        assert len(late) == 2  # from the tick after
        assert len(ticker) == 1
        assert late_ticket[0].active
        assert not second.active
        second.remove()
        ticker.remove(late_ticket[0])
        assert len(ticker) == 0
        ticker.stop()

    run_virtual(main())


def test_nobody_registered_means_no_timer():
    async def main() -> None:
        ticker, loop = Ticker(), running()
        ticker.start()
        assert not loop._scheduled
        ticket = ticker.add(lambda now: None)
        await asyncio.sleep(0.1)
        ticket.remove()
        await asyncio.sleep(0.1)
        assert not loop._scheduled
        ticks, seen, again = ticker.lag.count, [], loop.time()
        await asyncio.sleep(10)
        assert ticker.lag.count == ticks
        ticker.add(seen.append)
        await asyncio.sleep(0.021)
        assert 0 < seen[0] - again - 10 <= 0.021
        ticker.stop()

    run_virtual(main())


def test_a_new_one_need_not_wait_for_the_slot_of_another():
    async def main() -> None:
        ticker, seen = Ticker(), []
        tickets = [ticker.add(lambda now: None) for _ in range(3)]
        ticker.start()
        await asyncio.sleep(0.011)  # the timer is set for 20: nobody is in the slot of 15
        for ticket in tickets[1:]:
            ticket.remove()
        start = running().time()
        ticker.add(lambda now: None)
        ticker.add(lambda now: None)
        ticker.add(seen.append)
        await asyncio.sleep(0.021)
        assert ms(seen, start) == [4]
        ticker.stop()

    run_virtual(main())


def test_stop_from_within_a_tick_and_start_again():
    async def main() -> None:
        ticker, seen = Ticker(slots=1), []
        ticker.add(lambda now: ticker.stop())
        ticker.add(seen.append)
        ticker.start()
        ticker.start()  # once is enough
        await asyncio.sleep(1)
        assert seen == []
        ticker.start()
        await asyncio.sleep(1)
        assert seen == []
        assert ticker.lag.count == 2

    run_virtual(main())


def test_nonsense_is_refused():
    for arguments in ((0, 4), (20, 0)):
        with pytest.raises(ValueError, match="positive"):
            Ticker(*arguments)


def test_lag_is_a_histogram_that_forgets_slowly():
    lag = Lag()
    assert lag.p99_ms == 0
    for _ in range(98):
        lag.record(-0.5)  # early is not late
    lag.record(4)
    lag.record(40)
    assert lag.count == 100
    assert lag.max_ms == 40
    assert lag.sum_ms == 44
    assert lag.p99_ms == 5.0
    assert lag.buckets[-1] == (float("inf"), 100)
    assert dict(lag.buckets)[0.5] == 98
    assert dict(lag.buckets)[5.0] == 99
    for _ in range(10_000):
        lag.record(0.1)
    assert lag.p99_ms == 0.5
    assert lag.max_ms == 40


def test_a_beat_shows_a_blocked_loop_without_a_call():
    async def main() -> None:
        lag = Lag()
        beat = Beat(lag)
        beat.start()
        beat.start()  # once is enough
        await asyncio.sleep(2.6)
        assert lag.count == 10
        assert lag.max_ms < 0.01
        running().jump(0.4)
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert lag.count == 11
        assert lag.max_ms == pytest.approx(250, abs=1)  # 150 ms before it was due
        await asyncio.sleep(1)
        assert lag.count == 15
        beat.stop()
        await asyncio.sleep(1)
        assert lag.count == 15
        beat.start()
        await asyncio.sleep(0.3)
        assert lag.count == 16
        beat.stop()

    run_virtual(main())
