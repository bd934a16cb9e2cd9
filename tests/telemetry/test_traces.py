"""Traces as a collector gets them: of a real call on a real server, and of a tool and a webhook."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.http_peer import HttpPeer, posts, respond
from tests.soak.rig import Rig, environment
from tests.telemetry.collector import Collected, collector
from tests.telemetry.test_metrics import values

from chorus import logs
from chorus.audio.pace import Lag
from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, WaitQuiet
from chorus.llm.model import ModelFailed, ToolCall
from chorus.outbound import Outbound
from chorus.settings import Settings, SettingsError
from chorus.speech.engines import EngineFailed
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.limits import limits_of
from chorus.talk.spec import HttpTool
from chorus.talk.timeline import Happening
from chorus.talk.tools.acting import Acting
from chorus.talk.tools.http import request_tools
from chorus.telemetry import spans
from chorus.telemetry.otel import ids_of
from chorus.telemetry.telemetry import Queues, Telemetry
from chorus.telemetry.watch import CallWatch

TALKS = Person(
    ring_ms=50,
    steps=[WaitQuiet(quiet_ms=300), Say(sound="tone", ms=400), WaitQuiet(quiet_ms=600), HangUp()],
)


OWN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _no_queues() -> Queues:
    return Queues(0, 0, 0.0)


def telemetry(folder: Path, url: str | None) -> Telemetry:
    settings = settings_for(folder, otlp_endpoint=url)
    return Telemetry(settings, Lag(), lambda: 1, _no_queues)


async def test_what_is_looked_up_is_exported_too(tmp_path: Path):
    with collector() as collected:
        seen = telemetry(tmp_path, collected.url)
        net, failures = Outbound(), Failures("acme/exported", "k")
        limit = limits_of(net).of(failures, "socket")
        for _ in range(2):
            await limit.take(failures, "open")
        limit.refused(failures.status("open", 429, "too many"), others=1)
        await seen.aclose()
    names = {"info", "loop.lag.p99", "vendor.under.way", "vendor.limit", "vendor.full"}
    assert {f"chorus.{name}" for name in names} <= collected.metrics


@pytest.mark.timeout(120)
async def test_a_call_on_a_real_server(tmp_path: Path):
    with collector() as collected:
        async with client.running() as carrier, HttpPeer(lambda _: respond(204)) as receiver:
            env = environment(carrier, None) | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collected.url,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=ours",
                "OTEL_SERVICE_NAME": "telephone",
                "CHORUS_ALLOW_PRIVATE_ADDRESSES": "1",
            }
            rig = Rig(carrier, tmp_path, env, None)
            await rig.start()
            try:
                # Nobody is there: a try is made, which is what counts. An endpoint has a receiver.
                await rig.prepare(postCallWebhookUrl="http://127.0.0.1:9/hook")
                async with rig.http() as http:
                    endpoint = {"url": f"{receiver.url}/hook", "events": ["call.completed"]}
                    answer = await http.post("/v1/webhook-endpoints", json=endpoint)
                    assert answer.status_code == 201, answer.text
                assert await rig.place("+15570000001", TALKS)
                [call] = await rig.settled(30)
                assert call["status"] == "completed", call
                told = await _webhooks_tried(rig)
            finally:
                await rig.stop()  # which sends what is left
    _check_spans(collected, uuid.UUID(call["id"]))
    # What the receiver was sent names the very try, in the call's trace.
    [sent] = [asked.headers.get("traceparent") for asked in posts(receiver)]
    [root] = collected.of("call")
    [reached] = [span for span in collected.of("webhook call.completed") if not span.failed]
    assert sent == f"00-{root.trace}-{reached.id}-01"
    assert collected.resource["service.name"] == "telephone"
    assert set(collected.headers) == {"ours"}
    wanted = {"chorus.turn.stage", "chorus.calls.live", "chorus.webhooks.due", "chorus.write"}
    assert wanted <= collected.metrics
    assert told["chorus_turn_stage_seconds_count{stage=sent}"] >= 1
    ended = [name for name in told if name.startswith("chorus_calls_ended_total{")]
    assert [told[name] for name in ended] == [1]
    assert told["chorus_cost_dollars_total"] >= 0


async def _webhooks_tried(rig: Rig) -> dict[str, float]:
    tries = {f"chorus_webhook_tries_total{{outcome={each}}}" for each in ("no_answer", "delivered")}
    async with asyncio.timeout(20), rig.http() as http:
        while True:
            told = values((await http.get("/metrics")).text)
            if all(told.get(name, 0) >= 1 for name in tries):
                return told
            await asyncio.sleep(0.2)


def _check_spans(collected: Collected, call_id: uuid.UUID) -> None:
    [root] = collected.of("call")
    trace_id, span_id = ids_of(call_id)
    assert (root.trace, root.id, root.parent) == (f"{trace_id:032x}", f"{span_id:016x}", "")
    assert {span.trace for span in collected.spans} == {root.trace}
    assert root.attributes["chorus.call.id"] == str(call_id)
    assert root.attributes["chorus.call.status"] == "completed"
    assert root.attributes["gen_ai.operation.name"] == "invoke_agent"
    genai = [span for span in collected.spans if "gen_ai.operation.name" in span.attributes]
    assert {span.attributes.get("gen_ai.conversation.id") for span in genai} == {str(call_id)}
    [turn, *_] = collected.of("turn")
    assert turn.parent == root.id
    assert root.start_ns <= turn.start_ns < turn.end_ns <= root.end_ns
    stages = [span for span in collected.spans if span.name in ("think", "synthesize", "play")]
    assert len(stages) >= 3
    assert {span.parent for span in stages} <= {span.id for span in collected.of("turn")}
    for before, after in itertools.pairwise(stages):
        if before.parent == after.parent:
            assert before.end_ns == after.start_ns
    chats = [span for span in collected.spans if span.name.startswith("chat ")]
    thought = {span.id for span in collected.of("think") if span.parent == turn.id}
    assert any(span.parent in thought for span in chats)
    spoken = {span.id for span in collected.of("synthesize") if span.parent == turn.id}
    assert any(span.parent in spoken for span in collected.spans if span.name.startswith("speak "))
    ids = {span.id for span in collected.spans}
    assert {span.parent for span in collected.spans} <= ids | {""}
    assert chats[0].attributes["gen_ai.operation.name"] == "chat"
    assert chats[0].attributes["gen_ai.usage.output_tokens"] > 0
    tries = [span for span in collected.spans if span.name.startswith("webhook call.")]
    assert tries
    assert {span.parent for span in tries} == {root.id}
    failed = [span for span in tries if span.failed]
    assert {span.attributes["error.type"] for span in failed} == {"OutboundFailed"}
    # What was said, and whose number it is, is nowhere.
    everything = str(collected.spans)
    assert "+1557" not in everything
    assert "Good day" not in everything


async def use_tool(watch: CallWatch | None, *headers: tuple[str, str]) -> str:
    """The `traceparent` with which a tool asks its server, which breaks."""
    token = spans.current.set(watch)
    net = Outbound(allow_private=True)
    try:
        spans.within_turn(1)
        async with HttpPeer(lambda _: respond(500)) as peer:
            tool = HttpTool("look_up", "", f"{peer.url}/things", headers=headers)
            control: Any = None
            acting = Acting(request_tools([tool], net, {}))
            await acting.begin(ToolCall("id-1", "look_up", "{}"), control).wait()
            [asked] = [each for each in peer.requests if each.target == "/things"]
            return asked.headers.get("traceparent", "")
    finally:
        await net.aclose()
        spans.current.reset(token)


async def test_a_tool_is_told_the_trace_that_it_is_part_of(tmp_path: Path):
    call_id = uuid.uuid4()
    with collector() as collected:
        seen = telemetry(tmp_path, collected.url)
        watch = seen.call(call_id, "inbound", {})
        watch.told(Happening(10, "speech_started", {"turn": 1, "onsetMs": 5}))
        shown = await use_tool(watch)
        assert await use_tool(watch, ("Traceparent", OWN)) == OWN
        watch.told(Happening(900, "reply_heard", {"turn": 1, "heard": "…"}))
        watch.ended("completed", "customer_ended", 1000)
        await seen.aclose()
    [tool, _], [turn] = collected.of("execute_tool look_up"), collected.of("turn")
    assert shown == f"00-{ids_of(call_id)[0]:032x}-{tool.id}-01"
    assert tool.parent == turn.id
    assert tool.failed
    assert tool.attributes["error.type"] == "500"
    assert tool.attributes["gen_ai.tool.name"] == "look_up"
    assert tool.attributes["gen_ai.conversation.id"] == str(call_id)
    assert turn.end_ns - turn.start_ns == 895_000_000


def heard(turn: int) -> Happening:
    """The reply sounds: the model's first word came 300 ms after the caller's last."""
    reached = {"wordsMs": 100, "verdictMs": None, "committedMs": 200}
    reached |= {"tokenMs": 300, "audioMs": 400, "sentMs": 500}
    return Happening(700, "turn_latency", {"turn": turn, "speechEndedAtMs": 100, **reached})


def ask(watch: CallWatch, turn: int, failure: Exception | None = None) -> None:
    """What thinks asks a model, and what speaks a voice."""
    token = spans.current.set(watch)
    try:
        spans.within_turn(turn, "think")
        with (
            contextlib.suppress(ModelFailed, EngineFailed),
            spans.span("chat m", "client", **{"gen_ai.operation.name": "chat"}),
        ):
            if failure is not None:
                raise failure
        spans.within_turn(turn, "synthesize")
        with spans.span("speak v", "client"):
            pass
    finally:
        spans.current.reset(token)


async def test_a_request_hangs_on_the_stage_of_the_turn_that_it_was_made_in(tmp_path: Path):
    with collector() as collected:
        seen = telemetry(tmp_path, collected.url)
        watch = seen.call(uuid.uuid4(), "inbound", {})
        watch.told(Happening(10, "speech_started", {"turn": 1, "onsetMs": 5}))
        ask(watch, 1)  # before the times of the stages are known
        watch.told(heard(1))
        ask(watch, 1)  # and after
        watch.told(Happening(900, "reply_heard", {"turn": 1, "heard": "…"}))
        watch.told(Happening(1000, "speech_started", {"turn": 2, "onsetMs": 1000}))
        ask(watch, 2)
        watch.told(Happening(60_000, "turn_dropped", {"turn": 2}))
        watch.ended("completed", "customer_ended", 60_000)
        await seen.aclose()
    one, two = collected.of("turn")
    for asked, doing in (("chat m", "think"), ("speak v", "synthesize")):
        [first, second] = collected.of(doing)
        assert (first.parent, second.parent) == (one.id, two.id)
        assert [span.parent for span in collected.of(asked)] == [first.id, first.id, second.id]
        assert first.end_ns - first.start_ns == 100_000_000
        # What nobody heard has no times of its own: it goes from its first request to the end.
        assert second.start_ns == collected.of(asked)[2].start_ns
        assert second.end_ns == two.end_ns
    ids = [span.id for span in collected.spans]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (ModelFailed("m", "secret words"), "_OTHER"),
        (EngineFailed("v", "tts", "secret words", "busy"), "busy"),
    ],
)
async def test_what_failed_says_of_which_kind_it_was(tmp_path: Path, failure: Exception, kind: str):
    with collector() as collected:
        seen = telemetry(tmp_path, collected.url)
        watch = seen.call(uuid.uuid4(), "inbound", {})
        ask(watch, 1, failure)
        watch.ended("failed", "worker_lost", 1000)
        tried = seen.webhook_began(uuid.uuid4(), "call.completed", 1)
        tried.ended(503, None, 0.1)
        await seen.aclose()
    [chat], [call] = collected.of("chat m"), collected.of("call")
    [webhook] = collected.of("webhook call.completed")
    assert (chat.attributes["error.type"], call.attributes["error.type"]) == (kind, "worker_lost")
    assert webhook.attributes["error.type"] == "503"
    assert "secret words" not in str(collected.spans)
    assert "error.type" not in collected.of("speak v")[0].attributes


async def test_what_is_sampled_is_decided_alike_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    calls = [uuid.UUID(int=n << 64) for n in range(200)]
    with collector() as collected:
        holds, delivers = telemetry(tmp_path, collected.url), telemetry(tmp_path, collected.url)
        flags: set[tuple[str, ...]] = set()
        for call_id in calls:
            watch = holds.call(call_id, "inbound", {})
            begun = watch.begin("x", "internal", None, None, {})
            begun.end()
            watch.ended("completed", "customer_ended", 1)
            tried = delivers.webhook_began(call_id, "call.completed", 1)
            tried.ended(204, None, 0.1)
            flags.add(
                (dict(begun.headers)["traceparent"][-2:], dict(tried.headers)["traceparent"][-2:])
            )
        await holds.aclose()
        await delivers.aclose()
    assert flags == {("00", "00"), ("01", "01")}
    assert 60 < len(collected.of("call")) < 140
    assert len(collected.of("call")) == len(collected.of("webhook call.completed"))


async def test_nothing_is_traced_unless_it_is_wanted(tmp_path: Path):
    seen = telemetry(tmp_path, None)
    watch = seen.call(uuid.uuid4(), "inbound", {})
    assert await use_tool(watch) == await use_tool(None) == ""
    assert seen.webhook_began(uuid.uuid4(), "call.completed", 1).headers == ()
    assert watch.trace_id == ""
    await seen.aclose()


async def test_a_line_of_the_log_names_the_trace(tmp_path: Path):
    with collector() as collected:
        seen = telemetry(tmp_path, collected.url)
        watch = seen.call(uuid.uuid4(), "inbound", {})
        token = spans.current.set(watch)
        try:
            record = logging.LogRecord("x", logging.INFO, "", 0, "said", None, None)
            for format in ("json", "text"):
                logs.configure(settings_for(tmp_path, log_format=format))
                assert watch.trace_id in logging.getLogger().handlers[0].format(record)
        finally:
            spans.current.reset(token)
            watch.ended("completed", "x", 1)
            await seen.aclose()


def test_where_it_is_sent():
    def urls(**env: str) -> tuple[str | None, str | None]:
        settings = Settings.read({f"OTEL_{name}": value for name, value in env.items()})
        return settings.otlp_traces_url, settings.otlp_metrics_url

    base = "http://collector:4318"
    assert urls() == (None, None)
    both = {"EXPORTER_OTLP_ENDPOINT": base}
    assert urls(**both) == (f"{base}/v1/traces", f"{base}/v1/metrics")
    assert urls(**both, SDK_DISABLED="true") == (None, None)
    assert urls(**both, METRICS_EXPORTER="none") == (f"{base}/v1/traces", None)
    assert urls(EXPORTER_OTLP_TRACES_ENDPOINT=f"{base}/t") == (f"{base}/t", None)
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_PROTOCOL"):
        urls(**both, EXPORTER_OTLP_PROTOCOL="grpc")
