"""Webhooks without a server: rows, a receiver, and a clock that a test moves."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from tests.conftest import settings_for
from tests.fakes import schema
from tests.fakes.http_peer import Asked, HttpPeer, respond

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import Organization
from chorus.agents.tables import Agent
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.catalogue.catalogue import Catalogue
from chorus.catalogue.catalogues import Catalogues
from chorus.db import Database
from chorus.webhooks import announce, due, edit
from chorus.webhooks.deliver import Deliveries
from chorus.webhooks.payload import Event
from chorus.webhooks.schemas import WebhookEndpointCreate
from chorus.webhooks.tables import WebhookAttempt, WebhookDelivery

START = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)

CALL: dict[str, Any] = {
    "provider": "twilio",
    "direction": "inbound",
    "status": "completed",
    "customer_number": "+14155551234",
    "duration_seconds": 245,
    "cost_micros": 250_001,
    "recording_path": "recordings/x.wav",
    "transcript": [{"role": "assistant", "content": "Grüß Gott"}],
    "analysis": {"summary": "They agreed.", "extractions": {"mood": "good"}},
    "ended_reason": "agent_ended",
    "context_variables": {"name": "Jane"},
    "meta": {"campaign": "x"},
    "started_at": START,
    "answered_at": START,
    "ended_at": START + timedelta(seconds=245),
}
AGENT: dict[str, Any] = {
    "name": "a",
    "system_prompt": "",
    "voice_speed": 1,
    "voice_stability": 0.5,
    "allow_end_call": True,
    "is_active": True,
    "post_call_summary_enabled": False,
    "post_call_extraction_schema": [],
    "first_speaker": "user",
    "agent_greeting_enabled": False,
    "first_message_uninterruptible": False,
    "first_message_delay": 0,
    "max_call_duration_seconds": 600,
    "background_sound_volume": 0.1,
    "knowledge_base_ids": [],
    "transfer_targets": [],
}


class Post:
    """An organization whose webhooks go out when a test says so: `round`."""

    def __init__(self, database: Database, organization_id: uuid.UUID) -> None:
        self.database = database
        self.organization_id = organization_id
        self.settings = database.settings
        catalogues = Catalogues(
            self.settings, database, lambda: Secrets.of(self.settings), Catalogue.of(self.settings)
        )
        self.switchboard = Switchboard(self.settings, database, catalogues)
        self.ahead = timedelta()
        self._stopped: datetime | None = None
        self.deliveries = self.another("one")

    def another(self, name: str) -> Deliveries:
        """What delivers in one more process."""
        return Deliveries(self.switchboard, name, self.now)

    async def now(self, session: AsyncSession) -> datetime:
        return (self._stopped or await due.database_now(session)) + self.ahead

    async def stop_clock(self) -> None:
        """From now on only `wait` lets time pass, however slow the machine is."""
        async with self.database.reading() as session:
            self._stopped = await due.database_now(session)

    def wait(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    async def round(self) -> int:
        """Everything that is due, tried once; how many tries that were."""
        started = await self.deliveries.look()
        await self.deliveries.settled()
        return started

    async def agent(self, url: str | None, secret: str | None = "agent's own") -> uuid.UUID:
        stored = None if secret is None else self.switchboard.secrets.encrypt(secret)
        agent = Agent(
            **AGENT,
            organization_id=self.organization_id,
            post_call_webhook_url=url,
            post_call_webhook_secret=stored,
        )
        return await self.add(agent)

    async def endpoint(self, url: str, *events: Event) -> tuple[uuid.UUID, str]:
        wish = WebhookEndpointCreate.model_validate(
            {"url": url, "events": list(events or ("call.completed",))}
        )
        async with self.database.writing() as session:
            made, secret = await edit.create(
                session, self.settings, self.switchboard.secrets, self.organization_id, wish
            )
            return made.id, secret

    async def switch(self, endpoint_id: uuid.UUID, **changes: Any) -> None:
        async with self.database.writing() as session:
            await edit.change(session, self.settings, self.organization_id, endpoint_id, changes)

    async def call(self, agent_id: uuid.UUID | None = None, **changes: Any) -> uuid.UUID:
        values = {**CALL, "agent_id": agent_id or uuid.uuid4(), **changes}
        return await self.add(CallRow(organization_id=self.organization_id, **values))

    async def add(self, row: Any) -> uuid.UUID:
        async with self.database.writing() as session:
            session.add(row)
            await session.flush()
            return row.id

    async def announced(self, agent_id: uuid.UUID | None = None, **changes: Any) -> uuid.UUID:
        """A call that is over, and announced."""
        call_id = await self.call(agent_id, **changes)
        await announce.call_over(self.switchboard, call_id)
        return call_id

    async def log(self) -> list[WebhookDelivery]:
        async with self.database.reading() as session:
            found = await session.scalars(
                sa.select(WebhookDelivery).order_by(
                    WebhookDelivery.created_at, WebhookDelivery.event
                )
            )
            return list(found)

    async def only(self) -> WebhookDelivery:
        [delivery] = await self.log()
        return delivery

    async def tries(self) -> list[WebhookAttempt]:
        async with self.database.reading() as session:
            found = await session.scalars(
                sa.select(WebhookAttempt).order_by(
                    WebhookAttempt.delivery_id, WebhookAttempt.number
                )
            )
            return list(found)


async def post_on(folder: Path, **changes: Any) -> Post:
    settings = settings_for(folder, **{"allow_private_addresses": True, **changes})
    await schema.prepared(settings)
    database = Database(settings)
    async with database.reading() as session:
        organization_id = await session.scalar(sa.select(Organization.id))
    assert organization_id is not None
    return Post(database, organization_id)


@pytest.fixture
async def post(tmp_path: Path, database_url: str) -> AsyncGenerator[Post, None]:
    """On SQLite and on Postgres; loopback may be reached."""
    made = await post_on(tmp_path, database_url=database_url)
    yield made
    await made.switchboard.outbound.aclose()
    await made.database.close()


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver, None]:
    async with Receiver() as running:
        yield running


class Receiver(HttpPeer):
    """Answers with `statuses` in turn, then with 200; a status may be a whole answer."""

    def __init__(self, *statuses: Any) -> None:
        super().__init__(self._answer)
        self.statuses: list[Any] = list(statuses)

    def _answer(self, _: Asked) -> Any:
        answer = self.statuses.pop(0) if self.statuses else 200
        if callable(answer):
            return answer()
        return answer if isinstance(answer, bytes) else respond(answer, b"answered")
