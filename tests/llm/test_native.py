"""Anthropic and Google by their own protocols, against a server that answers as they document."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.fakes.openai_server import Answer, OpenAIServer

from chorus.llm import anthropic, google
from chorus.llm.endpoint import Endpoint
from chorus.llm.model import Message, ModelFailed, Prompt, TextDelta, ToolCall, ToolSpec, Usage
from chorus.llm.openai import OpenAIModel
from chorus.llm.options import OpenAIOptions

KEY = "sk-ant-0123456789"
TOOL = ToolSpec("find", "Finds", {"type": "object", "properties": {"day": {"type": "string"}}})
PROMPT = Prompt("Be brief.", (Message("user", "Hello"),), (TOOL,))


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer, None]:
    async with OpenAIServer() as found:
        yield found


def endpoint(vendor: str, server: OpenAIServer) -> Endpoint:
    module = {"anthropic": anthropic, "google": google}[vendor]
    url = server.url.removesuffix("/v1")
    return Endpoint(vendor, url, KEY, headers=module.headers_of(KEY))


def model_of(vendor: str, at: Endpoint, **options: Any) -> OpenAIModel:
    kind = {"anthropic": anthropic.AnthropicModel, "google": google.GoogleModel}[vendor]
    return kind(at, "m-1", OpenAIOptions(**options))


def claude(*blocks: Any, stop: str = "end_turn") -> list[str]:
    """A stream of `POST /v1/messages`: texts, and tools by name and input in pieces."""
    usage = {"input_tokens": 7, "cache_read_input_tokens": 100, "output_tokens": 1}
    events: list[Any] = [
        {"type": "message_start", "message": {"usage": usage}},
        {"type": "ping"},
    ]
    for index, block in enumerate(blocks):
        if isinstance(block, str):
            begun: Any = {"type": "text", "text": ""}
            deltas: list[Any] = [{"type": "text_delta", "text": word} for word in block.split("|")]
        else:
            name, *pieces = block
            begun = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ended = {"delta": {"stop_reason": stop}, "usage": {"output_tokens": 12}}
    events += [{"type": "message_delta", **ended}, {"type": "message_stop"}]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def gemini(*parts: Any, stop: str = "STOP") -> list[Any]:
    """Answers of `streamGenerateContent?alt=sse`, one for each part."""
    counts = {"promptTokenCount": 107, "candidatesTokenCount": 9, "thoughtsTokenCount": 3}
    found: list[Any] = [{"candidates": [{"content": {"parts": [part]}}]} for part in parts]
    return [*found, {"candidates": [{"finishReason": stop}], "usageMetadata": counts}]


SAYS = {
    "anthropic": claude("Nine| o'clock."),
    "google": gemini({"text": "hm", "thought": True}, {"text": "Nine"}, {"text": " o'clock."}),
}
CALLS = {
    "anthropic": claude("Let me see.", ("find", '{"day":', '"Friday"}'), stop="tool_use"),
    "google": gemini(
        {"text": "Let me see."},
        {"functionCall": {"name": "find", "args": {"day": "Friday"}}, "thoughtSignature": "sig"},
    ),
}


@pytest.mark.parametrize("vendor", ["anthropic", "google"])
async def test_text_streams_and_tokens_are_counted(server: OpenAIServer, vendor: str):
    at = endpoint(vendor, server)
    server.answer(Answer(SAYS[vendor], done=False))
    items = [item async for item in model_of(vendor, at).reply(PROMPT)]
    await at.aclose()
    assert [i.text for i in items if isinstance(i, TextDelta)] == ["Nine", " o'clock."]
    assert items[-1] == Usage(107, 12)
    [asked] = server.requests
    assert KEY in (asked.headers.get("x-api-key"), asked.headers.get("x-goog-api-key"))
    assert "authorization" not in asked.headers


@pytest.mark.parametrize("vendor", ["anthropic", "google"])
async def test_a_tool_is_called_and_its_result_goes_back(server: OpenAIServer, vendor: str):
    at = endpoint(vendor, server)
    model = model_of(vendor, at)
    server.answer(Answer(CALLS[vendor], done=False), Answer(SAYS[vendor], done=False))
    [call] = [item async for item in model.reply(PROMPT) if isinstance(item, ToolCall)]
    assert (call.name, json.loads(call.arguments)) == ("find", {"day": "Friday"})
    history = (
        *PROMPT.messages,
        Message("assistant", "Let me see.", (call,)),
        Message("tool", '{"free": 9}', tool_call_id=call.id),
    )
    _ = [item async for item in model.reply(Prompt("Be brief.", history, (TOOL,)))]
    await at.aclose()
    body = server.requests[1].body
    if vendor == "anthropic":
        assert server.requests[1].path == "/v1/messages"
        assert body["messages"][1]["content"] == [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": call.id, "name": "find", "input": {"day": "Friday"}},
        ]
        assert body["messages"][2]["content"] == [
            {"type": "tool_result", "tool_use_id": call.id, "content": '{"free": 9}'}
        ]
        assert body["tools"][0]["input_schema"] == TOOL.parameters
        assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    else:
        assert server.requests[1].path == "/v1beta/models/m-1:streamGenerateContent?alt=sse"
        assert body["contents"][1]["parts"][1] == {
            "functionCall": {"name": "find", "args": {"day": "Friday"}},
            "thoughtSignature": "sig",
        }
        assert body["contents"][2] == {
            "role": "user",
            "parts": [{"functionResponse": {"name": "find", "response": {"free": 9}}}],
        }


REFUSALS: list[tuple[str, Answer, str, bool]] = [
    (
        "anthropic",
        Answer(status=401, body={"type": "error", "error": {"message": f"bad {KEY}"}}),
        *("refused the API key", True),
    ),
    (
        "anthropic",
        Answer(status=529, body={"error": {"type": "overloaded_error", "message": "Overloaded"}}),
        *("HTTP 529: Overloaded", True),
    ),
    (
        "anthropic",
        Answer(
            ['event: error\ndata: {"type":"error","error":{"message":"Overloaded"}}\n\n'],
            done=False,
        ),
        *("reported an error: Overloaded", True),
    ),
    ("anthropic", Answer(claude("", stop="refusal"), done=False), "content filter", True),
    ("anthropic", Answer(['data: {"type":"content_block_delta"}\n\n']), "no chat completion", True),
    (
        "google",
        Answer(status=400, body={"error": {"message": "API key not valid", "status": "INVALID"}}),
        *("HTTP 400: API key not valid", False),
    ),
    ("google", Answer(gemini(stop="SAFETY"), done=False), "content filter", True),
    (
        "google",
        Answer([{"promptFeedback": {"blockReason": "SAFETY"}}], done=False),
        *("content filter", True),
    ),
    ("google", Answer([{"candidates": 5}], done=False), "no chat completion", True),
    ("google", Answer(SAYS["google"], stall_after=0), "no answer within 500 ms", True),
    ("anthropic", Answer(SAYS["anthropic"], stall_after=0), "no answer within 500 ms", True),
]


@pytest.mark.parametrize(("vendor", "answer", "says", "retryable"), REFUSALS)
async def test_what_goes_wrong(
    server: OpenAIServer, vendor: str, answer: Answer, says: str, retryable: bool
):
    at = endpoint(vendor, server)
    server.answer(answer)
    with pytest.raises(ModelFailed) as failed:
        _ = [item async for item in model_of(vendor, at, first_item_ms=500).reply(PROMPT)]
    await at.aclose()
    assert says in failed.value.detail
    assert KEY not in str(failed.value)
    assert failed.value.retryable is retryable


async def test_options_by_the_vendors_names(server: OpenAIServer):
    options = {"temperature": 1.5, "max_tokens": 50, "reasoning_effort": "low"}
    schema = {"type": "object"}
    for vendor in ("anthropic", "google"):
        at = endpoint(vendor, server)
        server.answer(Answer(SAYS[vendor], done=False))
        asked = Prompt("s", PROMPT.messages, json_schema=schema)
        _ = [item async for item in model_of(vendor, at, **options).reply(asked)]
        await at.aclose()
    claudes, geminis = (request.body for request in server.requests)
    assert (claudes["temperature"], claudes["max_tokens"]) == (1, 50)
    assert claudes["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }
    assert geminis["generationConfig"] == {
        "temperature": 1.5,
        "maxOutputTokens": 50,
        "thinkingConfig": {"thinkingLevel": "low"},
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
