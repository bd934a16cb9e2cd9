"""A server whose engines are not loaded yet: what it says, and what becomes of calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.ringing import rings

from chorus.calls import answer as answering
from chorus.calls.answer import Declined, Taken, answer
from chorus.calls.dispatch import Dispatch
from chorus.calls.switchboard import Switchboard
from chorus.catalogue.engines import EngineRoom
from chorus.lines.jambonz import routes as jambonz
from chorus.lines.telnyx import routes as telnyx
from chorus.lines.twilio import routes as twilio
from chorus.lines.voximplant import routes as voximplant
from chorus.numbers import routing
from chorus.numbers.routing import Route

OURS = "+15550002000"
RUN = Dispatch.run  # the tests' application does without it


@asynccontextmanager
async def loading(folder: Path) -> AsyncGenerator[tuple[Api, asyncio.Event], None]:
    """A server that goes on loading until the event is set."""
    enough = asyncio.Event()

    async def start(room: EngineRoom) -> None:
        await room._load("a large model", enough.wait())  # pyright: ignore[reportPrivateUsage]

    async with running(settings_for(folder), start_engines=start) as api:
        await asyncio.sleep(0)
        yield api, enough


async def route_to_an_agent(api: Api) -> Route:
    agent = await api.made("/v1/agents", {"name": "Ada"})
    number: dict[str, Any] = {"number": OURS, "twilioAccountSid": "AC" + "7" * 32}
    number |= {"twilioAuthToken": "t" * 32, "agentId": agent["id"]}
    await api.made("/v1/phone-numbers", number)
    switchboard: Switchboard = api.app.state.switchboard
    async with switchboard.database.reading() as session:
        (route,) = await routing.of_number(session, "twilio", OURS, switchboard.secrets)
    return route


async def test_it_says_what_it_waits_for_and_serves_the_api_meanwhile(tmp_path: Path):
    async with loading(tmp_path) as (api, enough):
        ready = await api.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["engines"] == "are being loaded: a large model"
        assert (await api.get("/v1/agents")).status_code == 200
        enough.set()
        await api.app.state.switchboard.loaded()
        assert (await api.get("/readyz")).json()["engines"] == "ok"


async def test_a_caller_hears_it_ring_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with loading(tmp_path) as (api, enough):
        switchboard: Switchboard = api.app.state.switchboard
        route = await route_to_an_agent(api)
        call = asyncio.create_task(answer(switchboard, route, rings()))
        await asyncio.wait({call}, timeout=0.05)
        assert not call.done()
        enough.set()
        assert isinstance(await call, Taken)


async def test_and_is_told_that_it_is_busy_if_it_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(answering, "LOADED_WITHIN_S", 0.01)
    async with loading(tmp_path) as (api, _):
        switchboard: Switchboard = api.app.state.switchboard
        route = await route_to_an_agent(api)
        declined = await answer(switchboard, route, rings())
    assert isinstance(declined, Declined)
    assert declined.busy
    assert "loaded" in declined.reason


def test_a_carrier_still_waits_when_it_is_told_so():
    for routes in (twilio, jambonz, voximplant, telnyx):
        assert answering.LOADED_WITHIN_S + 2 <= routes.ANSWER_TIMEOUT_S


async def test_nobody_is_rung_up_to_wait_for_the_engines(tmp_path: Path):
    looked: list[bool] = []

    async def look(self: Dispatch, tasks: asyncio.TaskGroup) -> None:
        looked.append(True)

    async with loading(tmp_path) as (api, enough):
        switchboard: Switchboard = api.app.state.switchboard
        with patch.object(Dispatch, "_look", look):
            dispatching = asyncio.create_task(RUN(Dispatch(switchboard)))
            await asyncio.wait({dispatching}, timeout=0.05)
            assert not looked
            enough.set()
            while not looked:
                await asyncio.sleep(0)
            dispatching.cancel()
            await asyncio.gather(dispatching, return_exceptions=True)
