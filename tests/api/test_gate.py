"""Rate limits, their headers, CORS, health, and the log's silence about secrets."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from alembic.config import Config
from sqlalchemy.exc import OperationalError
from starlette.types import Message, Receive, Scope, Send
from tests.conftest import settings_for
from tests.fakes.api import KEY, Api, running

from chorus import logs, ready
from chorus.accounts.limits import RateLimits
from chorus.calls.switchboard import Switchboard
from chorus.gate import Gate
from chorus.migrations import run as migrations


async def test_every_response_of_the_api_tells_what_is_left(sqlite_api: Api):
    for path, status in (("/v1/agents", 200), ("/v1/agents/x", 404), ("/v1/no", 404)):
        response = await sqlite_api.get(path)
        assert response.status_code == status
        assert response.headers["X-RateLimit-Limit"] == "100000"
        assert int(response.headers["X-RateLimit-Remaining"]) < 100_000
        assert int(response.headers["X-RateLimit-Reset"]) > 1_700_000_000
    assert "X-RateLimit-Limit" in (await sqlite_api.client_with(None).get("/v1/agents")).headers


async def test_too_many_requests(tmp_path: Path):
    async with running(settings_for(tmp_path, rate_limit_per_minute=3)) as api:
        answers = [await api.get("/v1/agents") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [int(a.headers["X-RateLimit-Remaining"]) for a in answers] == [2, 1, 0, 0]
        body = answers[3].json()
        assert body["error"] == "Rate limit exceeded"
        assert body["code"] == "rate_limited"
        assert 1 <= body["retryAfter"] <= 120
        assert answers[3].headers["Retry-After"] == str(body["retryAfter"])
        # Another key has its own minute, and its own limit.
        other = await api.another_organization(rate_limit_per_minute=7)
        response = await other.get("/v1/agents")
        assert response.status_code == 200
        assert response.headers["X-RateLimit-Limit"] == "7"
        # Health is not the API.
        assert (await api.get("/healthz")).status_code == 200


async def test_wrong_keys_are_counted_by_address(tmp_path: Path):
    async with running(settings_for(tmp_path, rate_limit_per_minute=3)) as api:
        answers = [await api.client_with(f"sk_live_{n:032}").get("/v1/agents") for n in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_a_window_slides(monkeypatch: pytest.MonkeyPatch):
    now = 1_000_000_020.0
    monkeypatch.setattr("time.time", lambda: now)
    limits = RateLimits(10)
    assert [(await limits.take(None, "a")).allowed for _ in range(11)] == [True] * 10 + [False]
    now += 85
    # In the next minute the old requests still weigh, less and less.
    allowed = sum([(await limits.take(None, "a")).allowed for _ in range(10)])
    assert 0 < allowed < 10


async def test_health(api: Api):
    assert (await api.client_with(None).get("/healthz")).json()["status"] == "ok"
    ready = await api.client_with(None).get("/readyz")
    assert (ready.status_code, ready.json()["database"]) == (200, "ok")
    assert "Retry-After" not in ready.headers
    # What watches servers often asks like this.
    for path in ("/healthz", "/readyz"):
        assert (await api.client.head(path)).status_code == 200


async def test_readiness_says_what_is_missing(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    async def old(_: object) -> str:
        return "0001"

    def refused(*_: object) -> bool:
        return False

    monkeypatch.setattr("chorus.migrations.run.current", old)
    monkeypatch.setattr("chorus.ready.access", refused)
    missing = await sqlite_api.get("/readyz")
    assert missing.status_code == 503
    assert int(missing.headers["Retry-After"]) > 0
    assert missing.json()["database"] == "ok"
    assert "chorus migrate" in missing.json()["schema"]
    assert "cannot be written" in missing.json()["recordings"]


async def test_readiness_blames_the_migrations_and_not_the_database(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    config = Config()
    config.set_main_option("script_location", str(tmp_path / "gone"))
    monkeypatch.setattr("chorus.migrations.run.config", lambda: config)
    migrations.head.cache_clear()  # as in a process that has not asked yet
    missing = await sqlite_api.get("/readyz")
    assert missing.status_code == 503
    assert missing.json()["database"] == "ok"
    assert "migrations cannot be read" in missing.json()["schema"]


async def test_a_database_that_is_away_is_503_with_all_headers(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    def gone(_: object) -> object:
        raise OperationalError("SELECT", None, Exception("gone"))

    monkeypatch.setattr("chorus.db.Database.reading", gone)
    answer = await sqlite_api.get("/v1/agents")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "gone" not in answer.text
    for name in ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
        assert int(answer.headers[name]) > 0


async def test_a_transaction_that_does_not_end_is_503_for_the_others(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("chorus.db._BUSY_TIMEOUT_S", 0.05)
    async with sqlite_api.process.database.writing():
        answer = await sqlite_api.post("/v1/agents", json={"name": "a"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_not_ready_without_a_database(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    def gone(_: object) -> object:
        raise OSError("gone")

    monkeypatch.setattr("chorus.db.Database.reading", gone)
    ready = await sqlite_api.get("/readyz")
    assert ready.status_code == 503
    assert "gone" not in ready.text


async def test_cors_is_off_unless_allowed(tmp_path: Path):
    preflight = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "PATCH",
        # A page that resumes a stream of events, and the dashboard's own requests.
        "Access-Control-Request-Headers": "last-event-id, x-chorus-request, if-match",
    }
    async with running(settings_for(tmp_path / "a")) as api:
        response = await api.get("/v1/agents", headers={"Origin": "https://a.example"})
        assert "Access-Control-Allow-Origin" not in response.headers
    settings = settings_for(tmp_path / "b", cors_origins=("https://a.example",))
    async with running(settings) as api:
        response = await api.client.options("/v1/agents/1", headers=preflight)
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
        # A question takes nothing from the limit, and is told what there is.
        assert response.headers["X-RateLimit-Limit"] == "100000"
        assert response.headers["X-RateLimit-Remaining"] == "100000"
        assert response.headers["X-RateLimit-Reset"]
        assert response.headers["X-Request-Id"]
        refused = {**preflight, "Origin": "https://b.example"}
        response = await api.client.options("/v1/agents/1", headers=refused)
        assert response.status_code == 400
        assert response.headers["X-RateLimit-Remaining"] == "100000"
        for path in ("/v1/agents", "/v1/agents/x"):
            response = await api.get(path, headers={"Origin": "https://a.example"})
            assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
            assert "X-Request-Id" in response.headers["Access-Control-Expose-Headers"]
        response = await api.get("/v1/agents", headers={"Origin": "https://b.example"})
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_holds_no_secrets(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    level = root.level
    try:
        logs.configure(settings_for(tmp_path, log_format=form))
        with logs.named("r-9"):
            try:
                raise ValueError(f"could not use {KEY}")
            except ValueError:
                logging.getLogger("a").exception("key %s", KEY, extra={"fields": {"n": 1}})
    finally:
        root.setLevel(level)
    written = capsys.readouterr().err
    assert KEY not in written
    assert "r-9" in written
    if form == "json":
        line = json.loads(written)
        assert line["message"] == "key sk_live_…"
        assert (line["n"], line["requestId"], line["level"]) == (1, "r-9", "error")
        assert "ValueError" in line["exception"]


async def test_a_refused_request_is_told_when_the_next_one_fits(monkeypatch: pytest.MonkeyPatch):
    now = 1_000_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    limits = RateLimits(10)
    for step in range(2000):
        now += (step * 7919 % 100) / 15
        quota = await limits.take(None, "a")
        if not quota.allowed:
            assert now < quota.reset_at <= now + 121
            now = float(quota.reset_at)
            assert (await limits.take(None, "a")).allowed


async def test_who_does_not_come_back_is_forgotten(monkeypatch: pytest.MonkeyPatch):
    now = 1_000_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    limits = RateLimits(10)
    for address in range(1000):
        await limits.take(None, str(address))
    now += 121
    await limits.take(None, "another")
    assert len(limits._counts) == 1  # pyright: ignore[reportPrivateUsage]  what is kept is the point


async def test_not_ready_while_nothing_can_be_written(sqlite_api: Api):
    heart = sqlite_api.app.state.switchboard.heartbeat
    full = OperationalError("", None, Exception("full"))
    with patch.object(heart, "_beat", side_effect=full):
        # The server beats by itself, too: one beat that had begun may still end well.
        for _ in range(20):
            with pytest.raises(OperationalError):
                await heart.beat()
            ready = await sqlite_api.get("/readyz")
            if ready.status_code == 503:
                break
    assert ready.status_code == 503
    assert "cannot be written" in ready.json()["database"]
    assert await heart.beat()
    assert (await sqlite_api.get("/readyz")).status_code == 200
    # A beat that waits for a lock fails late; it shows before.
    heart._wrote_at -= 13
    assert (await sqlite_api.get("/readyz")).status_code == 503


def test_a_record_is_one_line_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    level = root.level
    path = "/v1/x\n12:00:00.000 info    ours\x1b[31m\u2028\x9b"
    try:
        logs.configure(settings_for(tmp_path, log_format="text"))
        logging.getLogger("a").warning("%s", path, extra={"fields": {"path": path}})
        try:
            raise ValueError("a\n12:00:00.000 info    forged\x1b")
        except ValueError:
            logging.getLogger("a").exception("broke")
    finally:
        root.setLevel(level)
    first, *others = capsys.readouterr().err.rstrip("\n").split("\n")
    assert first.count("\\n12:00:00.000") == 2
    assert "\x1b" not in first
    assert "\x9b" not in first
    assert all(line.startswith("    ") for line in others[1:])
    assert not any("\x1b" in line for line in others)


async def test_strangers_on_the_internet_learn_little(sqlite_api: Api):
    for address, told in (("127.0.0.1", True), ("10.1.2.3", True), ("8.8.8.8", False)):
        transport = httpx.ASGITransport(sqlite_api.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://chorus") as http:
            answer = await http.get("/healthz")
        assert answer.status_code == 200
        assert ("version" in answer.json()) is told, address


async def test_many_who_ask_for_readiness_are_one_look(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    looks = 0
    parts = ready.parts

    async def counted(switchboard: Switchboard) -> dict[str, str]:
        nonlocal looks
        looks += 1
        return await parts(switchboard)

    monkeypatch.setattr(ready, "parts", counted)
    answers = await asyncio.gather(*(sqlite_api.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert looks == 1
    await sqlite_api.get("/readyz")
    assert looks == 2, "nothing is kept"


async def test_who_guesses_keys_is_refused_without_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(settings_for(tmp_path, rate_limit_per_minute=2)) as api:
        ring: Any = getattr(api.process.keys, "_ring")  # noqa: B009  it is the ring's own
        looked_up = 0
        look_up = ring._look_up

        async def counting(hashed: str) -> Any:
            nonlocal looked_up
            looked_up += 1
            return await look_up(hashed)

        monkeypatch.setattr(ring, "_look_up", counting)
        assert (await api.get("/v1/agents")).status_code == 200
        answers = [await api.client_with(f"sk_live_{n:032}").get("/v1/agents") for n in range(40)]
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) > 0
        assert looked_up == 1 + 20
        # Whoever is known is not held up by it.
        assert (await api.get("/v1/agents")).status_code == 200


async def test_a_request_that_the_stop_of_the_server_cuts_off(sqlite_api: Api):
    begun = asyncio.Event()
    sent: list[Message] = []

    async def lasts(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/calls",
        "headers": [],
        "client": None,
    }
    asked = asyncio.create_task(Gate(lasts, sqlite_api.process)(scope, receive, send))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    [start, body] = sent
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"] == b"5"
    assert json.loads(body["body"])["code"] == "unavailable"
