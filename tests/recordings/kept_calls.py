"""Calls that are over, with sound on the disk, for the tests of this folder."""

from __future__ import annotations

import os
import time
import uuid
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database, utcnow
from chorus.recordings.archive import Archive

WORDS = [
    {"role": "assistant", "content": "Good evening."},
    {"role": "user", "content": "My name is\nZoë."},
]


def sound(path: Path, seconds: float = 0.5) -> bytes:
    """A stereo WAV of noise that nobody writes to any more; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).normal(0, 2000, (int(seconds * 8000), 2))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(noise.astype("<i2").tobytes())
    old = time.time() - 60
    os.utime(path, (old, old))
    return path.read_bytes()


async def call(database: Database, organization_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A conversation that ended a minute ago, its recording not settled."""
    id = uuid.uuid4()
    ended_at = columns.pop("ended_at", utcnow() - timedelta(minutes=1))
    row = CallRow(
        **{
            "id": id,
            "organization_id": organization_id,
            "agent_id": uuid.uuid4(),
            "provider": "twilio",
            "direction": "inbound",
            "status": "completed",
            "customer_number": "+14155550001",
            "transcript": WORDS,
            "answered_at": datetime(2025, 1, 15, 10, tzinfo=UTC),
            "ended_at": ended_at,
            "recording_path": f"recordings/{id}.wav",
            **columns,
        }
    )
    async with database.writing() as session:
        session.add(row)
    return id


async def recorded(api: Api, **columns: Any) -> tuple[uuid.UUID, bytes]:
    """Such a call of the test's organization, settled, and the bytes of its recording."""
    id = await call(api.process.database, await api.organization_id(), **columns)
    archive: Archive = api.app.state.archive
    data = sound(archive.local(id))
    await archive.round()
    return id, data


async def row(database: Database, id: uuid.UUID) -> CallRow:
    async with database.reading() as session:
        found = await session.get(CallRow, id)
    assert found is not None
    return found


async def events(database: Database, id: uuid.UUID) -> list[tuple[str, dict[str, Any]]]:
    async with database.reading() as session:
        found = await session.scalars(
            sa.select(CallEvent).where(CallEvent.call_id == id).order_by(CallEvent.seq)
        )
        return [(event.kind, event.data) for event in found]
