"""One installation in two processes: the API and the work in one, the calls in the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.calls.sse import follow
from tests.soak.rig import OURS, Rig, environment, free_port

from chorus.demo.carrier import client
from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import HangUp, Person, Say, Wait, WaitQuiet

pytestmark = pytest.mark.timeout(180)

THEIRS = "+15570000001"
CALLS = Person(
    steps=[WaitQuiet(quiet_ms=300), Say(sound="tone", ms=400), WaitQuiet(), HangUp()],
)


@dataclass
class Pair:
    """`api` serves the API, webhooks of the carrier included, and does the work; `media` holds."""

    api: Rig
    media: Rig
    media_url: str

    async def healthz(self) -> tuple[int, int]:
        """How many calls are talked on in the one and in the other."""
        async with self.api.http() as http, httpx.AsyncClient(base_url=self.media_url) as media:
            found = [(await each.get("/healthz")).json()["calls"] for each in (http, media)]
        return found[0], found[1]

    async def got(self, path: str) -> Any:
        async with self.api.http() as http:
            answer = await http.get(f"/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def event(self, id: str, kind: str, holding: str = "") -> dict[str, Any]:
        """The data of the first event of this kind that holds this text, once there is one."""
        async with asyncio.timeout(20):
            while True:
                for event in await self.got(f"/calls/{id}/events?limit=100"):
                    if event["kind"] == kind and holding in str(event["data"]):
                        return event["data"]
                await asyncio.sleep(0.1)

    async def over(self, id: str) -> dict[str, Any]:
        """The call when it is over and its costs are settled, which the work does."""
        async with asyncio.timeout(30):
            while (call := await self.got(f"/calls/{id}"))["cost"] is None:
                await asyncio.sleep(0.2)
        return call


@asynccontextmanager
async def running(folder: Path, database_url: str) -> AsyncGenerator[tuple[Pair, CarrierClient]]:
    async with client.running() as carrier:
        common = environment(carrier, database_url)
        port = free_port()
        media_url = f"http://127.0.0.1:{port}"
        common |= {
            "CHORUS_PUBLIC_URL": f"http://127.0.0.1:{common['CHORUS_PORT']}",
            "CHORUS_MEDIA_URL": media_url,
        }
        api = Rig(carrier, folder / "api", common | {"CHORUS_ROLE": "api,work"}, database_url)
        env = common | {"CHORUS_ROLE": "media", "CHORUS_PORT": str(port)}
        media = Rig(carrier, folder / "media", env, database_url)
        try:
            await api.start()
            await asyncio.gather(api.prepare(), media.start())
            yield Pair(api, media, media_url), carrier
        finally:
            await media.stop()
            await api.stop()


async def test_a_call_whose_webhooks_stream_and_requests_reach_different_processes(
    tmp_path: Path, postgres_url: str
):
    async with running(tmp_path, postgres_url) as (pair, carrier):
        api = pair.api
        # Out: dialled and held by the one, asked for, reported on and steered through the other.
        person = Person(steps=[Wait(ms=300)], answered_by="machine_end_beep", detect_ms=300)
        assert await api.place(THEIRS, person, detectMachine=True)
        id = api.accepted[THEIRS]
        await carrier.wait("agent.speaks", 30)
        assert await pair.healthz() == (0, 1)
        told = await pair.event(id, "answered_by")
        assert told == {"who": "machine_end_beep", "isMachine": True, "messageEnded": True}
        text = "Please hold the line for a moment."
        for verb, body in (("say", {"text": text}), ("inject", {"text": "Be kind."})):
            answer = await api.post(f"/v1/calls/{id}/{verb}", body)
            assert answer is not None
            assert answer.status_code == 202, answer.text
        assert (await pair.event(id, "operator_said"))["text"] == text
        assert (await pair.event(id, "operator_note"))["text"] == "Be kind."
        await pair.event(id, "reply_heard", text)
        following = asyncio.ensure_future(_kinds(api, id))
        answer = await api.post(f"/v1/calls/{id}/hangup", {"reason": "enough"})
        assert answer is not None
        assert answer.status_code == 202, answer.text
        call = await pair.over(id)
        assert (call["status"], call["endedReason"]) == ("completed", "operator_ended")
        assert (await following)[-1] == "end"

        # In: the webhook reaches the one, the stream the other.
        await carrier.call(OURS, THEIRS, CALLS)
        async with asyncio.timeout(20):
            while not (found := await pair.got("/calls?direction=inbound")):
                await asyncio.sleep(0.1)
        call = await pair.over(found[0]["id"])
        assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
        assert [line["role"] for line in call["transcript"]][:1] == ["assistant"]

        # Each does its own and no more.
        async with api.http() as http, httpx.AsyncClient(base_url=pair.media_url) as media:
            for path in ("/v1/calls", "/dashboard/", "/docs", "/openapi.json"):
                assert (await media.get(path)).status_code == 404, path
            assert set((await media.get("/readyz")).json()) >= {"status", "database", "engines"}
            assert "engines" not in (await http.get("/readyz")).json()


async def _kinds(rig: Rig, id: str) -> list[str]:
    return [event.kind async for event in follow(rig, id)]
