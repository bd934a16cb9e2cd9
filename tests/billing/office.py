"""What billing needs of a process, without the process: a database, admission, live calls."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from tests.conftest import settings_for
from tests.fakes import schema

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import Organization
from chorus.agents.tables import Agent
from chorus.audio.pace import Lag
from chorus.billing import balance, ledger
from chorus.billing.admission import Admission
from chorus.billing.balance import Standing
from chorus.billing.prices import Prices
from chorus.billing.readings import Readings
from chorus.billing.settle import settle
from chorus.billing.tables import Hold, LedgerLine
from chorus.calls.journal import Journals
from chorus.calls.queues import queues
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallEvent, CallRow
from chorus.catalogue.catalogue import Catalogue, SlmModelEntry, VoiceEntry
from chorus.catalogue.catalogues import Catalogues
from chorus.db import Database
from chorus.knowledge.charging import Spent, account
from chorus.knowledge.tables import Document, KnowledgeBase
from chorus.news import News
from chorus.telemetry.telemetry import Telemetry

ANSWERED = datetime(2025, 3, 31, 23, 59, 30, tzinfo=UTC)

PRICES = """
[[price_list]]
version = "test"
valid_from = 2025-01-01

[price_list.typical_minute]
characters = 500
input_tokens = 2000
output_tokens = 100

[price_list.telephony.twilio]
per_minute = 0.014
inbound_per_minute = 0.0085

[price_list.telephony.sip]
per_minute = 0.006
billed = "second"

[price_list.transcription.pocketsphinx]
per_minute = 0.0043

[price_list.voice.espeak]
per_million_characters = 15

[price_list.model."openai/small-vectors"]
per_million_input_tokens = 0.13
per_million_output_tokens = 0

[price_list.model."openai/large"]
per_million_input_tokens = 2
per_million_output_tokens = 8
"""
FIRST_MINUTE = {"outbound": 14_000 + 4_300 + 7_500 + 4_000 + 800}
FIRST_MINUTE["inbound"] = FIRST_MINUTE["outbound"] - 14_000 + 8_500

CATALOGUE = Catalogue(
    [VoiceEntry(engine="espeak", engine_id="en", name="E", provider="espeak", languages=("en",))],
    [SlmModelEntry(engine="openai", engine_id="large", name="L", provider="openai")],
)


class Crashed(Exception):
    """The process is gone."""


class Office:
    """Stands in for a `Switchboard`; every test has organizations of its own in it."""

    def __init__(self, database: Database, prices: Prices, *, charging: bool = True) -> None:
        self.database = database
        settings = database.settings
        catalogues = Catalogues(settings, database, lambda: Secrets.of(settings), CATALOGUE)
        self.admission = Admission(charging, prices, catalogues)
        self.journals = Journals(database, News(database))
        self.live: dict[uuid.UUID, Any] = {}
        self.telemetry = Telemetry(
            settings, Lag(), lambda: len(self.live), lambda: queues(database)
        )

    @property
    def switchboard(self) -> Switchboard:
        return cast("Switchboard", self)

    def colleague(self, **changes: Any) -> Office:
        """Another process on the same database."""
        return Office(
            Database(self.database.settings),
            changes.pop("prices", self.admission.prices),
            charging=changes.pop("charging", self.admission.charging),
        )

    async def organization(self, dollars: float = 0) -> uuid.UUID:
        async with self.database.writing() as session:
            organization = Organization(name="o")
            session.add(organization)
            await session.flush()
            if dollars:
                await ledger.top_up(session, organization.id, round(dollars * 1_000_000))
            return organization.id

    async def top_up(self, organization_id: uuid.UUID, micros: int) -> None:
        async with self.database.writing() as session:
            await ledger.top_up(session, organization_id, micros)

    async def agent(self, organization_id: uuid.UUID) -> uuid.UUID:
        agent = Agent(
            organization_id=organization_id,
            name="a",
            system_prompt="",
            voice_speed=1,
            voice_stability=0.5,
            allow_end_call=True,
            is_active=True,
            post_call_summary_enabled=False,
            post_call_extraction_schema=[],
            first_speaker="user",
            agent_greeting_enabled=False,
            first_message_uninterruptible=False,
            first_message_delay=0,
            max_call_duration_seconds=600,
            background_sound_volume=0.15,
            knowledge_base_ids=[],
            transfer_targets=[],
        )
        async with self.database.writing() as session:
            session.add(agent)
        return agent.id

    async def begins(
        self,
        organization_id: uuid.UUID,
        agent_id: uuid.UUID,
        direction: str = "outbound",
        parent_id: uuid.UUID | None = None,
    ) -> uuid.UUID | None:
        """Let a call in as `place` and `answer` do, or `exchange` the second call of `parent_id`;
        None where there is no money for it."""
        async with self.database.writing() as session:
            call = CallRow(
                id=uuid.uuid4(),
                organization_id=organization_id,
                agent_id=agent_id,
                provider="twilio",
                direction=direction,
                status="in_progress",
                customer_number="+14155551234",
                answered_at=ANSWERED,
                parent_call_id=parent_id,
            )
            if not await self.admission.admit(session, call):
                return None
            session.add(call)
        return call.id

    async def notes(self, call_id: uuid.UUID, *events: tuple[int, str, dict[str, Any]]) -> None:
        """What its conversation notes: (milliseconds, kind, data)."""
        async with self.database.writing() as session:
            call = await session.get_one(CallRow, call_id)
            last = await session.scalar(
                sa.select(sa.func.max(CallEvent.seq)).where(CallEvent.call_id == call_id)
            )
            session.add_all(
                CallEvent(
                    organization_id=call.organization_id,
                    call_id=call_id,
                    seq=seq,
                    at_ms=at_ms,
                    kind=kind,
                    data=data,
                )
                for seq, (at_ms, kind, data) in enumerate(events, (last or 0) + 1)
            )

    async def ends(self, call_id: uuid.UUID, at_ms: int = 0, **columns: Any) -> None:
        """At 0: it was lost, and somebody noticed."""
        await self.notes(call_id, (at_ms, "status_changed", {"status": "completed"}))
        async with self.database.writing() as session:
            call = await session.get_one(CallRow, call_id)
            call.status, call.ended_at = "completed" if at_ms else "failed", datetime.now(UTC)
            call.duration_seconds = round(at_ms / 1000) if at_ms else None
            for name, value in columns.items():
                setattr(call, name, value)

    async def settle(self, call_id: uuid.UUID) -> int:
        """Returns the cost that the call has then."""
        await settle(self.switchboard, call_id)
        cost = (await self.call(call_id)).cost_micros
        assert cost is not None
        return cost

    async def document(self, organization_id: uuid.UUID) -> Document:
        base = KnowledgeBase(id=uuid.uuid4(), organization_id=organization_id, name="b")
        document = Document(
            id=uuid.uuid4(),
            organization_id=organization_id,
            knowledge_base_id=base.id,
            name="d",
            source="text",
            status="ready",
        )
        async with self.database.writing() as session:
            session.add(base)
            await session.flush()
            session.add(document)
        return document

    async def account(self, spent: Spent) -> None:
        """Charge a reading, as `ingest` does."""
        await account(self.database, Readings(lambda: self.admission), spent)

    async def call(self, call_id: uuid.UUID) -> CallRow:
        async with self.database.reading() as session:
            return await session.get_one(CallRow, call_id)

    async def lines(self, organization_id: uuid.UUID) -> list[LedgerLine]:
        async with self.database.reading() as session:
            mine = sa.select(LedgerLine).where(LedgerLine.organization_id == organization_id)
            found = await session.scalars(mine.order_by(LedgerLine.meter, LedgerLine.sequence))
            return list(found)

    async def holds(self, organization_id: uuid.UUID) -> dict[uuid.UUID, int]:
        async with self.database.reading() as session:
            mine = sa.select(Hold).where(Hold.organization_id == organization_id)
            return {hold.call_id: hold.amount_micros for hold in await session.scalars(mine)}

    async def standing(self, organization_id: uuid.UUID) -> Standing:
        async with self.database.reading() as session:
            return await balance.standing(session, organization_id)

    @asynccontextmanager
    async def crashing_at(self, statement: int) -> AsyncGenerator[None, None]:
        """The process dies before its `statement`th statement; a commit is two, so that it may
        also die when it has committed and does not know it."""
        count = 0

        def count_down(*_: object) -> None:
            nonlocal count
            count += 1
            if count == statement:
                raise Crashed

        commit = AsyncSession.commit

        async def commit_or_die(session: AsyncSession) -> None:
            count_down()
            await commit(session)
            count_down()

        engine = self.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", count_down)
        try:
            with patch.object(AsyncSession, "commit", commit_or_die):
                yield
        finally:
            event.remove(engine, "before_cursor_execute", count_down)

    async def check(self, organization_id: uuid.UUID, calls: Iterable[uuid.UUID]) -> None:
        """What holds whatever happened, for calls that were settled."""
        lines = await self.lines(organization_id)
        charges = [line for line in lines if line.kind == "charge"]
        keys = [(line.call_id, line.meter, line.sequence) for line in charges]
        assert len(keys) == len(set(keys))
        for call_id in calls:
            sum_of_lines = sum(x.amount_micros for x in charges if x.call_id == call_id)
            assert (await self.call(call_id)).cost_micros == sum_of_lines
        readings = [line for line in lines if line.kind == "embedding"]
        assert len({line.reading_id for line in readings}) == len(readings)
        for line in (*charges, *readings):
            if line.price_micros is None:
                assert line.amount_micros == 0
                continue
            assert line.quantity is not None
            assert line.price_per is not None
            exact = line.quantity * line.price_micros / line.price_per
            assert abs(line.amount_micros - exact) <= 0.5
        topped_up = sum(line.amount_micros for line in lines if line.kind == "top_up")
        charged = sum(line.amount_micros for line in (*charges, *readings) if line.charged)
        assert (await self.standing(organization_id)).balance == topped_up - charged


def usage(
    characters: int = 0, input_tokens: int = 0, output_tokens: int = 0, *, discarded: bool = False
) -> dict[str, Any]:
    return {
        "model": "openai/large",
        "voice": "espeak",
        "inputTokens": input_tokens,
        "outputTokens": output_tokens,
        "characters": characters,
        "discarded": discarded,
    }


@asynccontextmanager
async def opened(folder: Path, database_url: str, **changes: Any) -> AsyncGenerator[Office, None]:
    """An office on a database with the schema in it."""
    settings = settings_for(folder, database_url=database_url)
    schema.give(settings)
    database = Database(settings)
    path = folder / "prices.toml"
    path.write_text(PRICES)
    try:
        yield Office(database, Prices.read(path), **changes)
    finally:
        await database.close()
