"""POST /v1/agents/{id}/chat: the agent's own mind and tools, as server-sent events."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.openai_server import Answer, OpenAIServer, call, chunk, say

from chorus.calls import chat_stream

HELLO = [{"role": "user", "content": "Hello"}]
CALLED = chunk(finish_reason="tool_calls")


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer, None]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def api(tmp_path: Path, server: OpenAIServer) -> AsyncGenerator[Api, None]:
    settings = settings_for(
        tmp_path,
        openai_base_url=server.url,
        openai_models=("m",),
        allow_private_addresses=True,
    )
    async with running(settings) as api:
        yield api


def events(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found: list[tuple[str, dict[str, Any]]] = []
    for frame in response.text.strip().split("\n\n"):
        kind, data = frame.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def said(found: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(data["delta"] for kind, data in found if kind == "text")


async def test_text_comes_in_pieces_and_the_history_at_the_end(api: Api, server: OpenAIServer):
    agent = await api.made(
        "/v1/agents",
        {
            "name": "a",
            "systemPrompt": "You are {{who}}, of {{where}}.",
            "modelOptions": {"temperature": 0.1},
        },
    )
    server.answer(Answer(say("Good ", "day.")))
    body = {"messages": HELLO, "contextVariables": {"who": "Ann"}}
    found = events(await api.post(f"/v1/agents/{agent['id']}/chat", json=body))
    kinds = [kind for kind, _ in found]
    assert kinds[:2] == ["variables", "text"]
    assert kinds[-1] == "done"
    assert found[0][1] == {"missing": ["where"]}
    assert said(found) == "Good day."
    done = found[-1][1]
    assert done["messages"] == [{"role": "assistant", "content": "Good day."}]
    assert done["model"] == "openai/m"
    assert 0 <= done["firstTextMs"] <= done["totalMs"]
    [asked] = server.replies
    assert asked.body["messages"][0]["content"] == "You are Ann, of ."
    assert asked.body["temperature"] == 0.1


async def test_a_tool_is_really_called_and_its_result_told(api: Api, server: OpenAIServer):
    """The stand-in's own list of models is what the tool reads."""
    tool = await api.made(
        "/v1/tools",
        {
            "name": "look_up",
            "description": "d",
            "config": {"url": f"{server.url}/models", "method": "GET"},
        },
    )
    agent = await api.made("/v1/agents", {"name": "a", "toolIds": [tool["id"]]})
    server.answer(
        Answer([*call(0, "c1", "look_up", "{}"), *call(1, "c2", "end_call", "{}"), CALLED])
    )
    found = events(await api.post(f"/v1/agents/{agent['id']}/chat", json={"messages": HELLO}))
    kinds = [kind for kind, _ in found]
    assert kinds == ["tool_call", "tool_call", "tool_result", "tool_result", "done"]
    assert found[0][1] == {"id": "c1", "name": "look_up", "arguments": "{}", "hasEffects": False}
    assert (found[2][1]["ok"], found[2][1]["status"]) == (True, 200)
    assert json.loads(found[2][1]["result"])["object"] == "list"
    done = found[-1][1]
    assert done["endsCall"] is True
    # What is told can be sent back as it came.
    history = [*HELLO, *done["messages"], {"role": "user", "content": "And?"}]
    server.answer(Answer(say("Bye.")))
    again = await api.post(f"/v1/agents/{agent['id']}/chat", json={"messages": history})
    assert said(events(again)) == "Bye."
    roles = [message["role"] for message in server.replies[-1].body["messages"]]
    assert roles[:4] == ["user", "assistant", "tool", "tool"]
    assert roles[-1] == "user"


async def test_a_draft_counts_and_is_not_saved(api: Api, server: OpenAIServer):
    agent = await api.made("/v1/agents", {"name": "a", "systemPrompt": "Old."})
    path = f"/v1/agents/{agent['id']}"
    draft = {
        "systemPrompt": "New.",
        "firstSpeaker": "agent",
        "agentGreeting": "Hi, {{who}}!",
        "agentGreetingEnabled": True,
    }
    opening = {"messages": [], "agent": draft, "contextVariables": {"who": "Bo"}}
    assert said(events(await api.post(f"{path}/chat", json=opening))) == "Hi, Bo!"
    assert server.replies == []
    await api.post(f"{path}/chat", json={"messages": HELLO, "agent": draft})
    assert server.replies[-1].body["messages"][0]["content"] == "New."
    assert (await api.get(path)).json()["data"] == agent
    refused = await api.post(
        f"{path}/chat", json={"messages": HELLO, "agent": {"voiceId": str(uuid.uuid4())}}
    )
    assert refused.status_code == 400
    assert refused.json()["details"][0]["message"].startswith("Voice not found")


async def test_where_the_caller_speaks_first_nothing_is_said(api: Api, server: OpenAIServer):
    agent = await api.made("/v1/agents", {"name": "a"})
    found = events(await api.post(f"/v1/agents/{agent['id']}/chat", json={"messages": []}))
    assert [kind for kind, _ in found] == ["done"]
    assert server.replies == []


async def test_a_failure_is_told_as_the_caller_would_hear_it(api: Api, server: OpenAIServer):
    agent = await api.made("/v1/agents", {"name": "a", "languageHint": "de"})
    server.answer(Answer(status=401, body={}))
    found = events(await api.post(f"/v1/agents/{agent['id']}/chat", json={"messages": HELLO}))
    assert [kind for kind, _ in found] == ["error", "done"]
    assert "refused the API key" in found[0][1]["detail"]
    assert found[0][1]["spoken"].startswith("Entschuldigung")


async def test_an_id_that_is_empty_is_none(api: Api, server: OpenAIServer):
    agent = await api.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{agent['id']}/chat"
    for none in ("", None):
        server.answer(Answer(say("Bye.")))
        history = [{**HELLO[0], "toolCallId": none}]
        assert said(events(await api.post(path, json={"messages": history}))) == "Bye."
    # A result has to say of which call it is, all the same.
    answer = await api.post(path, json={"messages": [{"role": "tool", "toolCallId": ""}]})
    assert "results of tool calls" in answer.text


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([{"role": "assistant", "content": "x"}], "must end with a message of the user"),
        ([{"role": "tool", "content": "x", "toolCallId": "c"}], "results of tool calls"),
        (
            [{"role": "assistant", "toolCalls": [{"id": "c", "name": "t"}]}, *HELLO],
            "a result for each tool call",
        ),
        ([{"role": "user", "content": " "}], "no blank message"),
        ([{"role": "system", "content": "x"}], ""),
    ],
)
async def test_a_history_that_no_model_takes(api: Api, messages: list[Any], says: str):
    agent = await api.made("/v1/agents", {"name": "a"})
    refused = await api.post(f"/v1/agents/{agent['id']}/chat", json={"messages": messages})
    assert refused.status_code == 400
    assert says in refused.text


async def test_who_may(api: Api, server: OpenAIServer):
    agent = await api.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{agent['id']}/chat"
    reader = await api.another_organization(scopes=("read",))
    assert (await reader.post(path, json={"messages": HELLO})).status_code == 403
    other = await api.another_organization()
    assert (await other.post(path, json={"messages": HELLO})).status_code == 404
    keyed = await api.client.post(
        path, json={"messages": HELLO}, headers={"idempotency-key": "one"}
    )
    assert keyed.status_code == 400
    assert server.replies == []
    await api.post(path, json={"messages": HELLO})
    log = (await api.get("/v1/audit-log")).json()["data"]
    [entry] = [entry for entry in log if entry["action"] == "chatWithAgent"]
    assert entry["resourceId"] == agent["id"]


async def test_at_most_so_many_at_once(api: Api, monkeypatch: pytest.MonkeyPatch):
    agent = await api.made("/v1/agents", {"name": "a"})
    monkeypatch.setattr(chat_stream, "MAX_OF_ORGANIZATION", 0)
    refused = await api.post(f"/v1/agents/{agent['id']}/chat", json={"messages": HELLO})
    assert refused.status_code == 429
    assert refused.json()["code"] == "too_many_chats"


async def test_an_answer_without_end_is_ended(
    api: Api, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    agent = await api.made("/v1/agents", {"name": "a"})
    monkeypatch.setattr(chat_stream, "LONGEST_S", 0.2)
    server.answer(Answer(say("One"), stall_after=2))
    found = events(await api.post(f"/v1/agents/{agent['id']}/chat", json={"messages": HELLO}))
    assert found[-1][0] == "error"
    assert "took longer" in found[-1][1]["detail"]
