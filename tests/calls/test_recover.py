"""Calls that nobody holds any more: ended, never dialled again, and no other is touched."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import parties, stored
from tests.calls.test_room import board, rows, waiting
from tests.fakes.api import Api

from chorus.calls import journal, lost, recover
from chorus.calls.recover import Keeper, end_own_calls, let_go
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.durable.heartbeat import DEAD_AFTER_S, Heartbeat
from chorus.durable.identity import Identity
from chorus.durable.pulse import Stillness
from chorus.lines.carrier import CarrierFailed
from chorus.lines.desk import Connection
from chorus.talk.timeline import Happening

DIALLED = {"direction": "outbound", "status": "queued", "dialled_at": utcnow()}
RINGS = {"direction": "outbound", "status": "ringing", "dialled_at": utcnow(), "call_sid": "CA1"}
COMES = {"direction": "inbound", "status": "ringing"}
TALKS = {"direction": "inbound", "status": "in_progress", "answered_at": utcnow()}
WAITS = {"direction": "outbound", "status": "queued"}


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def keeper(api: Api, monkeypatch: pytest.MonkeyPatch) -> tuple[Keeper, Time]:
    """One that counts another time, and takes over no durable work: there is none here."""
    time = Time()
    made = Keeper(board(api))
    for name in ("_unheld", "_silent"):
        monkeypatch.setattr(made, name, Stillness[uuid.UUID](2 * recover.ROUND_S, time))
    monkeypatch.setattr(board(api).heartbeat, "_others", Stillness[str](2 * recover.ROUND_S, time))

    async def take_over(name: str) -> None:
        taken.append(name)

    taken: list[str] = []
    monkeypatch.setattr(board(api).durable, "take_over", take_over)
    return made, time


async def rounds(made: Keeper, time: Time, seconds: float) -> None:
    for _ in range(int(seconds / recover.ROUND_S)):
        time.now += recover.ROUND_S
        await made.round()


async def ends(api: Api, ids: list[uuid.UUID]) -> list[tuple[str, str | None]]:
    async with api.process.database.reading() as session:
        found = {call.id: call for call in await session.scalars(sa.select(CallRow))}
    return [(found[id].status, found[id].ended_reason) for id in ids]


def held_by(name: str, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**call, "lease_owner": name} for call in calls]


async def detail(api: Api, id: uuid.UUID) -> str:
    """What the API says of why a call ended."""
    return (await api.get(f"/v1/calls/{id}")).json()["data"]["endedDetail"]


async def test_what_a_process_without_the_work_leaves_to_others(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    """It ends a dead one's calls; its durable work is for whoever can go on with it."""
    api = sqlite_api
    await Heartbeat(api.process.database, "dead").start()
    theirs = await stored(api, *held_by("dead", TALKS))
    made, time = keeper(api, monkeypatch)
    only_media = dataclasses.replace(board(api).settings, roles=("api", "media"))
    monkeypatch.setattr(board(api), "settings", only_media)
    await rounds(made, time, DEAD_AFTER_S + 2 * recover.ROUND_S)
    assert await ends(api, theirs) == [LOST]
    assert await board(api).heartbeat.dead() == ["dead"]


LOST = ("failed", "worker_lost")


async def test_what_a_process_held_before_it_was_started_again(api: Api):
    me = board(api).heartbeat.name
    mine = await stored(api, *held_by(me, DIALLED, RINGS, COMES, TALKS))
    others = await stored(api, *held_by("other", DIALLED, TALKS), WAITS)
    assert await end_own_calls(board(api)) == 4
    assert await ends(api, mine) == [LOST] * 4
    assert "started again" in await detail(api, mine[0])
    assert [status for status, _ in await ends(api, others)] == ["queued", "in_progress", "queued"]
    assert await end_own_calls(board(api)) == 0


async def test_what_a_dead_process_held(api: Api, monkeypatch: pytest.MonkeyPatch):
    await Heartbeat(api.process.database, "dead").start()
    theirs = await stored(api, *held_by("dead", DIALLED, RINGS, COMES, TALKS))
    waits = await stored(api, WAITS)
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, DEAD_AFTER_S)
    assert LOST not in await ends(api, theirs)
    await rounds(made, time, 2 * recover.ROUND_S)
    assert await ends(api, theirs) == [LOST] * 4
    assert "the server that held the call died" in await detail(api, theirs[0])
    assert await ends(api, waits) == [("queued", None)]
    async with api.process.database.reading() as session:
        calls = await session.scalars(sa.select(CallRow).where(CallRow.id.in_(theirs)))
        assert {(call.lease_owner, call.ended_at is None) for call in calls} == {(None, False)}


async def test_what_a_dead_process_of_the_same_machine_held(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    """Its lock went with it, so nobody waits for its heartbeat."""
    beside = Identity.take(board(api).settings.data_dir)
    await Heartbeat(api.process.database, beside.name).start()
    theirs = await stored(api, *held_by(beside.name, DIALLED, TALKS))
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.ROUND_S)
    assert LOST not in await ends(api, theirs)
    beside.release()
    await rounds(made, time, recover.ROUND_S)
    assert await ends(api, theirs) == [LOST] * 2
    assert board(api).heartbeat.others == [beside.name]
    assert await board(api).heartbeat.dead() == []  # struck out


class Hangs:
    """In place of a carrier that fails at first: which legs it was asked to end."""

    def __init__(self) -> None:
        self.legs: list[str] = []

    async def end(self, connection: Connection, leg_id: str) -> None:
        self.legs.append(leg_id)
        if len(self.legs) == 1:
            raise CarrierFailed("not now")


async def test_what_was_said_is_kept_and_the_leg_hung_up(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    carrier = Hangs()
    monkeypatch.setitem(board(api).carriers, "twilio", carrier)
    wish = await parties(api)
    number_id = uuid.UUID(wish["phoneNumberId"])
    call = {**TALKS, "call_sid": "CA7", "phone_number_id": number_id}
    [id] = await stored(api, *held_by("forgotten", call))
    said = [
        Happening(0, "answered", {"transcriber": "simulated"}),
        Happening(900, "reply_heard", {"turn": None, "heard": "Good day.", "heardMs": 900}),
        Happening(2000, "turn_committed", {"turn": 1, "text": "I want"}),
        Happening(2500, "reply_heard", {"turn": 1, "heard": "", "heardMs": 90}),
        Happening(3000, "turn_committed", {"turn": 2, "text": "a table."}),
        Happening(4600, "speech_started", {"turn": 3}),
    ]
    async with api.process.database.writing() as session:
        await journal.write(session, id, await api.organization_id(), said)
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.ROUND_S)
    shown = (await api.get(f"/v1/calls/{id}")).json()["data"]
    assert (shown["endedReason"], shown["durationSeconds"]) == ("worker_lost", 5)
    assert shown["transcript"] == [
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": "I want a table."},
    ]
    # As durable work: the process that has seen to the call may be killed in the next moment.
    assert carrier.legs == []
    assert await waiting(api, "end_leg") == [f"end_leg:{id}"]
    await lost.end_leg(board(api), str(id))
    assert "may go on: not now" in caplog.text
    await lost.end_leg(board(api), str(id))
    assert carrier.legs == ["CA7", "CA7"]


async def test_a_process_that_lives_keeps_its_calls(api: Api, monkeypatch: pytest.MonkeyPatch):
    other = Heartbeat(api.process.database, "other")
    await other.start()
    theirs = await stored(api, *held_by("other", TALKS))
    made, time = keeper(api, monkeypatch)
    for _ in range(30):
        await other.beat()
        await rounds(made, time, recover.ROUND_S)
    assert await ends(api, theirs) == [("in_progress", None)]


async def test_an_owner_that_nobody_knows(api: Api, monkeypatch: pytest.MonkeyPatch):
    lost = await stored(api, *held_by("forgotten", TALKS, RINGS), TALKS)
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.ROUND_S)
    assert await ends(api, lost) == [LOST] * 3


async def test_a_call_that_should_be_here_and_is_not(api: Api, monkeypatch: pytest.MonkeyPatch):
    me = board(api).heartbeat.name
    broken, sound = await stored(api, *held_by(me, TALKS, TALKS))
    monkeypatch.setitem(board(api).live, sound, object())
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.UNHELD_S)
    assert await ends(api, [broken, sound]) == [("in_progress", None)] * 2
    await rounds(made, time, 2 * recover.ROUND_S)
    assert await ends(api, [broken, sound]) == [LOST, ("in_progress", None)]
    assert "the log says which" in await detail(api, broken)


async def test_a_call_of_which_the_carrier_says_nothing(api: Api, monkeypatch: pytest.MonkeyPatch):
    me = board(api).heartbeat.name
    silent = await stored(api, *held_by(me, DIALLED, RINGS, COMES), RINGS)
    waits = await stored(api, WAITS)
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.SILENT_S)
    assert [status for status, _ in await ends(api, silent)] == [
        "queued",
        "ringing",
        "ringing",
        "ringing",
    ]
    await rounds(made, time, 2 * recover.ROUND_S)
    assert await ends(api, silent) == [("failed", "provider_error")] * 4
    details = {call.ended_detail for call in await rows(api) if call.direction == "inbound"}
    assert len(details) == 1
    assert "its audio never reached this server" in str(details)
    assert await ends(api, waits) == [("queued", None)]


async def test_a_process_that_stops_in_order_lets_go_of_what_rings(api: Api):
    me = board(api).heartbeat.name
    calls = await stored(api, *held_by(me, RINGS, DIALLED, TALKS), *held_by("other", RINGS))
    await let_go(board(api))
    async with api.process.database.reading() as session:
        found = {call.id: call.lease_owner for call in await session.scalars(sa.select(CallRow))}
    assert [found[id] for id in calls] == [None, me, me, "other"]
    # What rings lives on when it is back.
    await end_own_calls(board(api))
    assert [status for status, _ in await ends(api, calls)] == [
        "ringing",
        "failed",
        "failed",
        "ringing",
    ]


async def test_one_that_was_given_up_for_dead_ends_its_calls(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    class Live:
        ended: tuple[str, str] | None = None

        def hang_up(self, reason: str, detail: str) -> None:
            self.ended = (reason, detail)

    live = Live()
    monkeypatch.setitem(board(api).live, uuid.uuid4(), live)
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.ROUND_S)
    assert live.ended is None
    await board(api).heartbeat.stop()
    await rounds(made, time, recover.ROUND_S)
    assert live.ended == ("worker_lost", "the server lost its lease")


async def test_wall_clocks_end_no_call(api: Api, monkeypatch: pytest.MonkeyPatch):
    """Set an hour back or a day forward in mid-call: everybody's calls live on."""
    from datetime import datetime, timedelta

    from chorus import clock

    real = clock.SystemClock.utcnow
    steps: list[timedelta] = []

    def stepped(self: clock.SystemClock) -> datetime:
        return real(self) + sum(steps, timedelta())

    monkeypatch.setattr(clock.SystemClock, "utcnow", stepped)
    me = board(api).heartbeat.name
    other = Heartbeat(api.process.database, "other")
    await other.start()
    calls = await stored(api, *held_by("other", TALKS, RINGS), *held_by(me, TALKS, COMES))
    monkeypatch.setitem(board(api).live, calls[2], object())
    made, time = keeper(api, monkeypatch)
    for step in (timedelta(hours=-1), timedelta(days=1)):
        steps.append(step)
        for _ in range(8):
            await other.beat()
            await rounds(made, time, recover.ROUND_S)
    assert [status for status, _ in await ends(api, calls)] == [
        "in_progress",
        "ringing",
        "in_progress",
        "ringing",
    ]
