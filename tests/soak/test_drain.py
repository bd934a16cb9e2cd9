"""A server that is told to stop while people talk: what it says first, what it still takes, and
when the calls end."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest
from tests.soak.rig import OURS, Rig, environment

from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, Step, Wait

NOTICE_S, DRAIN_S = 2, 8


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_it_says_so_first_takes_no_call_and_ends_what_is_left(tmp_path: Path):
    async with client.running() as carrier:
        env = environment(carrier, None)
        env |= {"CHORUS_STOP_NOTICE_SECONDS": str(NOTICE_S), "CHORUS_DRAIN_SECONDS": str(DRAIN_S)}
        rig = Rig(carrier, tmp_path, env, None)
        await rig.start()
        await rig.prepare()
        assert rig.server is not None
        said: list[Step] = [Say(sound="tone", ms=400), Wait(ms=2500), HangUp()]
        ends, stays = (
            await carrier.call(OURS, "+15550000001", Person(steps=said)),
            await carrier.call(OURS, "+15550000002", Person(steps=[Wait(ms=90_000), HangUp()])),
        )
        for call in (ends, stays):
            await call.wait("agent.speaks", 40)
        async with rig.http() as http:
            rig.server.process.send_signal(signal.SIGTERM)
            told_at = time.monotonic()
            while (await http.get("/readyz")).status_code == 200:
                assert time.monotonic() - told_at < NOTICE_S
            noticed_s = time.monotonic() - told_at
            await asyncio.sleep(max(0.0, told_at + NOTICE_S + 0.5 - time.monotonic()))
        late = await carrier.call(OURS, "+15550000003", Person(steps=[Wait(ms=60_000), HangUp()]))
        await late.wait("call.over", 40)
        status = await asyncio.to_thread(rig.server.process.wait, 60)
        took_s = time.monotonic() - told_at
        await stays.wait("call.over", 10)
        rows = await rig.rows("SELECT customer_number, ended_reason, ended_detail FROM calls")
    with pytest.raises(httpx.ConnectError):
        httpx.get(rig.server.url)
    found = {number: (reason, detail) for number, reason, detail in rows}
    print(f"\n/readyz after {1000 * noticed_s:.0f} ms, gone after {took_s:.1f} s: {found}")
    assert status == 0
    assert found["+15550000001"][0] in ("caller_ended", "customer_ended")
    assert found["+15550000002"] == ("worker_lost", "the server was stopped")
    assert "agent.speaks" not in {event["kind"] for event in late.events()}
    assert NOTICE_S + DRAIN_S <= took_s < NOTICE_S + DRAIN_S + 15
