"""Hearing and reading by link: in whole, in part, from a folder and from a bucket."""

from __future__ import annotations

import asyncio
import uuid
from base64 import b64decode
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.recordings.kept_calls import WORDS, call, events, recorded, row, sound

from chorus.recordings import archive as archives
from chorus.recordings.archive import Archive
from chorus.recordings.links import Links


async def call_of(api: Api, id: uuid.UUID) -> dict[str, Any]:
    return (await api.get(f"/v1/calls/{id}")).json()["data"]


async def link_of(api: Api, id: uuid.UUID, kind: str = "recording") -> str:
    """Without the server, which is not there."""
    return (await call_of(api, id))[f"{kind}Url"].removeprefix("http://127.0.0.1:8000")


async def test_a_recording_is_heard_by_its_link(api: Api):
    id, data = await recorded(api)
    link = await link_of(api, id)
    [listed] = (await api.get("/v1/calls")).json()["data"]
    assert listed["recordingUrl"].endswith(link)
    stranger = api.client_with(None)
    whole = await stranger.get(link)
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-type"] == "audio/wav"
    assert whole.headers["content-disposition"] == f'inline; filename="{id}.wav"'
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["cache-control"].startswith("private, no-transform, max-age=")
    head = await stranger.head(link)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(data))


async def test_parts_of_a_recording(sqlite_api: Api):
    id, data = await recorded(sqlite_api)
    link, etag = await link_of(sqlite_api, id), ""
    for asked, status, expected in (
        ("bytes=0-3", 206, data[:4]),
        ("bytes=44-", 206, data[44:]),
        ("bytes=-10", 206, data[-10:]),
        (f"bytes={len(data)}-", 416, b""),
    ):
        part = await sqlite_api.get(link, headers={"range": asked})
        assert (part.status_code, part.content) == (status, expected), asked
        etag = part.headers.get("etag", etag)
    asked = {"range": "bytes=0-3", "if-range": etag}
    assert (await sqlite_api.get(link, headers=asked)).status_code == 206
    asked["if-range"] = '"another"'
    assert (await sqlite_api.get(link, headers=asked)).content == data


async def test_with_an_api_key_one_is_sent_to_the_link(sqlite_api: Api):
    id, data = await recorded(sqlite_api)
    for form, start in (("wav", data[:4]), ("mp3", None)):
        sent = await sqlite_api.get(f"/v1/calls/{id}/recording?format={form}")
        assert sent.status_code == 307
        heard = await sqlite_api.client_with(None).get(sent.headers["location"])
        assert heard.status_code == 200
        assert start is None or heard.content.startswith(start)
    assert (await sqlite_api.get(f"/v1/calls/{id}/recording?format=ogg")).status_code == 400
    stranger = await sqlite_api.another_organization()
    assert (await stranger.get(f"/v1/calls/{id}/recording")).status_code == 404
    assert (await sqlite_api.client_with(None).get(f"/v1/calls/{id}/recording")).status_code == 401
    without = await call(
        sqlite_api.process.database, await sqlite_api.organization_id(), recording_path=None
    )
    assert (await call_of(sqlite_api, without))["recordingUrl"] is None
    assert (await sqlite_api.get(f"/v1/calls/{without}/recording")).status_code == 404


async def test_forged_and_old_links(sqlite_api: Api):
    id, _ = await recorded(sqlite_api)
    other, _ = await recorded(sqlite_api)
    for kind in ("recording", "transcript"):
        link = await link_of(sqlite_api, id, kind)
        for forged in (
            link.replace(str(id), str(other)),
            link.replace("expires=1", "expires=2"),
            link[:-1] + ("0" if link[-1] != "0" else "1"),
            link.partition("?")[0],
            link.replace(str(id), "../../secret"),
            link.replace(str(id), "x"),
        ):
            refused = await sqlite_api.get(forged)
            assert refused.status_code in (403, 404), forged
            assert refused.json()["code"] in ("link_invalid", "not_found")
            assert refused.json()["requestId"]
        assert (await sqlite_api.get(link.replace(f"{id}.", f"{id}.x"))).status_code == 404

        class Later:
            def utcnow(self) -> datetime:
                return datetime.now(UTC) + timedelta(days=2)

            def monotonic(self) -> float:
                return 0.0

        process = sqlite_api.process
        later = Links(process.settings, process.secrets, Later())
        with patch.dict(vars(process), links=later):
            refused = await sqlite_api.get(link)
        assert (refused.status_code, refused.json()["code"]) == (403, "link_expired")


async def test_a_transcript_is_read_by_its_link(api: Api):
    id, _ = await recorded(api)
    link, stranger = await link_of(api, id, "transcript"), api.client_with(None)
    read = await stranger.get(link)
    assert read.headers["content-type"] == "application/json"
    assert read.json()["callId"] == str(id)
    assert read.json()["transcript"] == WORDS
    text = await stranger.get(link.replace(".json", ".txt"))
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text == "Agent: Good evening.\nCustomer: My name is Zoë.\n"
    assert (await stranger.head(link)).status_code == 200


async def test_an_mp3_is_made_once_for_all_who_ask(sqlite_api: Api):
    id, _ = await recorded(sqlite_api)
    link = (await link_of(sqlite_api, id)).replace(".wav", ".mp3")
    made: list[Path] = []
    encode = archives.wav_to_mp3

    async def counted(wav: Path, mp3: Path) -> None:
        made.append(mp3)
        await asyncio.sleep(0)
        await encode(wav, mp3)

    with patch.object(archives, "wav_to_mp3", counted):
        answers = await asyncio.gather(*(sqlite_api.get(link) for _ in range(5)))
        answers.append(await sqlite_api.get(link))
    assert len(made) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].content[0] == 0xFF
    assert answers[0].headers["content-type"] == "audio/mpeg"
    part = await sqlite_api.get(link, headers={"range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, answers[0].content[2:6])


async def test_what_is_no_sound_has_no_mp3(sqlite_api: Api):
    id, _ = await recorded(sqlite_api)
    archive: Archive = sqlite_api.app.state.archive
    archive.local(id).write_bytes(b"nonsense")
    link = (await link_of(sqlite_api, id)).replace(".wav", ".mp3")
    assert (await sqlite_api.get(link)).json()["code"] == "mp3_not_found"
    archive.local(id).unlink()
    for each in (link, link.replace(".mp3", ".wav")):
        assert (await sqlite_api.get(each)).json()["code"] == "recording_not_found"


async def test_just_after_the_call(sqlite_api: Api):
    """Not settled yet: what is on this disk is heard, the rest is asked to wait."""
    api = sqlite_api
    id = await call(api.process.database, await api.organization_id())
    data = sound(api.app.state.archive.local(id))
    link = await link_of(api, id)
    assert (await api.get(link)).content == data
    waits = await api.get(link.replace(".wav", ".mp3"))
    assert (waits.status_code, waits.headers["retry-after"]) == (503, "5")


async def test_deleting(api: Api):
    id, _ = await recorded(api)
    archive: Archive = api.app.state.archive
    link, text = await link_of(api, id), await link_of(api, id, "transcript")
    assert (await api.get(link.replace(".wav", ".mp3"))).status_code == 200
    stranger = await api.another_organization()
    reader = await api.another_organization(scopes=["read"])
    for thing in ("recording", "transcript"):
        path = f"/v1/calls/{id}/{thing}"
        assert (await stranger.delete(path)).status_code == 404
        assert (await reader.delete(path)).status_code == 403
        gone = await api.delete(path)
        assert (gone.status_code, gone.json()) == (200, {"data": {"id": str(id), "deleted": True}})
        assert (await api.delete(path)).status_code == 404
    shown = await call_of(api, id)
    assert shown["recordingUrl"] is shown["transcriptUrl"] is shown["transcript"] is None
    for each in (link, link.replace(".wav", ".mp3"), text):
        assert (await api.get(each)).status_code == 404
    await archive.round()
    assert not list((api.process.settings.data_dir / "recordings").iterdir())
    assert (await row(api.process.database, id)).recording_settled_at is not None
    assert [kind for kind, _ in await events(api.process.database, id)] == [
        "recording_deleted",
        "transcript_deleted",
    ]


async def test_a_live_call_keeps_what_it_has(sqlite_api: Api):
    id = await call(
        sqlite_api.process.database,
        await sqlite_api.organization_id(),
        status="in_progress",
        ended_at=None,
    )
    for thing in ("recording", "transcript"):
        refused = await sqlite_api.delete(f"/v1/calls/{id}/{thing}")
        assert (refused.status_code, refused.json()["code"]) == (409, "call_not_over")


# --- in a bucket ----------------------------------------------------------------------------


@pytest.fixture
async def bucket_api(tmp_path: Path, bucket: dict[str, Any]) -> AsyncGenerator[Api, None]:
    async with running(settings_for(tmp_path, **bucket)) as api:
        yield api


async def test_from_a_bucket(bucket_api: Api):
    id, data = await recorded(bucket_api)
    assert not list((bucket_api.process.settings.data_dir / "recordings").iterdir())
    link = await link_of(bucket_api, id)
    sent = await bucket_api.get(link)
    assert (sent.status_code, sent.headers["cache-control"]) == (307, "no-store")
    assert "hush" not in sent.headers["location"]
    async with httpx.AsyncClient() as client:
        whole = await client.get(sent.headers["location"])
        assert (whole.content, whole.headers["content-type"]) == (data, "audio/wav")
        part = await client.get(sent.headers["location"], headers={"range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, data[4:8])
        head = await client.head((await bucket_api.client.head(link)).headers["location"])
        assert head.headers["content-length"] == str(len(data))
        answers = await asyncio.gather(
            *(bucket_api.get(link.replace(".wav", ".mp3")) for _ in range(3))
        )
        heard = await client.get(answers[0].headers["location"])
        assert (heard.content[0], heard.headers["content-type"]) == (0xFF, "audio/mpeg")
        assert (await bucket_api.delete(f"/v1/calls/{id}/recording")).status_code == 200
        archive: Archive = bucket_api.app.state.archive
        assert not await archive.round()
        assert (await client.get(sent.headers["location"])).status_code == 404
        assert (await client.get(answers[0].headers["location"])).status_code == 404


async def test_a_bucket_that_is_away(tmp_path: Path, bucket: dict[str, Any]):
    away = {**bucket, "s3_endpoint_url": "http://127.0.0.1:9"}
    async with running(settings_for(tmp_path, **away)) as api:
        id = await call(api.process.database, await api.organization_id())
        archive: Archive = api.app.state.archive
        data = sound(archive.local(id))
        assert await archive.round(), "the store failed"
        link = await link_of(api, id)
        assert (await api.get(link)).content == data, "it is still on this disk"


async def test_the_shape_of_a_recording(api: Api):
    id, _ = await recorded(api)
    for _ in range(2):  # made, and kept
        answer = await api.get(f"/v1/calls/{id}/peaks")
        assert answer.status_code == 200, answer.text
        shape = answer.json()["data"]
        assert shape["durationMs"] == 500
        for side in ("caller", "agent"):
            loudness = b64decode(shape[side])
            assert len(loudness) == 0.5 * shape["perSecond"]
            assert min(loudness) > 128  # noise is nowhere silent
    unrecorded = await call(api.process.database, await api.organization_id(), recording_path=None)
    assert (await api.get(f"/v1/calls/{unrecorded}/peaks")).status_code == 404
    other = await api.another_organization()
    assert (await other.get(f"/v1/calls/{id}/peaks")).status_code == 404
