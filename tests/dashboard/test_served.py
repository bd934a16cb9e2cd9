"""How the dashboard's files are served, with a build of a test's own."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from tests.conftest import settings_for

from chorus import dashboard, errors
from chorus.settings import Settings


def browser(settings: Settings, media: dashboard.MediaUrls | None = None) -> httpx.AsyncClient:
    async def alone() -> set[str]:
        return set()

    app = FastAPI(openapi_url=None)
    dashboard.add_routes(app, settings, media or alone)
    errors.install(app)

    @app.middleware("http")
    async def named(request: Request, call_next: RequestResponseEndpoint) -> Response:  # pyright: ignore[reportUnusedFunction]  as the gate does
        request.state.request_id = "r"
        return await call_next(request)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chorus")


def policy_of(headers: httpx.Headers) -> dict[str, str]:
    parts = headers["content-security-policy"].split(";")
    return dict(part.strip().split(" ", 1) for part in parts)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Chorus</title>")
    (folder / "assets" / "main-1a2b.js").write_text("let a = 1")
    (folder / "assets" / "main-1a2b.js.gz").write_bytes(gzip.compress(b"let a = 1"))
    monkeypatch.setattr(dashboard, "FOLDER", folder)
    return folder


async def test_every_address_below_it_is_its_page(tmp_path: Path, built: Path):
    async with browser(settings_for(tmp_path)) as client:
        for path in ("/dashboard", "/dashboard/", "/dashboard/calls/1?tab=cost"):
            page = await client.get(path)
            assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
            assert "<title>Chorus" in page.text
        front = await client.get("/")
        assert front.headers["location"] == "/dashboard"


async def test_a_page_may_load_nothing_from_elsewhere(tmp_path: Path, built: Path):
    async with browser(settings_for(tmp_path)) as client:
        headers = (await client.get("/dashboard")).headers
    policy = policy_of(headers)
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    # Safari has not always taken 'self' for websockets as well.
    assert policy["connect-src"] == "'self' ws://127.0.0.1:8000"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "microphone=(self)" in headers["permissions-policy"]


async def test_a_page_may_talk_where_calls_are_held(tmp_path: Path, built: Path):
    given = settings_for(
        tmp_path, public_url="https://a.example", media_url="https://media.a.example/x"
    )

    async def others() -> set[str]:
        return {"wss://b.example", "wss://media.a.example/x", "ws://c.example:81/y"}

    async with browser(given, others) as client:
        policy = policy_of((await client.get("/dashboard")).headers)
    assert policy["connect-src"] == (
        "'self' ws://c.example:81 wss://b.example wss://media.a.example"
    )


async def test_a_page_comes_without_a_database(tmp_path: Path, built: Path):
    async def fails() -> set[str]:
        raise OperationalError("SELECT", {}, Exception("it is away"))

    async with browser(settings_for(tmp_path), fails) as client:
        page = await client.get("/dashboard")
    assert (page.status_code, "<title>Chorus" in page.text) == (200, True)
    assert policy_of(page.headers)["connect-src"] == "'self' ws://127.0.0.1:8000"


async def test_recordings_of_a_bucket_may_be_played_from_there(tmp_path: Path):
    given = settings_for(
        tmp_path, storage_url="s3://calls", s3_endpoint_url="https://s3.example.com/x"
    )
    policy = dashboard.page_headers(given)["content-security-policy"]
    assert "media-src 'self' blob: https://s3.example.com;" in policy


async def test_hashed_files_are_kept_for_ever_and_sent_compressed(tmp_path: Path, built: Path):
    async with browser(settings_for(tmp_path)) as client:
        script = await client.get("/dashboard/assets/main-1a2b.js")
        assert script.text == "let a = 1"
        assert script.headers["content-encoding"] == "gzip"
        assert "immutable" in script.headers["cache-control"]
        plain = await client.get(
            "/dashboard/assets/main-1a2b.js", headers={"accept-encoding": "identity"}
        )
        assert "content-encoding" not in plain.headers
        again = await client.get(
            "/dashboard/assets/main-1a2b.js", headers={"if-none-match": script.headers["etag"]}
        )
        assert again.status_code == 304
        assert (await client.get("/dashboard/assets/old.js")).status_code == 404


async def test_without_a_build_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dashboard, "FOLDER", tmp_path / "nothing")
    async with browser(settings_for(tmp_path)) as client:
        page = await client.get("/dashboard/agents")
        assert page.status_code == 503
        assert int(page.headers["retry-after"]) > 0
        assert "make setup" in page.text
        assert (await client.get("/")).headers["location"] == "/docs"
