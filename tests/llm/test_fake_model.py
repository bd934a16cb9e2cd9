"""The fake is what every test of the conversation stands on, so it is tested itself."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.virtual import run_virtual

from chorus.llm.model import Message, ModelFailed, Prompt, TextDelta, ToolCall, Usage

PROMPT = Prompt("You are kind.", (Message("user", "Hello"),))


def test_text_streams_word_by_word_on_the_loops_time() -> None:
    model = FakeModel([Scripted("Sure, at two.", first_ms=300, item_ms=50, usage=Usage(3, 4))])

    async def main() -> list[tuple[object, float]]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        return [(i, round(loop.time() - start, 3)) async for i in model.reply(PROMPT)]

    assert run_virtual(main()) == [
        (TextDelta("Sure,"), 0.3),
        (TextDelta(" at"), 0.35),
        (TextDelta(" two."), 0.4),
        (Usage(3, 4), 0.45),
    ]
    assert model.requests[0].ended == "done"
    assert model.requests[0].text == "Sure, at two."


def test_failures_hangs_and_closing_are_recorded() -> None:
    model = FakeModel(
        [
            Scripted("a b c", error=ModelFailed("fake", "dropped"), error_after=1),
            Scripted("a b", hang_after=1),
            Scripted(ToolCall("1", "book", "{}")),
        ]
    )

    async def main() -> None:
        with pytest.raises(ModelFailed, match="dropped"):
            async for _ in model.reply(PROMPT):
                pass
        stuck = model.reply(PROMPT)
        assert await anext(stuck) == TextDelta("a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stuck), 60)
        await stuck.aclose()
        cut = model.reply(PROMPT)
        assert await anext(cut) == ToolCall("1", "book", "{}")
        assert model.open == 1
        await cut.aclose()
        with pytest.raises(ModelFailed, match="no reply is scripted for 'Hello'"):
            await anext(model.reply(PROMPT))

    run_virtual(main())
    assert [r.ended for r in model.requests] == ["failed", "closed", "closed", "failed"]
    assert model.open == 0


def test_a_function_of_the_prompt_may_answer() -> None:
    model = FakeModel(lambda prompt: f"You said {prompt.messages[-1].content}")

    async def main() -> str:
        return "".join([i.text async for i in model.reply(PROMPT) if isinstance(i, TextDelta)])

    assert run_virtual(main()) == "You said Hello"
