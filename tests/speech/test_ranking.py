from __future__ import annotations

import asyncio

import pytest
from tests.fakes.speech import FakeVoice
from tests.fakes.virtual import run_virtual

from chorus.speech.engines import EngineFailed
from chorus.speech.ranking import REST_S, Ranking, Rests

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
