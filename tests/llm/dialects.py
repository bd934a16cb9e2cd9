"""Dialects of servers that speak OpenAI's protocol: each report of one is a line in `DIALECTS`.

A line says what a server streams, and what of it must reach the caller: the text, and the tool
calls as (name, arguments). The server is a stand-in that behaves as the reports say; no vendor
was asked. Reports are named by their vendor, or by the repository and number of the issue.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.fakes.openai_server import call, chunk

from chorus.llm.model import Message, Prompt, ToolSpec

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
ORDER_A = ("order", '{"a": 1}')
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
    Dialect("OpenThinker", text("<|begin_of_thought|>a<|end_of_thought|>9."), "9."),
    Dialect("an answer in its tag", text("<think>a</think><answer>9.</answer>"), "9."),
    Dialect("the role again, Llama 3", text("assistant\n\nNine."), "Nine."),
    Dialect("Assistants are no role", text("assistants come at nine."), "assistants come at nine."),
    Dialect("ends of turns", text("Nine.<end_of_turn>", "<｜end▁of▁sentence｜>"), "Nine."),
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
    Dialect(
        "DeepSeek V3",
        text(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>order\n```json\n",
            '{"a":1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        ),
        "",
        (("order", '{"a":1}'),),
    ),
    Dialect("Llama 3: JSON", text('{"name": "order", "parameters": {"a": 1}}'), "", (ORDER_A,)),
    Dialect(
        "… in a fence", text('```json\n{"name":"order","arguments":{"a":1}}\n```'), "", (ORDER_A,)
    ),
    Dialect("JSON of no tool", text('{"name": "x", "n": 1}'), '{"name": "x", "n": 1}'),
    Dialect(
        "before tool_calls",
        [chunk({"function_call": {"name": "order", "arguments": ORDER[1]}}), CALLED],
        "",
        (ORDER,),
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
