"""Members for tests: made in the database, and browsers that are logged in as them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
from argon2 import PasswordHasher
from fastapi.routing import APIRoute
from tests.fakes.api import Api

from chorus.accounts import sessions
from chorus.accounts.passwords import Passwords
from chorus.accounts.tables import Identity, Member
from chorus.clock import SystemClock
from chorus.process import Process

PASSWORD = "correct horse battery"
OURS = {"origin": "http://127.0.0.1:8000", "x-chorus-request": "1"}
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class VirtualClock:
    """Both clocks of a process; `forward` moves them."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._start = SystemClock().utcnow()

    def monotonic(self) -> float:
        return 1000 + self.passed_s

    def utcnow(self) -> datetime:
        return self._start + timedelta(seconds=self.passed_s)

    def forward(self, **parts: float) -> None:
        self.passed_s += timedelta(**parts).total_seconds()


def prepared(api: Api) -> VirtualClock:
    """Passwords that are hashed quickly, and a clock of the test's own; before the first login."""
    clock = VirtualClock()
    api.process.__dict__["passwords"] = Passwords(QUICK)
    api.process.__dict__["clock"] = clock
    for name in ("sessions", "reads"):
        api.process.__dict__.pop(name, None)
    return clock


async def member(
    process: Process,
    organization_id: uuid.UUID,
    role: str,
    *,
    email: str | None = None,
    password: str | None = PASSWORD,
) -> Member:
    """With an identity of its own, unless there is no password."""
    email = email or f"{role}@example.com"
    hashed = QUICK.hash(password) if password else None
    async with process.database.writing() as session:
        identity = None
        if hashed is not None:
            identity = Identity(email=email, password_hash=hashed, password_is_own=True)
        row = Member(organization_id=organization_id, email=email, role=role, identity=identity)
        session.add(row)
    return row


async def browser(api: Api, row: Member) -> httpx.AsyncClient:
    """Logged in as the member, without having asked for it."""
    async with api.process.database.writing() as session:
        found = await session.get(Member, row.id)
        assert found is not None
        now = api.process.clock.utcnow()
        _, token = await sessions.begin(session, found, now, "127.0.0.1", "a test")
    client = stranger(api)
    client.cookies.set(sessions.cookie_name(api.process.settings), token)
    return client


def stranger(api: Api) -> httpx.AsyncClient:
    """A browser on the dashboard's own page, not logged in."""
    client = api.client_with(None)
    client.headers.update(OURS)
    return client


async def log_in(
    client: httpx.AsyncClient, email: str, password: str = PASSWORD, **more: Any
) -> httpx.Response:
    return await client.post("/v1/sessions", json={"email": email, "password": password, **more})


def routes(api: Api) -> Iterator[tuple[str, str, APIRoute]]:
    """Every route of the application that takes a key or a session: method, path, route."""
    yield from sorted(
        (
            (method, prefix + route.path, route)
            for prefix, route in _walk("", api.app.routes)
            if isinstance(route, APIRoute) and (prefix + route.path).startswith(("/v1/", "/api/"))
            for method in route.methods or ()
        ),
        key=lambda found: found[:2],
    )


def _walk(prefix: str, found: Any) -> Iterator[tuple[str, Any]]:
    for route in found:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield prefix, route
        else:
            yield from _walk(prefix + route.include_context.prefix, inner.routes)


def filled(path: str, id: object) -> str:
    """With an id, or another number where a number has to stand."""
    try:
        uuid.UUID(str(id))
        number = "1"
    except ValueError:
        number = str(id)
    return re.sub(r"\{[^}]+\}", str(id), path.replace("{number}", number))
