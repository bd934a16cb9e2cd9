"""A request to a call's models through the real adapters: the first breaks before its first word,
in each way that a vendor has, and the next one answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.fakes.openai_server import Answer, OpenAIServer, say

from chorus.llm import anthropic
from chorus.llm.anthropic import AnthropicModel
from chorus.llm.endpoint import Endpoint
from chorus.llm.model import LanguageModel, Message, ModelFailed, Prompt, TextDelta
from chorus.llm.openai import OpenAIModel
from chorus.llm.options import OpenAIOptions
from chorus.speech.ranking import Ranking, Rests
from chorus.talk.asking import ask

PROMPT = Prompt("Be brief.", (Message("user", "Hello"),), ())
DEADLINE_MS = 600
BUSY = {"error": {"message": "Rate limit reached", "type": "rate_limit_error"}}
ANSWER = Answer(say("From the", " second."))
BROKEN = [
    pytest.param(Answer(status=429, body=BUSY), id="429"),
    pytest.param(Answer(status=503, body={"error": {"message": "Overloaded"}}), id="503"),
    pytest.param(Answer(["data: {no json\n\n"], done=False), id="garbage"),
    pytest.param(Answer(hang_up=True), id="closed"),
    pytest.param(Answer(["\n"], drop_after=0), id="closed behind its headers"),
    pytest.param(Answer(first_ms=60_000), id="silent"),
    pytest.param(Answer(["\n"], stall_after=0), id="silent behind its headers"),
]


class Note:
    """What a call would be told."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failures: list[ModelFailed] = []

    def asked(self, engine: LanguageModel) -> None:
        self.names.append(engine.name)

    def replaced(self, failure: ModelFailed) -> None:
        self.failures.append(failure)

    def hedged(self, engine: LanguageModel, by: LanguageModel, waited_ms: float) -> None:
        raise AssertionError("nobody is to be asked beside another here")

    def lost(self, engine: LanguageModel) -> None:
        raise AssertionError("where nobody was asked beside another nobody loses")


@pytest.fixture
async def servers() -> AsyncGenerator[tuple[OpenAIServer, OpenAIServer]]:
    async with OpenAIServer() as first, OpenAIServer() as second:
        yield first, second


@pytest.mark.timeout(120)
@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@pytest.mark.parametrize("broken", BROKEN)
async def test_the_next_model_answers_and_has_the_next_request_too(
    servers: tuple[OpenAIServer, OpenAIServer], vendor: str, broken: Answer
) -> None:
    options = OpenAIOptions(first_item_ms=DEADLINE_MS)
    if vendor == "openai":
        one = Endpoint("one", servers[0].url, "sk-one")
        first = OpenAIModel(one, "m-1", options)
    else:
        url = servers[0].url.removesuffix("/v1")
        one = Endpoint("one", url, "sk-one", headers=anthropic.headers_of("sk-one"))
        first = AnthropicModel(one, "m-1", options)
    two = Endpoint("two", servers[1].url, "sk-two")
    second = OpenAIModel(two, "m-2", OpenAIOptions(first_item_ms=20_000))
    models: Ranking[LanguageModel] = Ranking([first, second], Rests())
    servers[0].answer(*[broken] * 8)  # also to an adapter that tries once more
    servers[1].answer(ANSWER, ANSWER)
    note, later = Note(), Note()
    clock = asyncio.get_running_loop()
    try:
        began_s = clock.time()
        assert await said(models, note) == "From the second."
        waited_ms = (clock.time() - began_s) * 1000
        assert await said(models, later) == "From the second."
    finally:
        await one.aclose()
        await two.aclose()
    assert (note.names[0], note.names[-1]) == ("one/m-1", "two/m-2")
    [failure] = note.failures
    assert str(failure).startswith("one/m-1: ")
    assert (set(later.names), later.failures) == ({"two/m-2"}, [])  # the first one rests
    silent = bool(broken.first_ms) or broken.stall_after is not None
    # A model that says nothing is given its deadline, and not more than the hang guard beside it.
    assert (DEADLINE_MS - 50 if silent else 0) <= waited_ms < 20_000


async def said(models: Ranking[LanguageModel], note: Note) -> str:
    items = [item async for item in ask(models, PROMPT, note)]
    return "".join(item.text for item in items if isinstance(item, TextDelta))
