"""Traces as a collector gets them: of a real call on a real server, and of a tool and a webhook."""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.soak.rig import Rig, environment
from tests.telemetry.collector import Collected, collector
from tests.telemetry.test_metrics import values

from chorus import logs
from chorus.audio.pace import Lag
from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, WaitQuiet
from chorus.llm.model import ToolCall, ToolSpec
from chorus.outbound import Outbound
from chorus.settings import Settings, SettingsError
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.limits import limits_of
from chorus.talk.timeline import Happening
from chorus.talk.tools.acting import Acting
from chorus.talk.tools.tool import CallControl, ToolResult
from chorus.telemetry import spans
from chorus.telemetry.otel import ids_of
from chorus.telemetry.telemetry import Queues, Telemetry
from chorus.telemetry.watch import CallWatch

TALKS = Person(
    ring_ms=50,
    steps=[WaitQuiet(quiet_ms=300), Say(sound="tone", ms=400), WaitQuiet(quiet_ms=600), HangUp()],
)


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
        async with client.running() as carrier:
            env = environment(carrier, None) | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collected.url,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=ours",
                "OTEL_SERVICE_NAME": "telephone",
                "CHORUS_ALLOW_PRIVATE_ADDRESSES": "1",
            }
            rig = Rig(carrier, tmp_path, env, None)
            await rig.start()
            try:
                # Nobody is there: a try is made, which is what counts.
                await rig.prepare(postCallWebhookUrl="http://127.0.0.1:9/hook")
                assert await rig.place("+15570000001", TALKS)
                [call] = await rig.settled(30)
                assert call["status"] == "completed", call
                told = await _webhook_tried(rig)
            finally:
                await rig.stop()  # which sends what is left
    _check_spans(collected, uuid.UUID(call["id"]))
    assert collected.resource["service.name"] == "telephone"
    assert set(collected.headers) == {"ours"}
    wanted = {"chorus.turn.stage", "chorus.calls.live", "chorus.webhooks.due", "chorus.write"}
    assert wanted <= collected.metrics
    assert told["chorus_turn_stage_seconds_count{stage=sent}"] >= 1
    ended = [name for name in told if name.startswith("chorus_calls_ended_total{")]
    assert [told[name] for name in ended] == [1]
    assert told["chorus_cost_dollars_total"] >= 0


async def _webhook_tried(rig: Rig) -> dict[str, float]:
    async with asyncio.timeout(20), rig.http() as http:
        while True:
            told = values((await http.get("/metrics")).text)
            if told.get("chorus_webhook_tries_total{outcome=no_answer}", 0) >= 1:
                return told
            await asyncio.sleep(0.2)


def _check_spans(collected: Collected, call_id: uuid.UUID) -> None:
    [root] = collected.of("call")
    trace_id, span_id = ids_of(call_id)
    assert (root.trace, root.id, root.parent) == (f"{trace_id:032x}", f"{span_id:016x}", "")
    assert {span.trace for span in collected.spans} == {root.trace}
    assert root.attributes["chorus.call.id"] == str(call_id)
    assert root.attributes["chorus.call.status"] == "completed"
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
    assert any(span.parent == turn.id for span in chats)
    assert chats[0].attributes["gen_ai.operation.name"] == "chat"
    assert chats[0].attributes["gen_ai.usage.output_tokens"] > 0
    assert any(span.name.startswith("speak ") for span in collected.spans)
    tries = [span for span in collected.spans if span.name.startswith("webhook call.")]
    assert tries
    assert {span.parent for span in tries} == {root.id}
    assert all(span.failed for span in tries)
    # What was said, and whose number it is, is nowhere.
    everything = str(collected.spans)
    assert "+1557" not in everything
    assert "Good day" not in everything


class _Asks:
    """A tool that tells which trace it would name."""

    spec = ToolSpec("look_up", "", {})
    has_effects = False

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        return ToolResult(dict(spans.trace_headers()).get("traceparent", ""), ok=False, status=500)


async def use_tool(watch: CallWatch | None) -> str:
    token = spans.current.set(watch)
    try:
        spans.within_turn(1)
        control: Any = None
        run = Acting([_Asks()]).begin(ToolCall("id-1", "look_up", "{}"), control)
        return (await run.wait()).content
    finally:
        spans.current.reset(token)


async def test_a_tool_is_told_the_trace_that_it_is_part_of(tmp_path: Path):
    call_id = uuid.uuid4()
    with collector() as collected:
        seen = telemetry(tmp_path, collected.url)
        watch = seen.call(call_id, "inbound", {})
        watch.told(Happening(10, "speech_started", {"turn": 1, "onsetMs": 5}))
        shown = await use_tool(watch)
        watch.told(Happening(900, "reply_heard", {"turn": 1, "heard": "…"}))
        watch.ended("completed", "customer_ended", 1000)
        await seen.aclose()
    [tool], [turn] = collected.of("execute_tool look_up"), collected.of("turn")
    assert shown == f"00-{ids_of(call_id)[0]:032x}-{tool.id}-01"
    assert tool.parent == turn.id
    assert tool.failed
    assert tool.attributes["gen_ai.tool.name"] == "look_up"
    assert turn.end_ns - turn.start_ns == 895_000_000


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
            begun = watch.begin("x", "internal", None, {})
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
