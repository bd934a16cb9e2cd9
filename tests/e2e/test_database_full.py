"""The disk is full altogether, the SQLite database's too, and has room again after the call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.e2e.test_after_call import CALLER, over
from tests.soak.afterwards import Afterwards
from tests.soak.rig import OURS, Rig, environment

from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, Step, Wait


@pytest.mark.timeout(180)
async def test_what_was_said_while_nothing_could_be_written_is_not_lost(tmp_path: Path):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("no limit can be set for another process here")
    async with client.running() as carrier, Afterwards(tmp_path) as afterwards:
        rig = Rig(carrier, tmp_path, environment(carrier, None) | afterwards.env, None)
        await rig.start()
        try:
            await rig.prepare(**afterwards.agent)
            await afterwards.top_up(rig)
            assert rig.server is not None
            pid, no_limit = rig.server.process.pid, resource.RLIM_INFINITY
            talk: list[Step] = [Wait(ms=3_000), Say(sound="tone"), Wait(ms=2_500), HangUp()]
            at_carrier = await carrier.call(OURS, CALLER, Person(steps=talk))
            await at_carrier.wait("agent.speaks", 30)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, no_limit))
            try:
                await at_carrier.wait("call.over", 40)
                await asyncio.sleep(1)
                [call] = await rig.calls()
                assert call["status"] == "in_progress", "the database could be written"
            finally:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (no_limit, no_limit))
            call = await over(rig)
            assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
            assert "user" in [line["role"] for line in call["transcript"]]
            assert await afterwards.problems(rig) == []
        finally:
            await rig.stop()
