"""Against a real server on loopback; its misbehaviour is the point."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.openai_server import Answer, OpenAIServer, call, chunk, say, usage

from chorus.llm.model import (
    Message,
    ModelFailed,
    ModelItem,
    Prompt,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
)
from chorus.llm.openai import Endpoint, OpenAIModel, OpenAIOptions
from chorus.llm.openai_request import body_of
from chorus.llm.refused import Learnt

KEY = "sk-test-1234567890abcdef"
PROMPT = Prompt("Be brief.", (Message("user", "Hello"),))
LATE = OpenAIOptions(first_item_ms=300)
STALLED = OpenAIOptions(first_item_ms=10_000, stall_ms=150)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def endpoint(server: OpenAIServer) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint("fake", server.url, KEY)
    for name in ("m", "m-1", "other"):
        endpoint.learnt[name] = Learnt(streams=True)  # nothing is held back to find out
    yield endpoint
    await endpoint.aclose()


async def items(model: OpenAIModel, prompt: Prompt = PROMPT) -> list[ModelItem]:
    return [item async for item in model.reply(prompt)]


async def failure(model: OpenAIModel) -> tuple[list[ModelItem], ModelFailed]:
    got: list[ModelItem] = []

    async def collect() -> None:
        async for item in model.reply(PROMPT):
            got.append(item)

    with pytest.raises(ModelFailed) as caught:
        await collect()
    assert KEY not in str(caught.value)
    assert "sk-" not in str(caught.value)
    return got, caught.value


async def test_text_streams_and_the_counts_come_last(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer([*say("Sure", ",", " at two\u2028."), usage(12, 5)]))
    assert await items(OpenAIModel(endpoint, "m")) == [
        TextDelta("Sure"),
        TextDelta(","),
        TextDelta(" at two\u2028."),
        Usage(12, 5),
    ]


async def test_the_request_is_what_the_api_documents(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer(say("ok")))
    options = OpenAIOptions(temperature=0.2, max_tokens=99, extra_body={"reasoning_effort": "low"})
    history = (
        Message("user", "Book it"),
        Message("assistant", "", (ToolCall("c1", "book", '{"n": 2}'), ToolCall("c2", "x", "{bad"))),
        Message("tool", '{"ok": true}', tool_call_id="c1"),
        Message("tool", '{"error": "bad"}', tool_call_id="c2"),
        Message("assistant", "Done."),
        Message("user", "Thanks"),
    )
    tool = ToolSpec("book", "Books.", {"type": "object", "properties": {"n": {"type": "integer"}}})
    await items(OpenAIModel(endpoint, "m-1", options), Prompt("Be brief.", history, (tool,)))
    asked = server.replies[0]
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Book it"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "book", "arguments": '{"n": 2}'},
                    },
                    # Broken JSON in the history makes some servers refuse the whole request.
                    {"id": "c2", "type": "function", "function": {"name": "x", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": '{"ok": true}'},
            {"role": "tool", "tool_call_id": "c2", "content": '{"error": "bad"}'},
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "Thanks"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "book",
                    "description": "Books.",
                    "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
                },
            }
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.2,
        "max_tokens": 99,
        "reasoning_effort": "low",
    }


def test_openai_itself_is_sent_the_newer_name_of_max_tokens() -> None:
    endpoint = Endpoint("openai", "https://api.openai.com/v1")
    model = OpenAIModel(endpoint, "m", OpenAIOptions(max_tokens=9))
    body = body_of(PROMPT, vendor="openai", model="m", options=model.options, learnt=model._learnt)
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


async def test_parallel_tool_calls_come_whole_and_in_order(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    a = call(0, "c1", "book", '{"par', 'ty": ', "2}")
    b = call(1, "c2", "look_up")
    interleaved = [a[0], b[0], a[1], a[2], a[3], *b[1:]]
    text = say("One moment.", finish=None)
    events = [*text, *interleaved, chunk(finish_reason="tool_calls"), usage(7, 8)]
    server.answer(Answer(events))
    assert await items(OpenAIModel(endpoint, "m")) == [
        TextDelta("One moment."),
        ToolCall("c1", "book", '{"party": 2}'),
        ToolCall("c2", "look_up", "{}"),
        Usage(7, 8),
    ]


async def test_the_dialects_of_compatible_servers(server: OpenAIServer, endpoint: Endpoint) -> None:
    def whole(call_id: str | None, arguments: Any) -> dict[str, Any]:
        piece = {"index": 0, "id": call_id, "function": {"name": "f", "arguments": arguments}}
        return chunk({"tool_calls": [piece]})

    server.answer(
        Answer(
            [
                ": a comment that keeps the connection alive\n\n",
                whole("a", '{"x": 1}'),
                whole("b", {"x": 2}),  # an object instead of JSON, and the index 0 again
                {**chunk(finish_reason="stop"), "usage": {"prompt_tokens": 3}},
            ],
            done=False,  # without [DONE]
        ),
        Answer([whole(None, "{}"), chunk(finish_reason="tool_calls")]),
    )
    model = OpenAIModel(endpoint, "m")
    assert await items(model) == [
        ToolCall("a", "f", '{"x": 1}'),
        ToolCall("b", "f", '{"x": 2}'),
        Usage(3, 0),
    ]
    (nameless,) = await items(model)
    assert isinstance(nameless, ToolCall)
    assert nameless.id.isalnum()
    assert len(nameless.id) == 9  # what Mistral asks for


async def test_closing_the_reply_closes_the_vendors_stream_at_once(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer(say("one", "two"), stall_after=2))
    reply = OpenAIModel(endpoint, "m").reply(PROMPT)
    assert await anext(reply) == TextDelta("one")
    closed_at = asyncio.get_running_loop().time()
    await reply.aclose()
    await _until(lambda: server.replies[0].ended is not None)
    assert server.replies[0].ended == "disconnected"
    assert server.replies[0].ended_at is not None
    assert server.replies[0].ended_at - closed_at < 0.5


@pytest.mark.parametrize("stall_after", [None, 2])
async def test_cancelling_the_task_closes_the_vendors_stream(
    server: OpenAIServer, endpoint: Endpoint, stall_after: int | None
) -> None:
    """While waiting for the headers, and in mid-stream."""
    first_ms = 60_000 if stall_after is None else 0
    server.answer(Answer(say("one"), first_ms=first_ms, stall_after=stall_after))
    task = asyncio.create_task(items(OpenAIModel(endpoint, "m")))
    await _until(lambda: bool(server.replies))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: server.replies[0].ended == "disconnected")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(say("late"), first_ms=60_000),
        Answer(say("late"), stall_after=0),
        Answer([chunk({"role": "assistant", "content": ""})] * 99, event_ms=20),
        Answer([chunk({"reasoning_content": "Let me think."})] * 99, event_ms=20),
    ],
    ids=["no headers", "no events", "no text", "only thoughts"],
)
async def test_the_first_items_deadline(
    server: OpenAIServer, endpoint: Endpoint, answer: Answer
) -> None:
    assert await endpoint.warm()
    server.answer(answer)
    got, error = await failure(OpenAIModel(endpoint, "m", LATE))
    assert got == []
    assert error.detail == "no answer within 300 ms"
    assert error.retryable
    await _until(lambda: bool(server.replies) and server.replies[0].ended == "disconnected")


async def test_a_stall_in_mid_reply_fails_after_what_came(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer(say("one", "two"), stall_after=2))
    got, error = await failure(OpenAIModel(endpoint, "m", STALLED))
    assert got == [TextDelta("one")]
    assert "nothing came for 150 ms" in error.detail


async def test_a_reply_slower_than_the_first_deadline_but_steady_is_fine(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    assert await endpoint.warm()
    server.answer(Answer(say(*["word "] * 8), event_ms=90))
    options = OpenAIOptions(first_item_ms=600, stall_ms=600)
    assert len(await items(OpenAIModel(endpoint, "m", options))) == 8


@pytest.mark.parametrize("cleanly", [True, False])
async def test_a_drop_in_mid_reply_is_a_failure_and_no_end(
    server: OpenAIServer, endpoint: Endpoint, cleanly: bool
) -> None:
    server.answer(Answer(say("one", "two"), drop_after=2, event_ms=5, cleanly=cleanly))
    got, error = await failure(OpenAIModel(endpoint, "m"))
    assert got == [TextDelta("one")]
    assert error.retryable
    assert ("ended before" if cleanly else "dropped in mid-reply") in error.detail


async def test_a_tool_call_cut_short_is_never_passed_on(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer(call(0, "c1", "pay", '{"amount": 1', "000}"), drop_after=2, cleanly=True))
    got, _ = await failure(OpenAIModel(endpoint, "m"))
    assert got == []


@pytest.mark.parametrize("stop", ["stall", "drop"])
async def test_trouble_after_the_end_costs_only_the_counts(
    server: OpenAIServer, endpoint: Endpoint, stop: str
) -> None:
    where = {"stall_after": 3} if stop == "stall" else {"drop_after": 3, "event_ms": 5}
    server.answer(Answer([*say("done"), usage(1, 1)], **where))
    assert await items(OpenAIModel(endpoint, "m", STALLED)) == [TextDelta("done")]


async def test_a_server_that_never_ends_its_stream_holds_back_no_words(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    """No counts, no `[DONE]`, no end: the reply is over all the same, and soon."""
    server.answer(Answer(say("done"), stall_after=3))
    model = OpenAIModel(endpoint, "m")
    loop = asyncio.get_running_loop()
    reply = model.reply(PROMPT)
    assert await anext(reply) == TextDelta("done")
    at = loop.time()
    assert [item async for item in reply] == []
    assert loop.time() - at < 2  # far less than a stall


async def test_arguments_without_end_are_cut_off(server: OpenAIServer, endpoint: Endpoint) -> None:
    piece = "x" * 1000
    server.answer(Answer(call(0, "c1", "pay", *[piece] * 300)))
    got, error = await failure(OpenAIModel(endpoint, "m"))
    assert got == []
    assert "longer than 200,000 characters" in error.detail


async def test_arguments_nested_without_end_are_not_sent_back(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer(say("ok")))
    asked = Message("assistant", "", (ToolCall("c1", "book", "[" * 5000),))
    history = (asked, Message("tool", "{}", tool_call_id="c1"))
    await items(OpenAIModel(endpoint, "m"), Prompt("Be brief.", history))
    (sent,) = server.replies[0].body["messages"][2]["tool_calls"]
    assert sent["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("data: {not json\n\n", "no chat completion"),
        ('data: ["a list"]\n\n', "no chat completion"),
        ('data: {"choices": [7]}\n\n', "no chat completion"),
        ('data: {"choices": [{"delta": {"content": 7}}]}\n\n', "no chat completion"),
        ("data: \xff\n\n", "no chat completion"),
        (f"data: {'[' * 5000}\n\n", "no chat completion"),
        (chunk({"content": "x" * 250_000}), "longer than 200,000 characters"),
        ({"error": {"message": f"overloaded {KEY}"}}, "reported an error: overloaded [key]"),
    ],
)
async def test_nonsense_in_the_stream(
    server: OpenAIServer, endpoint: Endpoint, event: Any, says: str
) -> None:
    server.answer(Answer([*say("one", finish=None), event]))
    got, error = await failure(OpenAIModel(endpoint, "m"))
    assert got == [TextDelta("one")]
    assert says in error.detail


@pytest.mark.parametrize(
    ("status", "message", "says", "retryable"),
    [
        (401, f"Incorrect API key provided: {KEY}", "refused the API key", True),
        (403, "no", "refused the API key", True),
        (404, "The model `m` does not exist", "no model 'm'", True),
        (429, "Rate limit reached", "HTTP 429): Rate limit reached", True),
        (500, "oops", "HTTP 500: oops", True),
        (503, "busy", "HTTP 503: busy", True),
        (400, f"bad tool, Bearer {KEY}", "HTTP 400: bad tool, Bearer [key]", False),
        (413, "too long", "HTTP 413: too long", False),
    ],
)
async def test_http_errors_become_sentences(
    server: OpenAIServer,
    endpoint: Endpoint,
    status: int,
    message: str,
    says: str,
    retryable: bool,
) -> None:
    server.answer(Answer(status=status, body={"error": {"message": message, "code": "x"}}))
    _, error = await failure(OpenAIModel(endpoint, "m"))
    assert says in error.detail
    assert error.retryable is retryable
    assert error.kind == str(status)
    assert len(server.replies) == 1, "retrying is the caller's decision"


async def test_an_error_page_that_is_no_json(server: OpenAIServer, endpoint: Endpoint) -> None:
    server.answer(Answer(status=502, body="<html>" + "x" * 5000))
    _, error = await failure(OpenAIModel(endpoint, "m"))
    assert "HTTP 502" in error.detail
    assert len(error.detail) < 400


async def test_a_reply_withheld_by_a_filter(server: OpenAIServer, endpoint: Endpoint) -> None:
    server.answer(Answer(say(finish="content_filter")))
    _, error = await failure(OpenAIModel(endpoint, "m"))
    assert "content filter" in error.detail


async def test_nobody_listens_there() -> None:
    endpoint = Endpoint("fake", "http://127.0.0.1:9/v1")
    _, error = await failure(OpenAIModel(endpoint, "m"))
    assert "no connection" in error.detail
    assert await endpoint.warm() is False
    await endpoint.aclose()


async def test_one_connection_serves_turn_after_turn_and_can_be_opened_ahead(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    assert await endpoint.warm()
    server.answer(Answer(say("a")), Answer(say("b")))
    await items(OpenAIModel(endpoint, "m"))
    await items(OpenAIModel(endpoint, "other"))
    assert {r.connection for r in server.requests} == {1}


async def test_a_pooled_connection_that_the_vendor_closed_costs_nothing(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    assert await endpoint.warm()
    server.close_connections()
    server.answer(Answer(say("still here")))
    assert await items(OpenAIModel(endpoint, "m")) == [TextDelta("still here")]


async def test_a_request_that_was_not_answered_at_all_is_sent_once_more(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer(hang_up=True), Answer(say("second try")))
    assert await items(OpenAIModel(endpoint, "m")) == [TextDelta("second try")]
    server.answer(Answer(hang_up=True), Answer(hang_up=True), Answer(say("too late")))
    _, error = await failure(OpenAIModel(endpoint, "m"))
    assert "no connection" in error.detail
    assert len(server.replies) == 4


async def test_many_replies_at_once(server: OpenAIServer, endpoint: Endpoint) -> None:
    server.answer(*[Answer(say("one", "two"), event_ms=2) for _ in range(40)])
    model = OpenAIModel(endpoint, "m")
    replies = await asyncio.gather(*[items(model) for _ in range(40)])
    assert all(reply == [TextDelta("one"), TextDelta("two")] for reply in replies)


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(Endpoint("fake", "http://127.0.0.1/v1", KEY))


def test_importing_the_module_does_not_import_the_library() -> None:
    code = "import sys, chorus.llm.openai; print('httpx2' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_the_fake_says_what_it_was_told() -> None:
    assert json.loads(json.dumps(say("a")))[1]["choices"][0]["delta"] == {"content": "a"}


async def _until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.001)
