"""The dashboard and the alerts of `deploy/`: held to the metrics that there are, tried by
Prometheus's own tools, and asked of a real Prometheus that scrapes a real server with a call."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.conftest import settings_for
from tests.fakes.api import running
from tests.soak.rig import Rig, environment, free_port
from tests.telemetry.test_metrics import read
from tests.telemetry.test_traces import TALKS

from chorus.demo.carrier import client

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "chorus.json"

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs Prometheus: apt-get install prometheus, or make peers",
)


def alerts() -> dict[str, str]:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def panels() -> dict[str, str]:
    """What each panel asks, by its title and the letter of the query; as Grafana would send it."""
    found: dict[str, str] = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            asked = target["expr"].replace("$__rate_interval", "1m")
            asked = asked.replace("$job", "chorus").replace("$instance", ".*")
            assert "$" not in asked
            found[f"{panel['title']} {target['refId']}"] = asked
    return found


def families(page: str) -> set[str]:
    """Names of all samples that a page has or may have."""
    found: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE):
        found |= (
            {f"{name}_{part}" for part in ("bucket", "count", "sum")}
            if kind == "histogram"
            else {name}
        )
    return found


async def test_they_ask_for_metrics_that_there_are(tmp_path: Path):
    async with running(settings_for(tmp_path)) as api:
        known = families((await read(api)).text)
    for where, asked in (alerts() | panels()).items():
        named = set(re.findall(r"\b(?:chorus|process)_[a-z_]+", asked))
        assert named <= known, where
        assert named or "up{" in asked, where


@needs_prometheus
def test_the_alerts_fire_when_they_should_and_only_then(tmp_path: Path):
    cases = Path(__file__).with_name("alerts.test.yml")
    fired = set(re.findall(r'alertname="(\w+)"', cases.read_text()))
    assert fired == set(alerts())
    for path in (ALERTS, cases):
        shutil.copy(path, tmp_path)
    done = subprocess.run(
        ["promtool", "test", "rules", cases.name],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def prometheus(folder: Path, target: str) -> Generator[str]:
    """One that scrapes `target` each second, with our alerts; its URL."""
    folder.mkdir()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "chorus", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
            f"--web.listen-address={address}", "--log.level=error",
        ],
        cwd=folder,
    )  # fmt: skip
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


async def ask(http: httpx.AsyncClient, query: str) -> list[Any]:
    answer = await http.get("/api/v1/query", params={"query": query})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["result"]


async def scraped(http: httpx.AsyncClient) -> None:
    """Until what the call left has been scraped twice."""
    left = "count_over_time(chorus_calls_ended_total[1m]) and on () "
    left += "count_over_time(chorus_turns_with_target_total[1m]) and on () chorus_calls_waiting"
    async with asyncio.timeout(60):
        while True:
            try:
                if any(float(each["value"][1]) >= 2 for each in await ask(http, left)):
                    return
            except httpx.TransportError:
                pass  # it has not begun to listen
            await asyncio.sleep(0.3)


@needs_prometheus
@pytest.mark.timeout(150)
async def test_a_real_prometheus_answers_all_of_it(tmp_path: Path):
    async with client.running() as carrier:
        rig = Rig(carrier, tmp_path / "server", environment(carrier, None), None)
        await rig.start()
        try:
            await rig.prepare(latencyTargetMs=60_000)
            assert rig.server is not None
            with prometheus(tmp_path / "prometheus", rig.server.url.partition("//")[2]) as url:
                assert await rig.place("+15570000001", TALKS)
                [call] = await rig.settled(60)
                assert call["status"] == "completed", call
                async with httpx.AsyncClient(base_url=url, timeout=20) as http:
                    await scraped(http)
                    for title, query in panels().items():
                        assert await ask(http, query), title
                    for query in alerts().values():
                        await ask(http, query)
                    rules = (await http.get("/api/v1/rules")).json()["data"]["groups"][0]["rules"]
                    assert {rule["name"] for rule in rules} == set(alerts())
                    assert {rule["health"] for rule in rules} == {"ok"}
                    in_time = await ask(http, 'chorus_turns_with_target_total{within="true"}')
                    assert float(in_time[0]["value"][1]) >= 1
        finally:
            await rig.stop()
