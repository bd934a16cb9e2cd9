"""Tools against a real server on loopback; each call of a tool ends in exactly one result."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.acting import Acting, NoCall
from tests.fakes.http_peer import Asked, HttpPeer, respond

from chorus.llm.model import ToolCall
from chorus.outbound import Outbound
from chorus.talk.spec import FieldType, HttpTool, HttpToolField
from chorus.talk.tools.acting import ToolRun
from chorus.talk.tools.arguments import ArgumentsWrong, read_arguments, schema_of, specs_of
from chorus.talk.tools.http import RESULT_BYTES
from chorus.talk.tools.request import ToolWrong, request_of
from chorus.talk.tools.tool import ToolResult

FIELDS = (
    HttpToolField("day", "string", "The day", required=True),
    HttpToolField("party", "integer"),
    HttpToolField("price", "number"),
    HttpToolField("window", "boolean"),
    HttpToolField("names", "array", "Guests"),
    HttpToolField("extra", "object"),
)


def tool(url: str = "https://x.example/book", **changes: Any) -> HttpTool:
    return HttpTool("book", "Books a table.", url, **({"fields": FIELDS} | changes))


def call(name: str = "book", call_id: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(call_id, name, json.dumps(arguments))


@pytest.fixture
async def client() -> AsyncIterator[Outbound]:
    client = Outbound(allow_private=True)
    yield client
    await client.aclose()


# --- what the model is told -------------------------------------------------------------------


def test_the_schema_is_valid_and_says_everything() -> None:
    schema = schema_of(tool("https://x.example/{place}/{party}"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == {
        "type": "object",
        "properties": {
            "day": {"type": "string", "description": "The day"},
            "party": {"type": "integer"},
            "price": {"type": "number"},
            "window": {"type": "boolean"},
            "names": {"type": "array", "description": "Guests", "items": {}},
            "extra": {"type": "object", "additionalProperties": True},
            "place": {"type": "string"},
        },
        "additionalProperties": False,
        # What the URL needs is needed, whether the tool's owner thought of it or not.
        "required": ["day", "party", "place"],
    }
    assert "required" not in schema_of(tool(fields=()))


def test_names_are_such_as_every_vendor_takes_and_unique() -> None:
    names = ["Book a table!", "book", "book", "x" * 80, "x" * 90, "予約", "end_call", "__"]
    specs = specs_of([HttpTool(n, n, "https://x.example") for n in names], ["end_call"])
    assert list(specs) == [
        *("Book_a_table", "book", "book_2", "x" * 64, "x" * 62 + "_2"),
        *("tool", "end_call_2", "tool_2"),
    ]
    assert [s.description for s in specs.values()] == names


# --- what the model wrote ---------------------------------------------------------------------


def test_arguments_are_read_leniently_where_the_meaning_is_beyond_doubt() -> None:
    written = {
        "day": 5,
        "party": "2",
        "price": "2.5",
        "window": "True",
        "names": '["a"]',
        "extra": None,
        "unknown": 1,
    }
    assert read_arguments(tool(), json.dumps(written)) == {
        "day": "5",
        "party": 2,
        "price": 2.5,
        "window": True,
        "names": ["a"],
    }
    assert read_arguments(tool(), '{"day": "x", "party": 2.0}') == {"day": "x", "party": 2}
    assert read_arguments(tool(fields=()), "") == {}


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('{"day": "fri', "not valid JSON"),
        ('{"day": NaN}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('["friday"]', "one JSON object"),
        ('"friday"', "one JSON object"),
        ("{}", "'day' (string) is missing"),
        ('{"day": null}', "'day' (string) is missing"),
        ('{"day": ["friday"]}', "'day' must be a string, not [\"friday\"]"),
        ('{"day": "x", "party": "two"}', "'party' must be an integer, not \"two\""),
        ('{"day": "x", "party": 2.5}', "'party' must be an integer, not 2.5"),
        ('{"day": "x", "party": true}', "'party' must be an integer, not true"),
        ('{"day": "x", "price": "NaN"}', "'price' must be a number"),
        ('{"day": "x", "window": "maybe"}', "'window' must be a boolean"),
        ('{"day": "x", "names": "a, b"}', "'names' must be an array"),
        ('{"day": "x", "extra": []}', "'extra' must be an object"),
        ('{"party": "two"}', "'party' must be an integer"),
        (f'{{"day": "x", "extra": "{"[" * 5000}"}}', "'extra' must be an object"),
        (f'{{"day": "x", "party": "{"[" * 5000}"}}', "'party' must be an integer"),
    ],
)
async def test_wrong_arguments_are_told_to_the_model_by_field(
    client: Outbound, written: str, says: str
) -> None:
    result = await Acting([tool()], client).run(ToolCall("1", "book", written))
    assert not result.ok
    assert result.status is None
    assert says in json.loads(result.content)["error"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([f.name for f in FIELDS]) | st.text(), _JSON))
def test_whatever_is_accepted_fits_the_schema(written: dict[str, Any]) -> None:
    try:
        values = read_arguments(tool(), json.dumps(written))
    except ArgumentsWrong:
        return
    jsonschema.validate(values, schema_of(tool()))


@given(st.text())
def test_no_text_at_all_makes_reading_fail_otherwise(written: str) -> None:
    with contextlib.suppress(ArgumentsWrong):
        read_arguments(tool(), written)


# --- the request ------------------------------------------------------------------------------


async def test_post_sends_json_and_get_a_query(client: Outbound) -> None:
    async with HttpPeer(lambda asked: respond(200, {"ok": True})) as peer:
        post = tool(f"{peer.url}/book", headers=(("X-Key", "k-{{who}}"), ("X-B", "{{nobody}}")))
        look = tool(f"{peer.url}/look?fixed=1", method="GET")
        acting = Acting([post, look], client, {"who": "Zoë\r\nX-Evil: 1"})
        arguments = {"day": "Fri & Sat", "party": 2, "window": True, "names": ["a", "b"]}
        result = await acting.run(call("book", **arguments, extra={"a": 1}))
        assert (result.content, result.ok, result.status) == ('{"ok": true}', True, 200)
        await acting.run(call("book_2", **arguments, extra={"a": 1}))
    posted, looked = peer.requests
    assert (posted.method, posted.target) == ("POST", "/book")
    assert posted.json == {**arguments, "extra": {"a": 1}}
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["x-key"].encode("latin-1").decode() == "k-Zoë X-Evil: 1"
    assert "x-evil" not in posted.headers
    assert looked.body == b""
    assert parse_qsl(urlsplit(looked.target).query) == [
        *(("fixed", "1"), ("day", "Fri & Sat"), ("party", "2"), ("window", "true")),
        *(("names", "a"), ("names", "b"), ("extra", '{"a": 1}')),
    ]


def test_fields_in_the_url_are_sent_there_alone() -> None:
    patch = tool("https://x.example/{{base}}/{day}?n={party}", method="PATCH")
    values = {"day": "a/b?c#d", "party": 3, "window": False}
    request = request_of(patch, values, {"base": "v1 x"})
    assert request.url == "https://x.example/v1%20x/a%2Fb%3Fc%23d?n=3"
    assert request.content == b'{"window": false}'


def test_a_form_is_sent_where_the_tool_says_so() -> None:
    kind = (("Content-Type", "application/x-www-form-urlencoded"),)
    request = request_of(tool(headers=kind), {"day": "a b&c", "names": ["x", "y"]}, {})
    assert request.content == b"day=a+b%26c&names=x&names=y"


@pytest.mark.parametrize(
    ("url", "values", "says"),
    [
        ("https://x.example/{day}", {"day": ".."}, "may not be"),
        ("https://x.example/{day}", {"day": "."}, "may not be"),
        ("https://x.example/{day}", {"day": "a/../../admin"}, "may not be"),
        ("https://x.example/{day}", {"day": "..\\admin"}, "may not be"),
        ("https://x.example/{day}", {"day": "%2e%2e"}, "may not be"),
        ("https://x.example/{day}", {"day": "%252e%252e%252fx"}, "may not be"),
        ("https://x.example/{day}", {"day": " "}, "is empty"),
        ("https://x.example/{day}", {"day": "a\r\nb"}, "may not be"),
        ("https://x.example/{day}{names}", {"day": ".", "names": "."}, "may not be"),
        ("https://x.example/.{day}", {"day": "."}, "may not be"),
        ("https://x.example/{day}{names}", {"day": ".%2", "names": "e"}, "climb"),
    ],
)
def test_a_value_cannot_change_the_path(url: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentsWrong, match=says):
        request_of(tool(url), values, {})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://{day}.example/", "may not be part of the URL's host"),
        ("https://x.example{day}/", "may not be part of the URL's host"),
        ("https://{{host}}/", "no part of a host name"),
        ("https://{{missing}}.example/", "no part of a host name"),
        ("{{base}}/x", "must begin with http"),
        ("{day}", "must begin with http"),
        ("https://x.example/{{missing}}/y", "is empty"),
    ],
)
def test_a_tool_whose_host_would_be_data_is_wrong(url: str, says: str) -> None:
    with pytest.raises(ToolWrong, match=says):
        request_of(tool(url), {"day": "evil"}, {"host": "evil.example", "base": "http://evil"})


def test_a_variable_may_be_one_label_of_the_host() -> None:
    request = request_of(tool("https://{{region}}.x.example/"), {}, {"region": "eu-1"})
    assert request.url == "https://eu-1.x.example/"


@given(st.text(min_size=1), st.text(), st.text())
def test_no_value_leaves_its_place_in_the_url(segment: str, queried: str, variable: str) -> None:
    look = tool("https://x.example:8443/a/{s}/b/{{v}}?q={q}&fixed=1", fields=(), method="GET")
    try:
        url = request_of(look, {"s": segment, "q": queried}, {"v": variable}).url
    except (ArgumentsWrong, ToolWrong):
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "x.example:8443", "")
    assert url.isascii()
    before, first, middle, last = parts.path.split("/")[1:]
    assert (before, middle) == ("a", "b")
    assert unquote(first) == segment.encode("utf-8", "replace").decode()
    assert unquote(last) == variable.encode("utf-8", "replace").decode()
    assert parse_qsl(parts.query, keep_blank_values=True) == [
        ("q", queried.encode("utf-8", "replace").decode()),
        ("fixed", "1"),
    ]


# --- the result -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "ok", "status", "content"),
    [
        (respond(200, {"code": "A7"}), True, 200, {"code": "A7"}),
        (respond(201, [1, 2]), True, 201, [1, 2]),
        (respond(200, "It is sunny."), True, 200, {"result": "It is sunny."}),
        (respond(204), True, 204, {"ok": True, "status": 204}),
        (
            respond(200, "caf\xe9".encode("latin-1"), content_type="text/plain; charset=latin-1"),
            True,
            200,
            {"result": "café"},
        ),
        (
            respond(200, b"\x89PNG\0", content_type="image/png"),
            True,
            200,
            {"result": "(binary content, image/png, 5 bytes)"},
        ),
        (
            respond(404, {"reason": "no table"}),
            False,
            404,
            {
                "error": "The tool answered HTTP 404.",
                "status": 404,
                "body": {"reason": "no table"},
            },
        ),
        (
            respond(500, "x" * 9000),
            False,
            500,
            {"error": "The tool answered HTTP 500.", "status": 500, "body": "x" * 2000},
        ),
        (
            b"nonsense\r\n\r\n",
            False,
            None,
            {"error": "127.0.0.1 sent something that is not valid HTTP"},
        ),
    ],
)
async def test_every_answer_becomes_json_for_the_model(
    client: Outbound, answer: bytes, ok: bool, status: int | None, content: Any
) -> None:
    async with HttpPeer(lambda asked: answer) as peer:
        result = await Acting([tool(peer.url)], client).run(call(day="x"))
    assert (result.ok, result.status, json.loads(result.content)) == (ok, status, content)


async def test_a_long_answer_is_cut_with_a_note(client: Outbound) -> None:
    async with HttpPeer(lambda asked: respond(200, {"text": "ä" * 20_000})) as peer:
        result = await Acting([tool(peer.url)], client).run(call(day="x"))
    content = json.loads(result.content)
    assert content["note"] == f"The answer was cut after {RESULT_BYTES} bytes."
    assert content["result"].startswith('{"text": "')
    assert len(content["result"].encode()) <= RESULT_BYTES + 10


async def test_a_slow_tool_is_a_result_after_its_deadline(client: Outbound) -> None:
    async with HttpPeer(_slow) as peer:
        acting = Acting([tool(peer.url, timeout_ms=80)], client)
        result = await acting.run(call(day="x"))
    assert json.loads(result.content) == {"error": "127.0.0.1 did not answer within 80 ms"}
    assert 70 <= result.elapsed_ms < 10_000


async def test_forbidden_addresses_and_unknown_tools_are_results() -> None:
    client = Outbound()
    acting = Acting([tool("http://169.254.169.254/latest")], client)
    refused = await acting.run(call(day="x"))
    assert "not allowed: its address is link-local" in json.loads(refused.content)["error"]
    unknown = await acting.run(call("transfer"))
    assert "no tool 'transfer'. Tools: book." in json.loads(unknown.content)["error"]
    assert not acting.has_effects("transfer")
    await client.aclose()


async def test_an_unexpected_failure_is_a_result_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Outbound):
        async def send(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("a bug")

    result = await Acting([tool()], Broken()).run(call(day="x"))
    assert "unexpected" in json.loads(result.content)["error"]
    assert "a bug" in caplog.text


# --- who may be stopped -----------------------------------------------------------------------


async def _slow(asked: Asked) -> AsyncIterator[bytes]:
    await asyncio.sleep(0.15)
    yield respond(200, {"done": asked.target})


async def test_tools_run_in_parallel(client: Outbound) -> None:
    async def together(asked: Asked) -> AsyncIterator[bytes]:
        await _until(lambda: len(peer.requests) == 5)  # else each would wait for the next
        yield respond(200, {"done": asked.target})

    async with HttpPeer(together) as peer:
        acting = Acting([tool(peer.url + "/{n}", fields=())], client)
        actions = [acting.begin(call(call_id=str(n), n=n), NoCall()) for n in range(5)]
        results = [await action.wait() for action in actions]
    assert [json.loads(r.content)["done"] for r in results] == [f"/{n}" for n in range(5)]
    assert acting.running == ()


async def test_an_interruption_cancels_reads_at_once_and_lets_effects_end(client: Outbound) -> None:
    told: list[tuple[str, ToolResult | None]] = []

    def on_result(action: ToolRun) -> None:
        told.append((action.call.id, action.result))

    async with HttpPeer(_slow) as peer:
        tools = [tool(f"{peer.url}/read", method="GET"), tool(f"{peer.url}/write")]
        acting = Acting(tools, client, on_result=on_result)
        read = acting.begin(call("book", "r", day="x"), NoCall())
        write = acting.begin(call("book_2", "w", day="x"), NoCall())
        assert (acting.has_effects("book"), acting.has_effects("book_2")) == (False, True)
        await _until(lambda: len(peer.requests) == 2)
        acting.interrupt()
        assert read.result is not None
        assert read.result.cancelled
        assert json.loads(read.result.content)["cancelled"] is True
        assert acting.running == (write,)
        assert json.loads((await write.wait()).content) == {"done": "/write"}
    assert [call_id for call_id, _ in told] == ["r", "w"]
    assert all(result is not None for _, result in told)


async def test_cancelling_the_wait_is_an_interruption(client: Outbound) -> None:
    results: list[ToolRun] = []
    async with HttpPeer(_slow) as peer:
        tools = [tool(f"{peer.url}/read", method="GET"), tool(f"{peer.url}/write")]
        acting = Acting(tools, client, on_result=results.append)
        waits = [
            asyncio.create_task(acting.run(call(name, name, day="x")))
            for name in ("book", "book_2")
        ]
        await _until(lambda: len(peer.requests) == 2)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert [(a.call.id, a.result and a.result.cancelled) for a in results] == [("book", True)]
        await acting.finish()
    assert [a.call.id for a in results] == ["book", "book_2"]
    assert results[1].result is not None
    assert results[1].result.ok


async def test_at_the_end_effects_are_given_time_and_no_call_is_left_without_a_result(
    client: Outbound,
) -> None:
    async def never(asked: Asked) -> AsyncIterator[bytes]:
        if asked.target == "/quick":
            await asyncio.sleep(0.05)
            yield respond(200, {"ok": True})
        await asyncio.sleep(60)

    async with HttpPeer(never) as peer:
        tools = [tool(peer.url + path) for path in ("/quick", "/never")]
        tools.append(tool(peer.url + "/read", method="GET"))
        acting = Acting(tools, client)
        actions = [
            acting.begin(call(n, n, day="x"), NoCall()) for n in ("book", "book_2", "book_3")
        ]
        await _until(lambda: len(peer.requests) == 3)
        await acting.finish(grace_ms=1000)
    quick, stuck, read = (a.result for a in actions)
    assert quick is not None
    assert quick.ok
    assert stuck is not None
    assert "outcome is unknown" in stuck.content
    assert read is not None
    assert read.cancelled
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("tool ")]
    await acting.finish()  # a second time is fine


async def test_a_call_that_is_torn_down_still_leaves_results(client: Outbound) -> None:
    async with HttpPeer(_slow) as peer:
        acting = Acting([tool(peer.url)], client)
        action = acting.begin(call(day="x"), NoCall())
        finishing = asyncio.create_task(acting.finish())
        await _until(lambda: len(peer.requests) == 1)
        finishing.cancel()
        await asyncio.gather(finishing, return_exceptions=True)
    assert action.result is not None
    assert "unknown" in action.result.content


@given(st.lists(st.sampled_from(["GET", "POST", "DELETE"]), max_size=4), st.data())
def test_only_get_is_without_effects(methods: list[Any], data: st.DataObject) -> None:
    tools = [tool(method=m) for m in methods]
    acting = Acting(tools, Outbound())
    for spec, method in zip(acting.specs, methods, strict=True):
        assert acting.has_effects(spec.name) is (method != "GET")


def test_headers_are_in_no_repr() -> None:
    secret = tool(headers=(("Authorization", "Bearer s3cret"),))
    assert "s3cret" not in repr(secret) + repr(request_of(secret, {"day": "x"}, {}))


def test_every_field_type_has_a_reader() -> None:
    kinds: tuple[FieldType, ...] = ("string", "number", "integer", "boolean", "array", "object")
    for kind in kinds:
        one = tool(fields=(HttpToolField("f", kind),))
        with pytest.raises(ArgumentsWrong, match=f"'f' must be an? {kind}"):
            read_arguments(one, '{"f": %s}' % ('"?"' if kind != "string" else "[]"))


async def _until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.001)
