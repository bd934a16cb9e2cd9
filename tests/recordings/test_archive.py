"""Settling recordings: stored, adopted, missing, deleted, and whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes import schema
from tests.fakes.api import running
from tests.recordings.kept_calls import call, events, row, sound

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import Organization
from chorus.calls import kept
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database, utcnow
from chorus.doctor import _storage  # pyright: ignore[reportPrivateUsage]
from chorus.recordings.archive import Archive, mp3_key, wav_key
from chorus.recordings.retention import keep_to_rules
from chorus.recordings.store import Store, StoreFailed
from chorus.settings import Settings


@dataclass
class House:
    settings: Settings
    database: Database
    archive: Archive
    organization_id: uuid.UUID

    async def call(self, **columns: Any) -> uuid.UUID:
        return await call(self.database, self.organization_id, **columns)

    async def settled(self, id: uuid.UUID) -> bool:
        return (await row(self.database, id)).recording_settled_at is not None


async def house(settings: Settings) -> House:
    await schema.prepared(settings)
    database = Database(settings)
    async with database.reading() as session:
        organization_id = await session.scalar(sa.select(Organization.id))
    assert organization_id is not None
    return House(settings, database, Archive(settings, database), organization_id)


@pytest.fixture(params=["data folder", "another folder", "bucket"])
async def any_house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[House, None]:
    changes: dict[str, Any] = {}
    if request.param == "another folder":
        changes["storage_url"] = f"file://{tmp_path}/elsewhere"
    elif request.param == "bucket":
        changes = request.getfixturevalue("bucket")
    made = await house(settings_for(tmp_path / "data", **changes))
    yield made
    await made.archive.aclose()
    await made.database.close()


@pytest.fixture
async def bucket_house(tmp_path: Path, bucket: dict[str, Any]) -> AsyncGenerator[House, None]:
    made = await house(settings_for(tmp_path, **bucket))
    yield made
    await made.database.close()


async def test_a_clock_that_was_set_back_holds_up_no_recording(any_house: House):
    id = await any_house.call()
    ahead = time.time() + 3600
    local = any_house.archive.local(id)
    sound(local)
    os.utime(local, (ahead, ahead))
    await any_house.archive.round()
    assert await any_house.settled(id)


async def test_a_recording_comes_to_the_store(any_house: House):
    id = await any_house.call()
    local = any_house.archive.local(id)
    data = sound(local)
    assert not await any_house.archive.round()
    assert await any_house.settled(id)
    copy = any_house.settings.data_dir / "copy.wav"
    await any_house.archive.store.fetch(wav_key(id), copy)
    assert copy.read_bytes() == data
    here = any_house.archive.store.path(wav_key(id))
    assert local.exists() == (here == local)
    if here not in (None, local):
        assert (here.stat().st_mode | here.parent.stat().st_mode) & 0o077 == 0, "it is private"


async def test_the_recording_of_a_lost_call_is_adopted(any_house: House):
    id = await any_house.call(recording_path=None, ended_reason="worker_lost", status="failed")
    sound(any_house.archive.local(id))
    await any_house.archive.round()
    assert (await row(any_house.database, id)).recording_path == wav_key(id)
    assert await any_house.archive.store.has(wav_key(id))


async def test_deleted_everywhere(any_house: House):
    id = await any_house.call()
    sound(any_house.archive.local(id))
    await any_house.archive.round()
    async with any_house.database.reading() as session:
        found = await kept.find(session, id)
    assert found is not None
    await any_house.archive.mp3(found)
    assert await any_house.archive.store.has(mp3_key(id))
    async with any_house.database.writing() as session:
        assert await kept.delete_recording(session, await row(any_house.database, id), "request")
    await any_house.archive.round()
    for key in (wav_key(id), mp3_key(id)):
        assert not await any_house.archive.store.has(key)
    assert not any_house.archive.local(id).exists()
    assert await any_house.settled(id)


async def test_live_and_unanswered_calls_are_left_alone(bucket_house: House):
    live = await bucket_house.call(ended_at=None, status="in_progress", recording_path=None)
    unanswered = await bucket_house.call(answered_at=None, recording_path=None)
    growing = await bucket_house.call()
    for id in (live, growing):
        sound(bucket_house.archive.local(id))
    os.utime(bucket_house.archive.local(growing), (time.time(), time.time()))
    await bucket_house.archive.round()
    for id in (live, unanswered, growing):
        assert not await bucket_house.settled(id)
        assert not await bucket_house.archive.store.has(wav_key(id))


async def test_a_recording_that_is_nowhere(bucket_house: House):
    id = await bucket_house.call()
    await bucket_house.archive.round()
    assert (await row(bucket_house.database, id)).recording_path is None
    assert await events(bucket_house.database, id) == [("recording_missing", {})]


async def test_a_crash_between_the_upload_and_the_row(bucket_house: House):
    id = await bucket_house.call()
    local = bucket_house.archive.local(id)
    sound(local)
    with (
        patch.object(kept, "settle", side_effect=SystemExit),
        pytest.raises(SystemExit),
    ):
        await bucket_house.archive.round()
    assert local.exists()
    again = Archive(bucket_house.settings, bucket_house.database)
    await again.round()
    assert await bucket_house.settled(id)
    assert not local.exists()


async def test_a_crash_between_the_row_and_the_local_file(bucket_house: House):
    id = await bucket_house.call()
    local = bucket_house.archive.local(id)
    sound(local)
    with (
        patch.object(Path, "unlink", side_effect=SystemExit),
        pytest.raises(SystemExit),
    ):
        await bucket_house.archive.round()
    assert local.exists()
    assert await bucket_house.settled(id)
    await Archive(bucket_house.settings, bucket_house.database).round()
    assert not local.exists()
    assert await bucket_house.archive.store.has(wav_key(id))


async def test_deleted_while_it_was_uploaded(bucket_house: House):
    id = await bucket_house.call()
    sound(bucket_house.archive.local(id))
    put = Store.put

    async def and_deleted(store: Store, key: str, file: Path) -> None:
        await put(store, key, file)
        async with bucket_house.database.writing() as session:
            call = await session.get(CallRow, id)
            assert call is not None
            await kept.delete_recording(session, call, "request")

    with patch.object(Store, "put", and_deleted):
        await bucket_house.archive.round()
    await bucket_house.archive.round()
    assert not await bucket_house.archive.store.has(wav_key(id))
    assert not bucket_house.archive.local(id).exists()
    assert (await row(bucket_house.database, id)).recording_path is None


async def test_a_store_that_fails_keeps_no_secret_in_its_words(bucket_house: House):
    id = await bucket_house.call()
    sound(bucket_house.archive.local(id))
    settings = settings_for(
        bucket_house.settings.data_dir,
        storage_url="s3://nowhere",
        s3_endpoint_url="http://127.0.0.1:9",
        s3_access_key_id="who",
        s3_secret_access_key="hush",
    )
    away = Archive(settings, bucket_house.database)
    assert await away.round(), "it says that the store failed"
    with pytest.raises(StoreFailed, match="nowhere failed") as failed:
        await away.store.has(wav_key(id))
    assert "hush" not in str(failed.value)
    assert len(str(failed.value)) < 300
    assert not await bucket_house.archive.round()
    assert await bucket_house.settled(id)


# --- retention ------------------------------------------------------------------------------


async def test_retention(any_house: House):
    database = any_house.database
    old = utcnow() - timedelta(days=31)
    aged = [await any_house.call(ended_at=old, analysis={"summary": "x"}) for _ in range(25)]
    young = await any_house.call()
    for id in (*aged, young):
        sound(any_house.archive.local(id), 0.01)
    async with database.writing() as session:
        session.add(
            CallEvent(
                organization_id=any_house.organization_id,
                call_id=aged[0],
                seq=1,
                at_ms=1200,
                kind="tool_called",
                data={"turn": 1, "name": "book", "arguments": '{"who": "Zoë"}', "text": "Zoë"},
            )
        )
    await any_house.archive.round()
    assert await keep_to_rules(database, Secrets.of(any_house.settings)) == (0, 0), (
        "without a rule everything is kept"
    )
    async with database.writing() as session:
        await session.execute(
            sa.update(Organization).values(
                recording_retention_days=30, transcript_retention_days=30
            )
        )
    assert await keep_to_rules(database, Secrets.of(any_house.settings)) == (25, 25)
    assert await keep_to_rules(database, Secrets.of(any_house.settings)) == (0, 0)
    await any_house.archive.round()
    for id in aged:
        call = await row(database, id)
        assert call.transcript is call.analysis is call.recording_path is None
        assert not await any_house.archive.store.has(wav_key(id))
    assert await events(database, aged[0]) == [
        ("tool_called", {"turn": 1, "name": "book"}),
        ("recording_deleted", {"by": "retention"}),
        ("transcript_deleted", {"by": "retention"}),
    ]
    kept_call = await row(database, young)
    assert kept_call.transcript
    assert await any_house.archive.store.has(wav_key(young))


async def test_retention_goes_on_where_it_was_interrupted(bucket_house: House):
    old = utcnow() - timedelta(days=2)
    for _ in range(45):
        await bucket_house.call(ended_at=old)
    async with bucket_house.database.writing() as session:
        await session.execute(sa.update(Organization).values(transcript_retention_days=1))
    delete, done = kept.delete_texts, 0
    secrets = Secrets.of(bucket_house.settings)

    async def dies(*args: Any) -> bool:
        nonlocal done
        done += 1
        if done > 30:
            raise SystemExit
        return await delete(*args)

    with patch.object(kept, "delete_texts", dies), pytest.raises(SystemExit):
        await keep_to_rules(bucket_house.database, secrets)
    assert (await keep_to_rules(bucket_house.database, secrets))[1] == 25, (
        "one batch of 20 was done"
    )


async def test_a_store_that_cannot_be_used_is_told_of_before_the_first_call(
    tmp_path: Path, bucket: dict[str, Any]
):
    wrong = settings_for(tmp_path, **{**bucket, "storage_url": "s3://no-such-bucket"})
    async with running(wrong) as api:
        archive: Archive = api.app.state.archive
        look = archive._check  # pyright: ignore[reportPrivateUsage]  what `run` begins with
        assert not await look()
        ready = await api.get("/readyz")
        # Calls can be held: their recordings wait here.
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert "s3://no-such-bucket" in ready.json()["storage"]
        assert httpx.put(f"{bucket['s3_endpoint_url']}/no-such-bucket").status_code == 200
        assert await look()
        assert (await api.get("/readyz")).json()["storage"] == "ok"


def test_doctor_tries_the_store(tmp_path: Path, bucket: dict[str, Any]):
    async def found(**changes: str) -> list[str]:
        settings = settings_for(tmp_path, **{**bucket, **changes})
        return [finding.state for finding in await _storage(settings)]

    assert asyncio.run(found()) == ["ok"]
    assert asyncio.run(found(storage_url="s3://nobody-made-this")) == ["problem"]
