"""Asking about a call: what a model may answer, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.llm import FakeModel
from tests.fakes.openai_server import Answer, OpenAIServer, say, usage
from tests.fakes.virtual import run_virtual

from chorus.analysis import ask as asking
from chorus.analysis.ask import Problem, ask
from chorus.analysis.fields import Field, answer_schema, fields_of
from chorus.llm.model import ModelItem, Prompt, TextDelta
from chorus.llm.openai import Endpoint, OpenAIModel, OpenAIOptions

FIELDS = fields_of(
    [
        {"name": "party", "type": "integer", "description": "How many people", "required": True},
        {"name": "day", "type": "string", "enum": ["friday", "saturday"]},
        {"name": "price", "type": "number"},
        {"name": "booked", "type": "boolean"},
        {"name": "dishes", "type": "array"},
        {"name": "address", "type": "object"},
    ]
)
GOOD = {
    "summary": "A table was booked.",
    "extractions": {
        "party": 4,
        "day": "friday",
        "price": 12.5,
        "booked": True,
        "dishes": ["soup", 2],
        "address": {"street": "Mill Lane"},
    },
}


def but(**extractions: Any) -> str:
    return json.dumps({**GOOD, "extractions": {**GOOD["extractions"], **extractions}})


async def asked(server: OpenAIServer, *answers: Answer, first_item_ms: int = 2000) -> asking.Answer:
    server.answer(*answers)
    endpoint = Endpoint("fake", server.url)
    model = OpenAIModel(endpoint, "m", OpenAIOptions(first_item_ms=first_item_ms))
    try:
        return await ask(model, "Customer: Four, on Friday.", FIELDS, summary=True)
    finally:
        await endpoint.aclose()


async def test_a_good_answer():
    async with OpenAIServer() as server:
        answer = await asked(server, Answer([*say(json.dumps(GOOD)), usage(100, 20)]))
    assert answer.summary == GOOD["summary"]
    assert answer.extractions == GOOD["extractions"]
    assert answer.problems == []
    assert (answer.input_tokens, answer.output_tokens) == (100, 20)
    [request] = server.replies
    form = request.body["response_format"]
    assert form["type"] == "json_schema"
    jsonschema.Draft202012Validator.check_schema(form["json_schema"]["schema"])
    jsonschema.validate(GOOD, form["json_schema"]["schema"])
    assert "Four, on Friday." in request.body["messages"][1]["content"]


@pytest.mark.parametrize(
    "text",
    [
        f"Here you are:\n```json\n{json.dumps(GOOD)}\n```\nAnything else?",
        f"I think {{that}} it is {json.dumps(GOOD)}",
        f'{{"summary": "First thought."}} No: {json.dumps(GOOD)}',
        but(party=4.0),
    ],
)
async def test_json_among_other_things(text: str):
    async with OpenAIServer() as server:
        answer = await asked(server, Answer(say(text)))
    assert (answer.summary, answer.extractions) == (GOOD["summary"], GOOD["extractions"])
    assert answer.problems == []


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"party": "four"}, "must be an integer"),
        ({"party": True}, "must be an integer"),
        ({"party": None}, "is required, and was not found in the call"),
        ({"party": 10**30}, "must be a number of at most 64 bits"),
        ({"day": "sunday"}, "must be one of the values that are allowed"),
        ({"price": "twelve"}, "must be a number"),
        ({"booked": 1}, "must be a boolean"),
        ({"dishes": "soup"}, "must be an array"),
        ({"address": []}, "must be an object"),
    ],
)
async def test_wrong_then_right_and_wrong_twice(wrong: dict[str, Any], reason: str):
    [name] = wrong
    async with OpenAIServer() as server:
        repaired = await asked(server, Answer(say(but(**wrong))), Answer(say(json.dumps(GOOD))))
        twice = await asked(server, Answer(say(but(**wrong))), Answer(say(but(**wrong))))
    assert (repaired.extractions, repaired.problems) == (GOOD["extractions"], [])
    assert twice.extractions == {**GOOD["extractions"], name: None}
    assert twice.summary == GOOD["summary"]
    assert twice.problems == [Problem(name, reason)]
    told = server.replies[1].body["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
    assert f"- extractions.{name}: {reason}" in told[3]["content"]


async def test_what_was_right_stays_when_the_second_answer_is_worse():
    async with OpenAIServer() as server:
        answer = await asked(server, Answer(say(but(party="x"))), Answer(say("I cannot.")))
    assert answer.extractions == {**GOOD["extractions"], "party": None}
    assert [each.field for each in answer.problems] == ["party"]


async def test_a_model_that_refuses():
    async with OpenAIServer() as server:
        answer = await asked(server, *[Answer(say("I cannot help with that."))] * 2)
    assert answer.summary is None
    assert set(answer.extractions.values()) == {None}
    assert [each.field for each in answer.problems] == ["summary", *GOOD["extractions"]]


async def test_a_server_that_does_not_know_response_format():
    refusal = Answer(status=400, body={"error": {"message": "unknown field response_format"}})
    async with OpenAIServer() as server:
        server.answer(refusal, *[Answer(say(json.dumps(GOOD)))] * 2)
        endpoint = Endpoint("fake", server.url)
        model = OpenAIModel(endpoint, "m")
        for _ in range(2):
            answer = await ask(model, "Customer: Hi.", FIELDS, summary=True)
            assert answer.problems == []
        await endpoint.aclose()
    asked_for = ["response_format" in request.body for request in server.replies]
    assert asked_for == [True, False, False]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Answer(first_ms=10_000), "no answer within 100 ms"),
        (Answer(status=500, body={"error": {"message": "oops"}}), "HTTP 500"),
        (Answer(status=401), "refused the API key"),
        (Answer(hang_up=True), "no connection"),
        (Answer(say("{"), drop_after=2), "mid-reply"),
    ],
)
async def test_a_model_that_fails(broken: Answer, says: str):
    async with OpenAIServer() as server:
        answer = await asked(server, broken, broken, first_item_ms=100)
    assert answer.summary is None
    assert answer.extractions == dict.fromkeys(GOOD["extractions"])
    assert len(answer.problems) == 1 + len(FIELDS)
    assert all(says in each.reason for each in answer.problems)


class Says:
    """A model that answers with these texts, one after the other."""

    name = "fake"

    def __init__(self, *texts: str, piece_s: float = 0) -> None:
        self.texts = list(texts)
        self._piece_s = piece_s

    def phrases(self, system: str) -> tuple[str, ...]:
        return ()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        text = self.texts.pop(0) if self.texts else ""
        for start in range(0, len(text), 1000):
            await asyncio.sleep(self._piece_s)
            yield TextDelta(text[start : start + 1000])


def test_a_model_that_never_stops_is_stopped():
    slow = run_virtual(ask(Says("x" * 99_000, piece_s=5), "x", FIELDS, summary=True))
    assert slow.problems[0] == Problem("summary", "the language model took longer than 120 s")
    endless = run_virtual(ask(Says("{" * 10_000_000), "x", FIELDS, summary=True))
    assert len(endless.problems) == 1 + len(FIELDS)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["friday", 4, "\ud800", "a\0b", 2**64, 1e400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
answers = st.one_of(
    st.text(max_size=200),
    st.builds(
        lambda summary, values: json.dumps({"summary": summary, "extractions": values}),
        anything,
        st.dictionaries(st.sampled_from([each.name for each in FIELDS]), anything) | anything,
    ),
    st.builds(lambda value, text: text + json.dumps(value) + text, anything, st.text(max_size=9)),
)


@given(answers, answers)
def test_whatever_is_answered_is_right_or_null_with_a_reason(first: str, second: str):
    answer = run_virtual(ask(Says(first, second), "Customer: Hi.", FIELDS, summary=True))
    problems = {each.field: each.reason for each in answer.problems}
    assert (answer.summary is None) == ("summary" in problems)
    assert list(answer.extractions) == [each.name for each in FIELDS]
    for each in FIELDS:
        value = answer.extractions[each.name]
        if value is None:
            assert each.name in problems or not each.required
        else:
            jsonschema.validate(value, each.schema)
            assert each.name not in problems
    # Both databases take it: no NUL, no half characters, no number beyond 64 bits.
    stored = orjson.dumps([answer.summary, answer.extractions])
    assert b"\\u0000" not in stored


def test_what_was_not_wanted_is_not_asked_for():
    assert list(answer_schema([], summary=True)["properties"]) == ["summary"]
    only = answer_schema([Field("a", "string")], summary=False)
    assert list(only["properties"]) == ["extractions"]
    answer = run_virtual(ask(Says('{"summary": "x"}'), "x", [], summary=True))
    assert (answer.summary, answer.extractions, answer.problems) == ("x", {}, [])


async def test_small_models_are_read_leniently() -> None:
    """Flat, numbers as text, other case of an allowed value: right at the first try."""
    fields = (Field("party", "integer"), Field("day", "string", enum=("Friday", "Sunday")))
    model = FakeModel(['{"party": "4", "day": "friday"}'])
    answer = await ask(model, "user: four on Friday", fields, summary=False)
    assert answer.extractions == {"party": 4, "day": "Friday"}
    assert answer.problems == []
