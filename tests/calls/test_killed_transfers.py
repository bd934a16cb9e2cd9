"""The server is killed in the middle of a transfer, and started again: whom the carrier has
connected talk on, nobody else is left there, and what it cost is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from tests.calls.test_live_calls import post, servers
from tests.calls.test_live_transfers import (
    TAKES,
    call,
    ended,
    released,
    talking,
    to,
    transferred,
    until,
)
from tests.soak.rig import ACCOUNT, TOKEN, Rig

from chorus.demo.carrier.client import CarrierCall
from chorus.demo.carrier.person import HangUp, Person, Press

STAYS = 600_000


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_process_that_is_killed_leaves_nobody_alone_and_nothing_open(
    tmp_path: Path, database_url: str
):
    """One server, killed in each state of a transfer, and started again."""
    on_postgres = database_url.startswith("postgresql")
    plain = database_url.replace("+psycopg", "") if on_postgres else None
    async with servers(tmp_path, plain, 1) as [rig]:
        await killed_while_bridging(rig, "ringing", Person(ring_ms=60_000))
        await killed_while_bridging(rig, "briefing", Person(ring_ms=50))
        await killed_while_bridging(rig, "connected", Person(ring_ms=50, steps=[Press(digits="1")]))
        await killed_while_the_carrier_rings(rig)
        await killed_before_somebody_answers(rig)
        await killed_after_somebody_answered(rig)
        await killed_until_the_two_have_parted(rig)
        await killed_while_one_waits_in_the_conference(rig)
        await killed_before_it_knows_that_both_are_there(rig)
        await killed_after_the_release(rig)
        open_rows = await rig.rows("SELECT count(*) FROM transfers WHERE ended_at IS NULL")
        assert open_rows == [(0,)]
        assert await rig.rows("SELECT count(*) FROM calls WHERE ended_at IS NULL") == [(0,)]


async def killed(rig: Rig) -> None:
    rig.kill()
    await rig.start()


async def over(*calls: CarrierCall) -> None:
    """Nobody is there any more."""
    async with asyncio.timeout(20):
        for each in calls:
            while (await each.look())["status"] in ("ringing", "in-progress"):
                await asyncio.sleep(0.1)


async def told_and_counted(rig: Rig, *ids: str) -> None:
    """The carrier has said of released calls what they lasted, and the ledger has it."""
    for id in ids:
        [said] = await until(rig, id, "released_over", only=True)
        async with asyncio.timeout(20):
            while await counted(rig, id) != -(-said["data"]["durationSeconds"] // 60) * 60:
                await asyncio.sleep(0.1)
        shown = await call(rig, id)
        assert (shown["status"], shown["endedReason"]) == ("completed", "transferred")


async def counted(rig: Rig, id: str) -> int:
    """Seconds of telephony in the ledger: whole minutes, as the carrier counts."""
    async with rig.http() as http:
        lines = (await http.get(f"/v1/ledger?callId={id}&meter=telephony")).json()["data"]
    return sum(line["quantity"] for line in lines)


async def killed_while_bridging(rig: Rig, state: str, person: Person) -> None:
    id, caller = await transferred(rig, person, to("warm"))
    await until(rig, id, f"transfer_{state}")
    [leg] = (await call(rig, id))["transferCalls"]
    await killed(rig)
    shown = await ended(rig, id)
    assert (shown["status"], shown["endedReason"]) == ("failed", "worker_lost")
    [lost] = shown["transferCalls"]
    second = await call(rig, leg["id"])
    assert second["endedReason"] == "worker_lost"
    expected = "completed" if state == "connected" else "cancelled"
    assert (shown["transferStatus"], lost["transferStatus"]) == (expected, expected)
    await over(caller, rig.carrier.placed(second["callSid"]))


async def killed_while_the_carrier_rings(rig: Rig) -> None:
    wish = to("cold", merge="release", ringTimeoutSeconds=120)
    id, caller = await transferred(rig, Person(ring_ms=110_000), wish)
    await until(rig, id, "transfer_ringing")
    await caller.wait("call.dialled", 20)
    await killed(rig)
    shown = await ended(rig, id)
    assert (shown["status"], shown["endedReason"]) == ("failed", "worker_lost")
    assert shown["transferStatus"] == "cancelled"
    await over(caller)
    assert not caller.events("call.connected")


async def killed_before_somebody_answers(rig: Rig) -> None:
    """Who answers while no server is there has the caller, and keeps them."""
    person = Person(ring_ms=5000, dialled_ms=STAYS)
    id, caller = await transferred(rig, person, to("cold", merge="release"))
    await until(rig, id, "transfer_ringing")
    rig.kill()
    connected = await caller.wait("call.connected", 20)
    await rig.start()
    await they_talk_on(rig, id, caller)
    await leaves(rig, connected["callee"])
    await told_and_counted(rig, id)


async def killed_after_somebody_answered(rig: Rig) -> None:
    person = Person(dialled_ms=STAYS)
    id, caller = await transferred(rig, person, to("cold", merge="release"))
    connected = await caller.wait("call.connected", 20)
    await ended(rig, id)
    await killed(rig)
    await they_talk_on(rig, id, caller)
    await leaves(rig, connected["callee"])
    await told_and_counted(rig, id)


async def killed_until_the_two_have_parted(rig: Rig) -> None:
    """Nobody was told of anything, so the carrier is asked for it all."""
    person = Person(ring_ms=5000, dialled_ms=2000)
    id, caller = await transferred(rig, person, to("cold", merge="release"))
    await until(rig, id, "transfer_ringing")
    rig.kill()
    await caller.wait("call.connected", 20)
    await caller.wait("call.over", 20)
    await rig.start()
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    await told_and_counted(rig, id)


async def they_talk_on(rig: Rig, id: str, caller: CarrierCall) -> None:
    """The carrier has the caller of a cold transfer, and is not asked to end that."""
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    assert (await caller.look())["status"] == "in-progress"
    assert not caller.events("call.ended_by_api")


async def leaves(rig: Rig, sid: str) -> None:
    """Who is not called by Chorus hangs up."""
    url = f"{rig.carrier.url}/2010-04-01/Accounts/{ACCOUNT}/Calls/{sid}.json"
    async with httpx.AsyncClient(auth=(ACCOUNT, TOKEN)) as http:
        assert (await http.post(url, data={"Status": "completed"})).status_code == 200


async def joining(rig: Rig, *, done: bool) -> tuple[str, str, CarrierCall, CarrierCall]:
    """A call and its second call, caller and person: the person is in the carrier's conference,
    and the carrier takes its time to say that the caller was sent there; `done`: they were."""
    id, caller = await talking(rig)
    wish = to("warm", merge="release")
    await rig.carrier.expect(wish["to"]["number"], TAKES)
    # It is asked to call the person, to move them, and then to move the caller.
    await rig.carrier.fault(delay_s=60, after=2, done=done)
    assert (await post(rig, f"{id}/transfer", wish)).status_code == 202
    await until(rig, id, "transfer_connected")
    [leg] = (await call(rig, id))["transferCalls"]
    person = rig.carrier.placed((await call(rig, leg["id"]))["callSid"])
    await person.wait("conference.joined", 20)
    if done:
        await caller.wait("conference.joined", 20)
    return id, leg["id"], caller, person


async def killed_while_one_waits_in_the_conference(rig: Rig) -> None:
    id, leg_id, caller, person = await joining(rig, done=False)
    await killed(rig)
    shown = await ended(rig, id)
    assert (shown["status"], shown["endedReason"]) == ("failed", "worker_lost")
    assert "was to connect the caller" in shown["endedDetail"]
    assert (await call(rig, leg_id))["endedReason"] == "worker_lost"
    await over(caller, person)
    assert person.events("call.ended_by_api")


async def killed_before_it_knows_that_both_are_there(rig: Rig) -> None:
    id, leg_id, caller, person = await joining(rig, done=True)
    await killed(rig)
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    assert (await call(rig, leg_id))["endedReason"] == "transferred"
    for each in (caller, person):
        assert (await each.look())["status"] == "in-progress"
    await person.do(HangUp())
    await told_and_counted(rig, id, leg_id)


async def killed_after_the_release(rig: Rig) -> None:
    """The carrier has the two; what comes of them is told to whoever is there by then."""
    id, leg_id, person = await released(rig)
    await ended(rig, id)
    await killed(rig)
    assert (await person.look())["status"] == "in-progress"
    await person.do(HangUp())
    await told_and_counted(rig, id, leg_id)
