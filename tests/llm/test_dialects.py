"""What a server may say in its own dialect, and what goes back to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fakes.openai_server import Answer, OpenAIServer, chunk, say
from tests.llm.dialects import CALLED, DIALECTS, ORDER, PROMPT, STOP, TOOLS, Dialect, piece, text

from chorus.llm.model import Message, ModelFailed, Prompt, TextDelta, ToolCall
from chorus.llm.openai import Endpoint, OpenAIModel, OpenAIOptions
from chorus.llm.ordering import BEGIN, GO_ON, UNHEARD
from chorus.llm.second import reply_with_words


async def ask(model: OpenAIModel, prompt: Prompt = PROMPT) -> tuple[str, list[ToolCall]]:
    items = [item async for item in reply_with_words(model, prompt)]
    said = "".join(item.text for item in items if isinstance(item, TextDelta))
    return said.strip(), [item for item in items if isinstance(item, ToolCall)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.report)
async def test_dialect(server: OpenAIServer, endpoint: Endpoint, dialect: Dialect) -> None:
    await ask_as_said(server, endpoint, dialect)


async def ask_as_said(server: OpenAIServer, endpoint: Endpoint, dialect: Dialect) -> None:
    answer = Answer(dialect.events, done=dialect.done, content_type=dialect.content_type)
    server.answer(answer, answer)
    model = OpenAIModel(endpoint, "m")
    if dialect.says is None:
        with pytest.raises(ModelFailed):
            await ask(model)
        return
    said, calls = await ask(model)
    assert said == dialect.says
    assert [(c.name, c.arguments) for c in calls] == list(dialect.calls)
    assert len({c.id for c in calls}) == len(calls)
    if said and not dialect.calls:
        # Once it is known how the model begins, nothing is said that was not said before.
        assert (await ask(model))[0] == dialect.says


async def test_what_begins_with_text_streams_from_the_second_reply_on(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    model = OpenAIModel(endpoint, "m")
    server.answer(Answer(say("Nine", " o'clock.")), Answer(say("Nine", " o'clock."), stall_after=2))
    assert (await ask(model))[0] == "Nine o'clock."
    reply = model.reply(PROMPT)
    assert await anext(reply) == TextDelta("Nine")
    await reply.aclose()


async def test_a_model_that_is_known_to_reason_is_held_back_each_time(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    model = OpenAIModel(endpoint, "m", OpenAIOptions(thinks_in_content=True))
    for _ in range(2):
        server.answer(Answer(text("Do not tell. ", "</think>", "Nine.")))
        assert (await ask(model))[0] == "Nine."


async def test_an_empty_reply_is_asked_for_once_more(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    server.answer(Answer([STOP]), Answer(text("Nine.")))
    assert (await ask(OpenAIModel(endpoint, "m")))[0] == "Nine."
    assert len(server.replies) == 2


# --- what goes back ------------------------------------------------------------------------------


async def test_what_a_vendor_wants_back_with_a_tool_call_goes_back(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    signed = {"google": {"thought_signature": "abc"}}
    first = piece(*ORDER, id="c1")
    first["choices"][0]["delta"]["tool_calls"][0]["extra_content"] = signed
    thought = chunk({"reasoning_content": "hm", "reasoning_details": [{"id": "r1"}]})
    server.answer(Answer([thought, first, CALLED]), Answer(text("Done.")))
    model = OpenAIModel(endpoint, "m")
    _, [called] = await ask(model)
    again = (
        *PROMPT.messages,
        Message("assistant", "", (called,)),
        Message("tool", "{}", tool_call_id=called.id),
    )
    await ask(model, Prompt("Be brief.", again, TOOLS))
    sent = server.replies[1].body["messages"][2]
    assert sent["tool_calls"][0]["extra_content"] == signed
    assert sent["reasoning_content"] == "hm"
    assert sent["reasoning_details"] == [{"id": "r1"}]
    async with OpenAIServer() as other:
        elsewhere = Endpoint("another vendor", other.url)
        other.answer(Answer(text("Done.")))
        await ask(OpenAIModel(elsewhere, "m"), Prompt("Be brief.", again, TOOLS))
        await elsewhere.aclose()
        sent = other.replies[0].body["messages"][2]
        assert "reasoning_content" not in sent
        assert "extra_content" not in sent["tool_calls"][0]


CALL = ToolCall("c1", "order", "{}")
RESULT = Message("tool", "{}", tool_call_id="c1")
U, A = Message("user", "u"), Message("assistant", "a")
ASKED = Message("assistant", "", (CALL,))


@pytest.mark.parametrize(
    ("history", "roles"),
    [
        ((), f"user:{BEGIN}"),
        ((A,), f"user:{BEGIN} assistant:a user:{GO_ON}"),
        ((A, A, U), f"user:{BEGIN} assistant:a a user:u"),
        ((U, ASKED, RESULT, U), f"user:u assistant: tool:{{}} assistant:{UNHEARD} user:u"),
        ((U, ASKED, RESULT), "user:u assistant: tool:{}"),
        ((U, ASKED, RESULT, A, U), "user:u assistant: tool:{} assistant:a user:u"),
        ((U, A, ASKED, RESULT), "user:u assistant:a tool:{}"),
        ((U, U), "user:u u"),
    ],
)
async def test_an_order_that_strict_servers_take(
    server: OpenAIServer, endpoint: Endpoint, history: tuple[Message, ...], roles: str
) -> None:
    server.answer(Answer(text("Nine.")))
    await ask(OpenAIModel(endpoint, "m"), Prompt("Be brief.", history))
    _, *sent = server.replies[0].body["messages"]
    assert " ".join(f"{m['role']}:{m['content'] or ''}" for m in sent) == roles


# --- what an endpoint refuses --------------------------------------------------------------------


@dataclass(frozen=True)
class Refusal:
    vendor: str
    status: int
    body: Any
    gone: str
    there: str = "model"


def error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


EXTRA = {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra"}]}
REFUSALS = [
    Refusal("Mistral", 422, EXTRA, "stream_options"),
    Refusal("old vLLM", 400, error("Unknown field: stream_options"), "stream_options"),
    Refusal("Groq", 400, error("`reasoning_effort` is not supported"), "reasoning_effort"),
    Refusal("o-models", 400, error("'temperature' does not support 0.3"), "temperature"),
    Refusal(
        "gpt-5",
        400,
        error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        "max_tokens",
        "max_completion_tokens",
    ),
    Refusal("a gateway", 400, error("unexpected field"), "stream_options"),
    Refusal("its own", 400, [error('Unknown name "top_k"')], "top_k"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda r: r.vendor)
async def test_a_refused_field_is_left_out_from_then_on(
    server: OpenAIServer, endpoint: Endpoint, refusal: Refusal
) -> None:
    options = OpenAIOptions(
        temperature=0.3, max_tokens=99, reasoning_effort="none", extra_body={"top_k": 3}
    )
    model = OpenAIModel(endpoint, "m", options)
    refused = Answer(status=refusal.status, body=refusal.body)
    server.answer(refused, Answer(text("Nine.")), Answer(text("Ten.")))
    assert (await ask(model))[0] == "Nine."
    assert (await ask(OpenAIModel(endpoint, "m", options)))[0] == "Ten."
    first, *later = (asked.body for asked in server.replies)
    assert len(later) == 2, "refused once"
    assert refusal.gone in first
    for body in later:
        assert refusal.gone not in body
        assert refusal.there in body


async def test_mistral_wants_short_ids(server: OpenAIServer, endpoint: Endpoint) -> None:
    refused = error("Tool call id was call_9 but must be a-z, A-Z, 0-9, with a length of 9.")
    server.answer(Answer(status=400, body=refused), Answer(text("Nine.")))
    await ask(OpenAIModel(endpoint, "m"), Prompt("", (U, ASKED, RESULT)))
    _, asked, result = server.replies[1].body["messages"]
    assert asked["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9


async def test_a_short_wait_that_the_vendor_asks_for_is_waited_out_once(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    slow = Answer(status=429, body=error("slow down"), headers={"retry-after": "0.2"})
    server.answer(slow, Answer(text("Nine.")))
    loop = asyncio.get_running_loop()
    at = loop.time()
    assert (await ask(OpenAIModel(endpoint, "m")))[0] == "Nine."
    assert loop.time() - at >= 0.2
    server.answer(slow, slow, Answer(text("too late")))
    with pytest.raises(ModelFailed, match="HTTP 429"):
        await ask(OpenAIModel(endpoint, "m"))
    long = Answer(status=429, body=error("slow down"), headers={"retry-after": "20"})
    server.answer(long)
    server._answers[:] = [long]
    with pytest.raises(ModelFailed, match="HTTP 429"):
        await ask(OpenAIModel(endpoint, "m"))


async def test_history_is_kept_within_the_window(server: OpenAIServer, endpoint: Endpoint) -> None:
    """Also where the window is learnt from a refusal. A call is never parted from its result."""
    old = [
        message
        for n in range(40)
        for message in (
            Message("user", f"question {n} " * 20),
            Message("assistant", "", (ToolCall(f"c{n}", "order", "{}"),)),
            Message("tool", f"result {n} " * 20, tool_call_id=f"c{n}"),
            Message("assistant", "answer " * 20),
        )
    ]
    prompt = Prompt("Be brief.", (*old, Message("user", "the last question")))
    server.answer(
        Answer(status=400, body=error("This model's maximum context length is 4096 tokens.")),
        Answer(text("Nine.")),
    )
    assert (await ask(OpenAIModel(endpoint, "m"), prompt))[0] == "Nine."
    _, *sent = server.replies[1].body["messages"]
    assert sent[-1]["content"] == "the last question"
    assert 4 < len(sent) < len(old) / 2
    calls = [c["id"] for m in sent for c in m.get("tool_calls", ())]
    assert calls
    assert calls == [m["tool_call_id"] for m in sent if m["role"] == "tool"]
    server.answer(Answer(text("Ten.")))
    small = OpenAIModel(endpoint, "small", OpenAIOptions(context_window=512))
    assert (await ask(small, prompt))[0] == "Ten."
    assert server.replies[2].body["messages"][-1]["content"] == "the last question"


# --- connections ---------------------------------------------------------------------------------


async def test_a_cancelled_reply_does_not_cost_the_next_one_a_handshake(
    server: OpenAIServer, endpoint: Endpoint
) -> None:
    """Every reply begins on a connection that was there before it was asked for."""
    model = OpenAIModel(endpoint, "m", OpenAIOptions(thinks_in_content=False))
    assert await endpoint.warm()
    for _ in range(6):
        server.answer(Answer(say("Nine", "ten"), stall_after=2))
        there = server.connections
        reply = model.reply(PROMPT)
        assert await anext(reply) == TextDelta("Nine")
        await reply.aclose()
        assert server.replies[-1].connection <= there
        assert endpoint._spare is not None
        await endpoint._spare  # it is opened at once; a caller takes longer to say a word
    server.answer(Answer(say("Whole")))
    there = server.connections
    assert (await ask(model))[0] == "Whole"
    assert server.replies[-1].connection <= there
