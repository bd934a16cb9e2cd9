from __future__ import annotations

import asyncio

import pytest
from tests.fakes.speech import FakeVoice
from tests.fakes.virtual import run_virtual

from chorus.speech.engines import EngineFailed
from chorus.speech.ranking import MOST_REST_S, REST_S, TRIAL_S, Ranking, Rests

DOWN = EngineFailed("a", "speak", "scripted")


def test_one_that_failed_rests_for_all_calls_and_comes_back() -> None:
    async def main() -> None:
        rests, a, b = Rests(), FakeVoice(name="a"), FakeVoice(name="b")
        one, other = Ranking([a, b], rests), Ranking([a, b], rests)
        assert one.order() == [a, b]
        one.failed(a, DOWN)
        assert other.order() == [b, a]
        assert not other.has_other(b)
        assert other.has_other(a)
        await asyncio.sleep(REST_S + 1)
        assert other.order() == [a, b]

    run_virtual(main())


def test_after_its_rest_one_call_tries_it_while_others_wait() -> None:
    async def main() -> None:
        rests, a, b = Rests(), FakeVoice(name="a"), FakeVoice(name="b")
        one, other = Ranking([a, b], rests), Ranking([a, b], rests)
        one.failed(a, DOWN)
        other.failed(a, DOWN)  # together: one failure
        await asyncio.sleep(REST_S + 1)
        assert other.order() == [a, b]
        assert one.order() == [b, a]
        assert other.order() == [a, b]  # it is this one's to try
        other.failed(a, DOWN)
        await asyncio.sleep(REST_S + 1)
        assert one.order() == other.order() == [b, a]  # twice as long
        await asyncio.sleep(REST_S)
        assert one.order() == [a, b]
        assert other.order() == [b, a]
        await asyncio.sleep(TRIAL_S + 1)  # it did not fail
        assert one.order() == other.order() == [a, b]
        one.failed(a, DOWN)
        await asyncio.sleep(REST_S + 1)  # as if for the first time
        assert one.order() == [a, b]

    run_virtual(main())


def test_what_waiting_does_not_mend_rests_longest() -> None:
    async def main() -> None:
        a, b = FakeVoice(name="a"), FakeVoice(name="b")
        ranking = Ranking([a, b], Rests())
        ranking.failed(a, EngineFailed("a", "open", "scripted", "credit"))
        await asyncio.sleep(MOST_REST_S - 1)
        assert ranking.order() == [b, a]
        await asyncio.sleep(2)
        assert ranking.order() == [a, b]

    run_virtual(main())


def test_when_all_rest_the_one_that_failed_longest_ago_is_first() -> None:
    async def main() -> None:
        a, b = FakeVoice(name="a"), FakeVoice(name="b")
        ranking = Ranking([a, b], Rests())
        ranking.failed(a, DOWN)
        await asyncio.sleep(5)
        ranking.failed(b, DOWN)
        assert ranking.order() == [a, b]

    run_virtual(main())


def test_an_empty_ranking_is_refused() -> None:
    with pytest.raises(ValueError, match="engines"):
        Ranking([], Rests())
