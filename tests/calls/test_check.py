"""POST /v1/agents/{id}/check: what is wrong in an agent before it takes calls."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.http_peer import HttpPeer, respond

from chorus.agents.tables import Agent
from chorus.models_command import spoken_languages
from chorus.speech.weights.store import for_languages

CLOSED = "http://127.0.0.1:1"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncGenerator[Api, None]:
    async with running(settings_for(tmp_path, allow_private_addresses=True)) as api:
        yield api


async def checked(api: Api, of: dict[str, Any], **body: Any) -> tuple[bool, dict[str, str]]:
    """Whether it is fine, and the messages by severity and field."""
    answer = await api.post(f"/v1/agents/{of['id']}/check", json=body)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    found = {f"{each['severity']} {each['field']}": each["message"] for each in data["findings"]}
    return data["ok"], found


async def test_one_that_is_fine(api: Api):
    agent = await api.made("/v1/agents", {"name": "a", "systemPrompt": "You are {{who}}."})
    assert await checked(api, agent, contextVariables={"who": "Ann"}) == (True, {})
    ok, found = await checked(api, agent)
    assert ok
    assert found["warning systemPrompt"].startswith("{{who}} has no value")


async def test_a_language_that_nothing_here_hears_is_told_with_the_command(api: Api):
    agent = await api.made("/v1/agents", {"name": "a", "languageHint": "de-AT"})
    _, found = await checked(api, agent)
    says = "Callers speak de, and this server hears English only: run `chorus models pull whisper"
    assert found["warning languageHint"].startswith(says)
    _, found = await checked(api, agent, agent={"languageHint": "en-GB"})
    assert not found
    _, found = await checked(api, agent, agent={"languageHint": "en", "languages": ["fr", "en"]})
    assert "Callers speak fr," in found["warning languageHint"]
    key = {"provider": "soniox", "apiKey": "k"}
    await api.made("/v1/provider-keys", key)
    assert await checked(api, agent) == (True, {})  # the vendor hears all of them
    offered = for_languages(await spoken_languages(api.process.settings))
    assert [weights.name for weights in offered] == ["whisper-base", "piper-de_DE-mls-medium"]


async def test_tools_that_cannot_be_reached(api: Api):
    async with HttpPeer(lambda _: respond(405)) as peer:
        ids: list[str] = []
        for url in (f"{peer.url}/here/{{{{who}}}}", f"{CLOSED}/there"):
            tool = {"name": "t", "description": "d", "config": {"url": url}}
            ids.append((await api.made("/v1/tools", tool))["id"])
        agent = await api.made("/v1/agents", {"name": "a", "toolIds": ids})
        ok, found = await checked(api, agent)
        assert [asked.method for asked in peer.requests] == ["HEAD"]
        assert peer.requests[0].target == "/"
    assert not ok
    assert found["error toolIds.1"].startswith(f"t: {CLOSED}/ ")
    assert "{{who}}" in found["warning toolIds.0"]
    assert "error toolIds.0" not in found


async def test_a_script_and_a_name_that_is_none_of_a_draft(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    draft = {
        "systemPrompt": 'script:\nwhen caller says hello: say "hi"',
        "agentGreeting": "{{a-b}}",
    }
    ok, found = await checked(api, agent, agent=draft)
    assert not ok
    assert found["error systemPrompt"].startswith("Line 2 of the script: ")
    assert "{{a-b}} is no variable" in found["error agentGreeting"]
    assert (await api.get(f"/v1/agents/{agent['id']}")).json()["data"] == agent


async def test_variables_of_transfers_and_of_who_answers(api: Api):
    target: dict[str, Any] = {"name": "Desk", "number": "+14155550177", "type": "warm"}
    target |= {"briefing": "{{reason}} {{who}}", "whenUnavailable": "{{callerNumber}} {{what}}"}
    target["headers"] = [
        {"key": "X-Reason", "value": "{{reason}}"},
        {"key": "X-Order", "value": "{{order}} {{callerNumber}}"},
    ]
    answering = {"message": "{{a}}", "menuGoal": "{{b}}", "introduction": "{{c}}"}
    wish = {"name": "a", "holdMessage": "One moment {{whom}}", "transferTargets": [target]}
    _, found = await checked(api, await api.made("/v1/agents", wish | {"answering": answering}))
    named = {
        where.removeprefix("warning "): message.partition("{{")[2].partition("}}")[0]
        for where, message in found.items()
    }
    assert named == {
        "holdMessage": "whom",
        "answering.message": "a",
        "answering.menuGoal": "b",
        "answering.introduction": "c",
        "transferTargets.0.briefing": "who",
        "transferTargets.0.whenUnavailable": "what",
        "transferTargets.0.headers.1.value": "order",
    }


async def test_what_callers_enter_is_a_variable_of_tools(api: Api):
    config = {"url": f"{CLOSED}/{{{{order}}}}/{{{{other}}}}"}
    tool = await api.made("/v1/tools", {"name": "t", "description": "d", "config": config})
    wish = {"name": "a", "systemPrompt": "{{order}}", "toolIds": [tool["id"]]}
    agent = await api.made("/v1/agents", wish | {"keyInputs": [{"name": "order"}]})
    _, found = await checked(api, agent)
    assert found["warning toolIds.0"].startswith("{{other}} has no value")
    assert found["warning systemPrompt"].startswith("{{order}} has no value")


async def test_names_in_texts_of_an_agent_are_checked_when_it_is_saved(api: Api):
    header = {"key": "X-Order", "value": "{{order-id}}"}
    target = {"name": "Desk", "number": "+14155550177", "headers": [header]}
    for change, field in (
        ({"transferTargets": [target]}, "transferTargets.0.headers.0.value"),
        ({"answering": {"menuGoal": "{{a.b}}"}}, "answering.menuGoal"),
    ):
        refused = await api.post("/v1/agents", json={"name": "a", **change})
        assert refused.status_code == 400
        [detail] = refused.json()["details"]
        assert detail["field"] == field
        assert "is no variable" in detail["message"]


async def test_engines_that_are_gone(api: Api):
    agent = await api.made("/v1/agents", {"name": "a", "languageHint": "tlh"})
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(Agent).values(slm_model_id=uuid.uuid4(), voice_id=uuid.uuid4())
        )
    ok, found = await checked(api, agent)
    assert not ok
    assert "Script is used" in found["error slmModelId"]
    assert "any more" in found["error voiceId"]
    assert "English" in found["warning languageHint"]


async def test_names_of_a_tool_are_checked_when_it_is_saved(api: Api):
    for config, field in (
        ({"url": "https://a.example/{{first-name}}"}, "config.url"),
        (
            {"url": "https://a.example", "headers": [{"key": "X-A", "value": "{{a.b}}"}]},
            "config.headers.0.value",
        ),
    ):
        refused = await api.post(
            "/v1/tools", json={"name": "t", "description": "d", "config": config}
        )
        assert refused.status_code == 400
        [detail] = refused.json()["details"]
        assert detail["field"] == field
        assert "is no variable" in detail["message"]
