"""Dialects of servers that speak OpenAI's protocol: each report of one is a line in `DIALECTS`.

A line says what a server streams, and what of it must reach the caller: the text, and the tool
calls as (name, arguments). The server is a stand-in that behaves as the reports say; no vendor
was asked. Reports are named by their vendor, or by the repository and number of the issue.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fakes.openai_server import Answer, OpenAIServer, call, chunk, say

from chorus.llm.model import Message, ModelFailed, Prompt, TextDelta, ToolCall, ToolSpec
from chorus.llm.openai import Endpoint, OpenAIModel, OpenAIOptions
from chorus.llm.ordering import BEGIN, GO_ON, UNHEARD
from chorus.llm.second import reply_with_words

TOOLS = tuple(
    ToolSpec(name, "", {"type": "object", "properties": {}})
    for name in ("order", "weather", "get_weather")
)
PROMPT = Prompt("Be brief.", (Message("user", "Hello"),), TOOLS)
STOP = chunk(finish_reason="stop")
CALLED = chunk(finish_reason="tool_calls")


def text(*pieces: Any) -> list[Any]:
    return [*(chunk({"content": piece}) for piece in pieces), STOP]


def piece(
    name: str | None = None, arguments: Any = None, *, index: int | None = 0, id: str | None = ""
) -> dict[str, Any]:
    """A piece of a tool call in a chunk of its own; None leaves a member out."""
    function = {"name": name, "arguments": arguments}
    found: dict[str, Any] = {"function": {k: v for k, v in function.items() if v is not None}}
    found |= {} if index is None else {"index": index}
    return chunk({"tool_calls": [found | ({} if id is None else {"id": id})]})


@dataclass(frozen=True)
class Dialect:
    """`done`: whether `[DONE]` ends the stream; `says` None: it must fail."""

    report: str
    events: list[Any]
    says: str | None
    calls: tuple[tuple[str, str], ...] = ()
    done: bool = True
    content_type: str = "text/event-stream"


ORDER = ("order", '{"number":"17"}')
OSLO = ("weather", '{"city":"Oslo"}')
DIALECTS = [
    # Reasoning in the content.
    Dialect("Qwen: think tags", text("<thi", "nk>He wants 12.</th", "ink>\n\nNine."), "Nine."),
    Dialect("livekit 3758: in one piece", text("<think>\nhm\n</think>Nine."), "Nine."),
    Dialect("vLLM, llama.cpp: no opening tag", text("He wants", " 12.\n</think>\n", "9."), "9."),
    Dialect("thinking", text("<thinking>a</thinking>Nine."), "Nine."),
    Dialect("reasoning", text("<reasoning>a</reasoning>Nine."), "Nine."),
    Dialect("capitals", text("<THINK>a</THINK>Nine."), "Nine."),
    Dialect("empty: Qwen3 with thinking off", text("<think>\n\n</think>\n\nNine."), "Nine."),
    Dialect("Kimi", text("◁think▷a◁/think▷Nine."), "Nine."),
    Dialect("Magistral", text("[THINK]a[/THINK]Nine."), "Nine."),
    Dialect("Cohere", text("<|START_THINKING|>a<|END_THINKING|>Nine."), "Nine."),
    Dialect("Seed", text("<seed:think>a</seed:think>Nine."), "Nine."),
    Dialect("twice", text("<think>a</think>Nine.<think>b</think> Bye."), "Nine. Bye."),
    Dialect("never closed", text("<think>I must not tell the price."), None),
    Dialect("nothing but reasoning", text("<think>a</think>"), None),
    Dialect("no tag at all", text("2 < 3, a<b, [thin", "ner] <th"), "2 < 3, a<b, [thinner] <th"),
    Dialect(
        "gpt-oss: channels",
        text(
            "<|channel|>analysis<|message|>He wants 12.<|end|>",
            "<|start|>assistant<|channel|>final<|message|>Nine.<|return|>",
        ),
        "Nine.",
    ),
    Dialect("gpt-oss: tokens removed", text("analysisHe wants.assistantfinal", "Nine."), "Nine."),
    Dialect(
        "gpt-oss: a call in the commentary",
        text(
            '<|channel|>commentary to=functions.order <|constrain|>json<|message|>{"a":1}<|call|>'
        ),
        "",
        (("order", '{"a":1}'),),
    ),
    Dialect("DeepSeek: apart", [chunk({"reasoning_content": "hm"}), *text("Nine.")], "Nine."),
    Dialect("OpenRouter: apart", [chunk({"reasoning": "hm"}), *text("Nine.")], "Nine."),
    # Tool calls as text.
    Dialect(
        "Hermes, Qwen without a parser",
        text('<tool_call>\n{"name": "order", "arguments": {"a": 1}}\n</tool_call>'),
        "",
        (("order", '{"a": 1}'),),
    ),
    Dialect(
        "Qwen3-Coder",
        text("<tool_call><function=order><parameter=a>\n1\n</parameter></function></tool_call>"),
        "",
        (("order", '{"a": "1"}'),),
    ),
    Dialect(
        "Mistral without a parser",
        text('[TOOL_CALLS][{"name":"order","arguments":{"a":1}}]'),
        "",
        (("order", '{"a": 1}'),),
    ),
    Dialect("a call of no tool", text('<tool_call>{"name":"x"}</tool_call>'), None),
    # Content.
    Dialect(
        "litellm 16272, Mistral: parts",
        text(
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
            [{"type": "text", "text": "Nine."}],
        ),
        "Nine.",
    ),
    Dialect("content null", [chunk({"content": None}), *text("Nine.")], "Nine."),
    Dialect("a refusal", [chunk({"refusal": "I cannot."}), STOP], "I cannot."),
    # Frames.
    Dialect("retry:", ["retry: 3000\n\n", *text("Nine.")], "Nine."),
    Dialect("id: and a comment", ["id: 1\n: hi\n\n", *text("Nine.")], "Nine."),
    Dialect("event: ping", ["event: ping\n\n", *text("Nine.")], "Nine."),
    Dialect("ping with data", ['event: ping\ndata: {"type":"ping"}\n\n', *text("9.")], "9."),
    Dialect("empty data", ["data:\n\n", "data: \n\n", *text("Nine.")], "Nine."),
    Dialect("OpenRouter: comments", [": OPENROUTER PROCESSING\n\n", *text("Nine.")], "Nine."),
    Dialect("no space", [f"data:{json.dumps(c)}\n\n" for c in text("Nine.")], "Nine."),
    Dialect("CRLF", [f"data: {json.dumps(c)}\r\n\r\n" for c in text("Nine.")], "Nine."),
    Dialect("CR", [f"data: {json.dumps(c)}\r\r" for c in text("Nine.")], "Nine."),
    Dialect("no empty lines", [f"data: {json.dumps(c)}\n" for c in text("9", ".")], "9."),
    Dialect("JSON lines", [f"{json.dumps(c)}\n" for c in text("Nine", ".")], "Nine."),
    Dialect(
        "no stream at all",
        [json.dumps({"choices": [{"message": {"content": "Nine."}, "finish_reason": "stop"}]})],
        "Nine.",
        done=False,
        content_type="application/json",
    ),
    Dialect("Azure: no choices first", [{"choices": []}, *text("Nine.")], "Nine."),
    # Its end.
    Dialect("pi 6226: DONE alone", [chunk({"content": "Nine."})], "Nine."),
    Dialect("DONE alone, after a call", [piece("order", ORDER[1])], "", (ORDER,)),
    Dialect("a cut is no end", [chunk({"content": "Nine"})], None, done=False),
    Dialect("length before a word", [chunk(finish_reason="length")], None),
    Dialect("nothing", [STOP], None),
    Dialect("only layout", text("**\n🙂"), None),
    # Tool calls.
    Dialect(
        "Gemini: all with index 0 and an empty id",
        [piece(*ORDER), piece(*OSLO), CALLED],
        "",
        (ORDER, OSLO),
    ),
    Dialect(
        "Gemini: the same tool twice",
        [piece(*ORDER), piece("order", '{"number":"18"}'), CALLED],
        "",
        (ORDER, ("order", '{"number":"18"}')),
    ),
    Dialect(
        "no index and no id",
        [piece(*ORDER, index=None, id=None), piece(*OSLO, index=None, id=None), CALLED],
        "",
        (ORDER, OSLO),
    ),
    Dialect(
        "ids of their own, index 0",
        [piece(*ORDER, id="a"), piece(*OSLO, id="b"), CALLED],
        "",
        (ORDER, OSLO),
    ),
    Dialect(
        "another id in each piece",
        [piece("order", '{"number"', id="a"), piece(None, ':"17"}', id="b"), CALLED],
        "",
        (ORDER,),
    ),
    Dialect(
        "the name in each piece",
        [piece("order", '{"number"'), piece("order", ':"17"}'), CALLED],
        "",
        (ORDER,),
    ),
    Dialect(
        "the name in pieces",
        [piece("get_"), piece("weather"), piece(None, "{}"), CALLED],
        "",
        (("get_weather", "{}"),),
    ),
    Dialect("Bedrock: {} first", [piece("order", "{}" + ORDER[1]), CALLED], "", (ORDER,)),
    Dialect(
        "Bedrock: {} in a piece",
        [piece("order", "{}"), piece(None, ORDER[1]), CALLED],
        "",
        (ORDER,),
    ),
    Dialect("null", [piece("order", "null"), CALLED], "", (("order", "{}"),)),
    Dialect("no arguments", [piece("order", ""), CALLED], "", (("order", "{}"),)),
    Dialect("JSON null", [piece("order", None), CALLED], "", (("order", "{}"),)),
    Dialect("an object", [piece("order", {"a": 1}), CALLED], "", (("order", '{"a": 1}'),)),
    Dialect("finish stop, Ollama", [piece(*ORDER), STOP], "", (ORDER,)),
    Dialect(
        "Groq: whole, after text",
        [chunk({"content": "One moment."}), *call(0, "c1", *ORDER), CALLED],
        "One moment.",
        (ORDER,),
    ),
    Dialect("a call without a name", [piece(None, "{}"), STOP], None),
]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def endpoint(server: OpenAIServer) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint("fake", server.url, "sk-test-1234567890abcdef")
    yield endpoint
    await endpoint.aclose()


async def ask(model: OpenAIModel, prompt: Prompt = PROMPT) -> tuple[str, list[ToolCall]]:
    items = [item async for item in reply_with_words(model, prompt)]
    said = "".join(item.text for item in items if isinstance(item, TextDelta))
    return said.strip(), [item for item in items if isinstance(item, ToolCall)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.report)
async def test_dialect(server: OpenAIServer, endpoint: Endpoint, dialect: Dialect) -> None:
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
