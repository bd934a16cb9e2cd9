"""What is set of a model reaches the vendor: from the settings, the catalogue and the agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.openai_server import Answer, OpenAIServer, say

from chorus.catalogue.catalogue import Catalogue
from chorus.catalogue.choice import Choice
from chorus.catalogue.engines import EngineRoom, NoEngine
from chorus.llm.model import LanguageModel, Message, ModelFailed, Prompt
from chorus.settings import Settings, SettingsError

PROMPT = Prompt("Be brief.", (Message("user", "Hello"),))


def room(tmp_path: Path, server: OpenAIServer, model: str = "m", **options: Any) -> EngineRoom:
    settings = settings_for(
        tmp_path,
        simulated=True,
        openai_base_url=server.url,
        openai_models=(model,),
        openai_options=options,
    )
    return EngineRoom(settings, Catalogue.of(settings))


async def ask(model: LanguageModel, prompt: Prompt = PROMPT) -> None:
    async for _ in model.reply(prompt):
        pass


async def test_the_agents_options_go_before_the_servers(tmp_path: Path):
    async with OpenAIServer() as server:
        engines = room(
            tmp_path, server, temperature=0.9, extraBody={"top_p": 0.5, "seed": 1}, maxTokens=99
        )
        try:
            await ask(engines.select(Choice()).model)
            options = {"temperature": 0.2, "reasoningEffort": "low", "extraBody": {"seed": 2}}
            await ask(engines.select(Choice(model_options=options)).model)
            await ask(engines.analyst(None, options))
        finally:
            await engines.aclose()
        plain, own, after = (asked.body for asked in server.replies)
    assert (plain["temperature"], plain["max_tokens"], plain["top_p"]) == (0.9, 99, 0.5)
    assert "reasoning_effort" not in plain
    assert (own["temperature"], own["max_tokens"], own["reasoning_effort"]) == (0.2, 99, "low")
    assert (own["top_p"], own["seed"]) == (0.5, 2)
    # A summary is not held to the length of a spoken reply.
    assert "max_tokens" not in after
    assert after["reasoning_effort"] == "low"


async def test_older_history_is_left_out_beyond_the_window(tmp_path: Path):
    turns = tuple(
        Message(role, f"{number} " + "word " * 100)
        for number in range(40)
        for role in ("user", "assistant")
    )
    long = Prompt("Be brief.", (*turns, Message("user", "the last turn")))
    async with OpenAIServer() as server:
        engines = room(tmp_path, server)
        try:
            await ask(engines.select(Choice()).model, long)
            await ask(engines.select(Choice(model_options={"contextWindow": 4000})).model, long)
        finally:
            await engines.aclose()
        whole, fitting = (asked.body["messages"] for asked in server.replies)
    assert len(whole) == 82
    assert 4 < len(fitting) < 40
    assert fitting[0]["role"] == "system"
    assert fitting[-1]["content"] == "the last turn"


async def test_the_catalogues_window_reaches_the_model(tmp_path: Path):
    async with OpenAIServer() as server:
        engines = room(tmp_path, server, "gpt-4o")
        model: Any = engines.select(Choice()).model
        assert model.options.context_window == 128_000
        await engines.aclose()


async def test_time_for_a_model_that_reasons(tmp_path: Path):
    async with OpenAIServer() as server:
        server.answer(Answer(say("Late."), first_ms=800), Answer(say("Late."), first_ms=800))
        engines = room(tmp_path, server)
        try:
            await ask(engines.select(Choice(model_options={"firstTokenTimeoutMs": 8000})).model)
            with pytest.raises(ModelFailed, match="within 500 ms"):
                await ask(engines.select(Choice(model_options={"firstTokenTimeoutMs": 500})).model)
        finally:
            await engines.aclose()


async def test_calls_with_the_same_options_share_a_model(tmp_path: Path):
    """One that failed rests for all of them."""
    async with OpenAIServer() as server:
        engines = room(tmp_path, server)
        first = engines.select(Choice(model_options={"temperature": 0.2})).model
        assert engines.select(Choice(model_options={"temperature": 0.2})).model is first
        assert engines.select(Choice(model_options={"temperature": 0.3})).model is not first
        with pytest.raises(NoEngine, match="modelOptions cannot be used: temperature"):
            engines.select(Choice(model_options={"temperature": 5}))
        await engines.aclose()


def test_the_servers_options_are_read_from_the_environment():
    given = {"temperature": 0.2, "contextWindow": 8192}
    settings = Settings.read(
        {"CHORUS_OPENAI_OPTIONS": json.dumps(given), "CHORUS_OPENAI_API_KEY": "sk-x"}
    )
    assert settings.openai_options == given
    assert Catalogue.of(settings).models[0].context_window == 8192


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temperature=1", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ('{"temperature": 3}', "temperature must be a number from 0 to 2"),
        ('{"heat": 1}', "heat is no option; there are temperature, maxTokens"),
        ('{"extraBody": {"model": "other"}}', "extraBody must not hold model"),
    ],
)
def test_options_that_cannot_be_used(text: str, says: str):
    with pytest.raises(SettingsError) as caught:
        Settings.read({"CHORUS_OPENAI_OPTIONS": text})
    [problem] = caught.value.problems
    assert problem.startswith("CHORUS_OPENAI_OPTIONS ")
    assert says in problem
