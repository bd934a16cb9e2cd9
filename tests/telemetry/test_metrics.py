"""Who may read /metrics, and what is in it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import settings_for
from tests.fakes.api import Api, running

from chorus.outbound import Outbound
from chorus.settings import Settings, SettingsError
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.limits import limits_of
from chorus.talk.timeline import Happening
from chorus.telemetry.instruments import MOST_VALUES, Metrics
from chorus.telemetry.watch import CallWatch

TOKEN = "a token of the operator's"


async def read(api: Api, address: str = "127.0.0.1", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(api.app, client=(address, 1))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=transport, base_url="http://chorus") as http:
        return await http.get("/metrics", headers=named)


def values(page: str) -> dict[str, float]:
    """`name{label=value,…}` → value; labels by their name."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_without_a_token_it_is_for_this_machine(sqlite_api: Api):
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert (await read(sqlite_api, address)).status_code == 200, address
    for address in ("10.0.0.5", "8.8.8.8", "fe80::1", "unknown"):
        refused = await read(sqlite_api, address)
        assert refused.status_code == 403, address
        assert "CHORUS_METRICS_TOKEN" in refused.json()["error"]
    # A proxy on this machine passes on what comes from elsewhere.
    for header in ("x_forwarded_for", "forwarded", "x_real_ip"):
        assert (await read(sqlite_api, **{header: "127.0.0.1"})).status_code == 403, header


async def test_with_a_token_it_is_for_whoever_has_it(tmp_path: Path):
    async with running(settings_for(tmp_path, metrics_token="s" * 20)) as api:
        assert (await read(api, "8.8.8.8", authorization=f"Bearer {'s' * 20}")).status_code == 200
        for shown in ("", f"Bearer {'x' * 20}", "s" * 20, f"Basic {'s' * 20}", "Bearer"):
            refused = await read(api, authorization=shown)
            assert refused.status_code == 401, shown
            assert "chorus_" not in refused.text


def test_a_token_that_is_short_is_refused():
    with pytest.raises(SettingsError, match="CHORUS_METRICS_TOKEN must have 16 characters"):
        Settings.read({"CHORUS_METRICS_TOKEN": "short"})


async def _write(api: Api) -> None:
    async with api.process.database.writing():
        pass


async def test_the_queues_are_in_it(api: Api):
    """On both databases: their length is a question to the database."""
    await api.made("/v1/agents", {"name": "Anna"})  # a write
    told = values((await read(api)).text)
    assert told["chorus_calls_waiting"] == told["chorus_webhooks_due"] == 0
    assert told["chorus_webhooks_oldest_seconds"] == told["chorus_calls_live"] == 0
    # Who wrote: the function of a route, and one that runs by itself.
    await asyncio.gather(*(_write(api) for _ in range(3)))
    told = values((await read(api)).text)
    assert told["chorus_write_seconds_count{by=agents.routes.create_agent}"] == 1
    assert told[f"chorus_write_seconds_count{{by={__name__}._write}}"] == 3
    assert told["chorus_loop_lag_seconds_bucket{le=+Inf}"] == told["chorus_loop_lag_seconds_count"]


async def test_a_blocked_loop_shows_without_a_call(sqlite_api: Api):
    time.sleep(0.7)
    lag = sqlite_api.app.state.switchboard.ticker.lag
    async with asyncio.timeout(20):
        while lag.max_ms < 250:
            await asyncio.sleep(0.05)
    told = values((await read(sqlite_api)).text)
    late = told["chorus_loop_lag_seconds_count"] - told["chorus_loop_lag_seconds_bucket{le=0.25}"]
    assert late >= 1
    assert (await sqlite_api.get("/healthz")).json()["loopLagMs"] > 250


async def test_what_accounts_have_at_their_vendors_is_in_it(sqlite_api: Api):
    net, failures = Outbound(), Failures("acme/ears", "k")
    limit = limits_of(net).of(failures, "socket")
    for _ in range(2):
        await limit.take(failures, "open")
    limit.refused(failures.status("open", 429, "too many"), others=1)
    limit.give()
    told = values((await read(sqlite_api)).text)
    assert told["chorus_vendor_under_way{vendor=acme/ears}"] == 1
    assert told["chorus_vendor_limit{vendor=acme/ears}"] == 1
    assert told["chorus_vendor_full_total{outcome=refused,vendor=acme/ears}"] == 1


def watched() -> tuple[CallWatch, Metrics]:
    metrics = Metrics()
    return CallWatch(metrics, "inbound", None), metrics


def page(metrics: Metrics) -> dict[str, float]:
    from prometheus_client import generate_latest

    return values(generate_latest(metrics.registry).decode())


def test_a_turn_is_measured_by_stage():
    watch, metrics = watched()
    latency = {"turn": 1, "speechEndedAtMs": 1000, "detectorMs": 20, "verdictMs": None}
    stages = {"wordsMs": 150, "committedMs": 400, "tokenMs": 600, "audioMs": 700, "sentMs": 720}
    watch.told(Happening(1720, "turn_latency", {**latency, **stages}))
    told = page(metrics)
    assert told["chorus_turn_stage_seconds_sum{stage=sent}"] == 0.72
    assert told["chorus_turn_stage_seconds_bucket{le=0.1,stage=words}"] == 0
    assert told["chorus_turn_stage_seconds_bucket{le=0.2,stage=words}"] == 1
    assert "chorus_turn_stage_seconds_count{stage=verdict}" not in told  # it had none


def test_answers_are_measured_by_the_target_of_their_agent():
    metrics = Metrics()
    latency = {"turn": 1, "speechEndedAtMs": 0, "detectorMs": 20, "verdictMs": None}
    stages = {"wordsMs": 1, "committedMs": 2, "tokenMs": 3, "audioMs": 4}
    for target_ms, sent_ms in ((800, 800), (800, 801), (800, None), (None, 900)):
        watch = CallWatch(metrics, "inbound", None, target_ms)
        watch.told(Happening(0, "turn_latency", {**latency, **stages, "sentMs": sent_ms}))
    told = page(metrics)
    assert told["chorus_turns_with_target_total{within=true}"] == 1
    assert told["chorus_turns_with_target_total{within=false}"] == 1


def test_failures_and_use_are_counted():
    watch, metrics = watched()
    failed = {"vendor": "acme", "stage": "open", "detail": "secret words", "remedy": "replaced"}
    watch.told(Happening(0, "engine_failed", failed))
    watch.told(Happening(0, "engine_failed", {**failed, "remedy": "apology"}))
    used = {"model": "acme/m", "voice": "v", "inputTokens": 7, "outputTokens": 3}
    watch.told(Happening(0, "usage", {**used, "characters": 40, "discarded": False}))
    watch.told(Happening(0, "tool_result", {"ok": False, "elapsedMs": 250, "result": "words"}))
    watch.ended("failed", "provider_error", 61_000)
    told = page(metrics)
    assert told["chorus_failovers_total{stage=open,vendor=acme}"] == 1
    assert told["chorus_engine_failures_total{remedy=apology,stage=open,vendor=acme}"] == 1
    assert told["chorus_tokens_total{model=acme/m,type=input}"] == 7
    assert told["chorus_characters_total{voice=v}"] == 40
    assert told["chorus_tool_seconds_sum{ok=false}"] == 0.25
    ended = "chorus_calls_ended_total{direction=inbound,reason=provider_error,status=failed}"
    assert told[ended] == 1
    assert told["chorus_call_seconds_sum{direction=inbound}"] == 61
    assert not any("words" in name for name in told)


def test_what_users_name_cannot_grow_without_end():
    metrics = Metrics()
    for n in range(MOST_VALUES + 50):
        metrics.tokens.add(1, f"model-{n}", "input")
    told = page(metrics)
    series = [name for name in told if name.startswith("chorus_tokens_total")]
    assert len(series) == MOST_VALUES + 1
    assert told["chorus_tokens_total{model=other,type=input}"] == 50
