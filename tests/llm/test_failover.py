from __future__ import annotations

import asyncio

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.virtual import run_virtual

from chorus.llm.failover import FailoverModel
from chorus.llm.model import Message, ModelFailed, ModelItem, Prompt, TextDelta
from chorus.llm.simulated import TOKENS, SimulatedModel

PROMPT = Prompt("", (Message("user", "Hello"),))
DOWN = ModelFailed("a", "overloaded")


async def text(model: FailoverModel) -> str:
    return "".join([i.text async for i in model.reply(PROMPT) if isinstance(i, TextDelta)])


def test_the_second_answers_when_the_first_fails_and_the_failure_is_told() -> None:
    told: list[ModelFailed] = []
    a = FakeModel([Scripted(error=DOWN)], name="a")
    b = FakeModel(["hello"], name="b")
    model = FailoverModel([a, b], on_failed=told.append)
    assert run_virtual(text(model)) == "hello"
    assert told == [DOWN]


def test_the_second_answers_when_the_first_is_slow_and_the_first_is_stopped() -> None:
    a = FakeModel([Scripted("late", first_ms=10_000)], name="a")
    b = FakeModel(["in time"], name="b")
    model = FailoverModel([a, b], first_item_ms=800)

    async def main() -> float:
        start = asyncio.get_running_loop().time()
        assert await text(model) == "in time"
        return asyncio.get_running_loop().time() - start

    assert run_virtual(main()) == pytest.approx(0.8 + 0.2 + 0.025, abs=0.01)
    assert a.requests[0].ended == "closed"
    assert a.open == b.open == 0


def test_the_last_model_is_given_its_own_time() -> None:
    a = FakeModel([Scripted("slow but sure", first_ms=10_000)])
    assert run_virtual(text(FailoverModel([a], first_item_ms=800))) == "slow but sure"


def test_a_failed_model_is_asked_last_until_it_cooled_down() -> None:
    a = FakeModel([Scripted(error=DOWN), Scripted("a again")], name="a")
    b = FakeModel(["b", "b", "b"], name="b")
    model = FailoverModel([a, b], cool_down_ms=30_000)

    async def main() -> list[str]:
        said = [await text(model), await text(model)]
        await asyncio.sleep(31)
        return [*said, await text(model)]

    assert run_virtual(main()) == ["b", "b", "a again"]
    assert len(a.requests) == 2


def test_nothing_is_switched_after_the_first_item() -> None:
    a = FakeModel([Scripted("I was going to", error=DOWN, error_after=2)], name="a")
    b = FakeModel(["other"], name="b")
    model = FailoverModel([a, b])

    async def main() -> list[ModelItem]:
        got: list[ModelItem] = []

        async def collect() -> None:
            async for item in model.reply(PROMPT):
                got.append(item)

        with pytest.raises(ModelFailed, match="overloaded"):
            await collect()
        assert await text(model) == "other"  # the next reply begins with the healthy one
        return got

    assert run_virtual(main()) == [TextDelta("I"), TextDelta(" was")]


def test_when_all_fail_the_error_names_each() -> None:
    a = FakeModel([Scripted(error=DOWN)], name="a")
    b = FakeModel([Scripted(error=ModelFailed("b", "gone"))], name="b")
    c = FakeModel([Scripted()], name="c")
    with pytest.raises(ModelFailed, match=r"a: overloaded; b: gone; c: the reply was empty"):
        run_virtual(text(FailoverModel([a, b, c])))


def test_a_request_that_a_model_refuses_costs_it_no_cool_down() -> None:
    refused = ModelFailed("a", "context too long", retryable=False)
    a = FakeModel([Scripted(error=refused), Scripted("short is fine")], name="a")
    model = FailoverModel([a, FakeModel(["b"])])

    async def main() -> tuple[str, str]:
        return await text(model), await text(model)

    assert run_virtual(main()) == ("b", "short is fine")


def test_closing_the_reply_stops_the_model() -> None:
    a = FakeModel([Scripted("a b c")])
    model = FailoverModel([a])

    async def main() -> None:
        reply = model.reply(PROMPT)
        await anext(reply)
        await reply.aclose()

    run_virtual(main())
    assert a.requests[0].ended == "closed"


def test_expected_phrases_are_known_only_if_every_model_knows_them() -> None:
    a, b = FakeModel(phrases=("yes", "no")), FakeModel(phrases=("no", "maybe"))
    assert FailoverModel([a, b]).phrases("") == ("yes", "no", "maybe")
    assert FailoverModel([a, FakeModel()]).phrases("") == ()


def test_no_models_is_an_error() -> None:
    with pytest.raises(ValueError, match="models"):
        FailoverModel([])


def test_the_simulated_model_keeps_its_pace_whatever_the_consumer_does() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        times: list[float] = []
        async for item in SimulatedModel().reply(PROMPT):
            if isinstance(item, TextDelta):
                times.append(loop.time() - start)
                await asyncio.sleep(0.010)
        return times[0], times[-1]

    first, last = run_virtual(main())
    assert first == pytest.approx(0.2, abs=0.001)
    assert last == pytest.approx(0.2 + 0.025 * (len(TOKENS) - 1), abs=0.001)
