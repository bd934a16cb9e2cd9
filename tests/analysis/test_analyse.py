"""The step after a call, on both databases: from the row to the row."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.openai_server import Answer, OpenAIServer, say, usage
from tests.recordings.kept_calls import WORDS, call, events

from chorus.agents.tables import Agent
from chorus.analysis.analyse import analyse

SCRIPT = """
script:
when caller says "my name is {name:word}": say "Hello {name}."
after call when caller said "cancel": summary "Cancelled."
after call:
    summary "{name} of {{company}} called."
    extract customer = {name}, and extract visits = 2
"""
FIELDS = [
    {"name": "customer", "type": "string", "required": True},
    {"name": "visits", "type": "integer"},
    {"name": "mood", "type": "string"},
]


async def agent(api: Api, **changes: Any) -> str:
    wish = {"name": "Ada", "postCallSummaryEnabled": True, "postCallExtractionSchema": FIELDS}
    return (await api.made("/v1/agents", {**wish, **changes}))["id"]


async def model(api: Api, name: str) -> str:
    models = (await api.get("/v1/slm-models")).json()["data"]
    [found] = [each["id"] for each in models if name in each["name"].lower()]
    return found


async def analysed(api: Api, agent_id: str, **columns: Any) -> tuple[uuid.UUID, Any]:
    id = await call(
        api.process.database,
        await api.organization_id(),
        agent_id=uuid.UUID(agent_id),
        **columns,
    )
    await analyse(api.app.state.switchboard, id)
    return id, (await api.get(f"/v1/calls/{id}")).json()["data"]["analysis"]


async def test_by_script(api: Api):
    agent_id = await agent(api, slmModelId=await model(api, "script"), systemPrompt=SCRIPT)
    id, analysis = await analysed(api, agent_id, context_variables={"company": "Acme"})
    assert analysis == {
        "summary": "zoë of Acme called.",
        "extractions": {"customer": "zoë", "visits": 2, "mood": None},
        "problems": [],
    }
    assert await events(api.process.database, id) == [("analysed", {"problems": []})]
    await analyse(api.app.state.switchboard, id)
    assert len(await events(api.process.database, id)) == 1, "once only"
    said = [{"role": "user", "content": "Cancel it, please."}]
    _, analysis = await analysed(api, agent_id, transcript=said)
    assert analysis["summary"] == "Cancelled."
    assert [each["field"] for each in analysis["problems"]] == ["customer"]


async def test_a_script_with_a_mistake(sqlite_api: Api):
    agent_id = await agent(sqlite_api, slmModelId=await model(sqlite_api, "script"))
    # It is refused when it is saved; this one was saved before that was so.
    async with sqlite_api.process.database.writing() as session:
        broken = 'script:\nat start: say "Hi"\nafter call: say "Bye"'
        await session.execute(sa.update(Agent).values(system_prompt=broken))
    _, analysis = await analysed(sqlite_api, agent_id)
    assert analysis["extractions"] == {"customer": None, "visits": None, "mood": None}
    assert "line 3: " in analysis["problems"][0]["reason"]


@pytest.mark.parametrize(
    "columns",
    [
        {"transcript": None},
        {"transcript": []},
        {"transcript": WORDS[:1]},
        {"transcript": [{"role": "user", "content": " "}]},
        {"ended_at": None, "status": "in_progress"},
    ],
)
async def test_what_is_not_analysed(sqlite_api: Api, columns: dict[str, Any]):
    id, analysis = await analysed(sqlite_api, await agent(sqlite_api), **columns)
    assert analysis is None
    assert await events(sqlite_api.process.database, id) == []


async def test_an_agent_that_is_gone_or_wants_nothing(sqlite_api: Api):
    id, analysis = await analysed(sqlite_api, str(uuid.uuid4()))
    assert analysis is None
    skipped = [("analysis_skipped", {"reason": "agent_deleted"})]
    assert await events(sqlite_api.process.database, id) == skipped
    indifferent = await agent(sqlite_api, postCallSummaryEnabled=False, postCallExtractionSchema=[])
    assert (await analysed(sqlite_api, indifferent))[1] is None


async def changed(api: Api, agent_id: str, **changes: Any) -> None:
    answer = await api.patch(f"/v1/agents/{agent_id}", json=changes)
    assert answer.status_code == 200, answer.text


async def test_an_agent_that_was_changed_after_the_call(api: Api):
    """What is wanted and the script are as they were when the call was held."""
    agent_id = await agent(api, slmModelId=await model(api, "script"), systemPrompt=SCRIPT)
    other = [{"name": "colour", "type": "string", "required": True}]
    await changed(
        api,
        agent_id,
        postCallExtractionSchema=other,
        postCallSummaryEnabled=False,
        systemPrompt="Be kind.",
    )
    _, analysis = await analysed(
        api, agent_id, agent_version=1, context_variables={"company": "Acme"}
    )
    assert analysis == {
        "summary": "zoë of Acme called.",
        "extractions": {"customer": "zoë", "visits": 2, "mood": None},
        "problems": [],
    }


@pytest.mark.parametrize("version", [None, 7])
async def test_a_call_whose_version_is_not_known(sqlite_api: Api, version: int | None):
    script = 'script:\nafter call: extract colour = "red"'
    agent_id = await agent(
        sqlite_api,
        slmModelId=await model(sqlite_api, "script"),
        systemPrompt=script,
        postCallSummaryEnabled=False,
    )
    await changed(
        sqlite_api, agent_id, postCallExtractionSchema=[{"name": "colour", "type": "string"}]
    )
    _, analysis = await analysed(sqlite_api, agent_id, agent_version=version)
    assert analysis["extractions"] == {"colour": "red"}


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer, None]:
    async with OpenAIServer() as running_server:
        yield running_server


async def test_by_a_language_model(tmp_path: Path, server: OpenAIServer):
    settings = settings_for(tmp_path, openai_base_url=server.url, openai_models=("m",))
    async with running(settings) as api:
        found = {"customer": "Zoë", "visits": "two", "mood": None}
        wrong = json.dumps({"summary": "Zoë called.", "extractions": found})
        server.answer(*[Answer([*say(wrong), usage(50, 10)])] * 2)
        agent_id = await agent(api, slmModelId=await model(api, "m"))
        id, analysis = await analysed(api, agent_id)
        problem = {"field": "visits", "reason": "must be an integer"}
        assert analysis == {
            "summary": "Zoë called.",
            "extractions": {**found, "visits": None},
            "problems": [problem],
        }
        assert await events(api.process.database, id) == [
            ("analysed", {"problems": [problem]}),
            (
                "usage",
                {
                    "purpose": "analysis",
                    "model": "openai/m",
                    "inputTokens": 100,
                    "outputTokens": 20,
                },
            ),
        ]
        assert "My name is Zoë." in server.replies[0].body["messages"][1]["content"]
        # Deleted while the model was thinking: what was said does not come back.
        assert (await api.delete(f"/v1/calls/{id}/transcript")).status_code == 200
        await analyse(api.app.state.switchboard, id)
        assert (await api.get(f"/v1/calls/{id}")).json()["data"]["analysis"] is None
