"""The API in this process: an application on a database of its own, and clients to it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from unittest.mock import patch

import httpx
from fastapi import FastAPI
from tests.fakes import schema

from chorus.accounts import keys
from chorus.accounts.principal import FULL
from chorus.accounts.tables import Organization
from chorus.app import create_app
from chorus.calls.dispatch import Dispatch
from chorus.calls.recover import Keeper
from chorus.catalogue.engines import EngineRoom
from chorus.durable.durable import Durable
from chorus.openapi import codes
from chorus.process import Process
from chorus.recordings.archive import Archive
from chorus.settings import Settings

KEY = "sk_live_" + "t" * 32


async def _is_explained(response: httpx.Response) -> None:
    """Whatever a test has refused: its code has a place on `/docs/errors`, with this status."""
    kind = response.headers.get("content-type", "")
    if response.status_code < 400 or not kind.startswith("application/json"):
        return
    told = json.loads(await response.aread() or b"null")
    if isinstance(told, dict) and "requestId" in told:
        code = cast("dict[str, Any]", told)["code"]
        assert response.status_code in codes.errors()[code].statuses, (code, response.status_code)


class Api:
    """`client` is authenticated; `get` and the others go through it and give the response."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.process: Process = app.state.process
        self.client = self.client_with(KEY)
        self.get = self.client.get
        self.post = self.client.post
        self.patch = self.client.patch
        self.put = self.client.put
        self.delete = self.client.delete

    def client_with(self, key: str | None) -> httpx.AsyncClient:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        # What escapes the application is to fail the test, not to become a 500.
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://chorus",
            headers=headers,
            event_hooks={"response": [_is_explained]},
        )

    async def another_organization(self, **options: Any) -> httpx.AsyncClient:
        async with self.process.database.writing() as session:
            organization = Organization(name="Another")
            session.add(organization)
            await session.flush()
            _, key = await keys.create(
                session, organization.id, "key", **{"scopes": FULL, **options}
            )
        return self.client_with(key)

    async def organization_id(self) -> uuid.UUID:
        principal = await self.process.keys.principal(KEY)
        assert principal is not None
        return principal.organization_id

    async def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create something; its data."""
        response = await self.post(path, json=body)
        assert response.status_code == 201, response.text
        return response.json()["data"]


async def _nothing(*_: object) -> None: ...


@asynccontextmanager
async def running(
    settings: Settings, start_engines: Callable[[EngineRoom], Awaitable[None]] = _nothing
) -> AsyncGenerator[Api, None]:
    """The application between its start and its stop, both in one task, as in a server.

    Without what holds calls: no engine is loaded, queued calls stay queued, live ones that nobody
    holds stay live, durable work is enqueued but not done, and recordings stay as they are."""
    with (
        patch.object(EngineRoom, "start", start_engines),
        patch.object(Dispatch, "run", _nothing),
        patch.object(Keeper, "run", _nothing),
        patch.object(Durable, "launch", _nothing),
        patch.object(Archive, "run", _nothing),
    ):
        await schema.prepared(settings)
        async with _living(create_app(settings)) as api:
            yield api


@asynccontextmanager
async def _living(app: FastAPI) -> AsyncGenerator[Api, None]:
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.router.lifespan_context(app):
            started.set()
            await stop.wait()

    life = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if life.done():
        await life
    api = Api(app)
    try:
        yield api
    finally:
        await api.client.aclose()
        stop.set()
        await life
