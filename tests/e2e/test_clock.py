"""The wall clock of a live server goes an hour ahead, and is set right while people talk, or while
a webhook waits for its next try."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.e2e.test_after_call import CALLER, over
from tests.soak.afterwards import Afterwards
from tests.soak.rig import OURS, Rig, environment

from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, Step, Wait

SOURCE = Path(__file__).with_name("stepping_clock.c")
HOUR_S = 3600


class SteppingClock:
    """Of whatever process is started with `env`, and its children."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("a clock can be stepped on Linux, with a C compiler")
        library = folder / "stepping_clock.so"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)]
        subprocess.run(command, check=True)
        self._wrong = folder / "wrong_s"
        self.set(0)
        self.env = {"LD_PRELOAD": str(library), "STEPPING_CLOCK": str(self._wrong)}

    def set(self, wrong_s: int) -> None:
        # In place: the processes have the file mapped.
        with self._wrong.open("r+b" if self._wrong.exists() else "xb") as file:
            file.write(wrong_s.to_bytes(8, sys.byteorder, signed=True))


@pytest.mark.timeout(180)
async def test_a_clock_that_is_set_back_an_hour_changes_no_call(tmp_path: Path):
    clock = SteppingClock(tmp_path)
    clock.set(HOUR_S)
    async with client.running() as carrier, Afterwards(tmp_path) as afterwards:
        env = environment(carrier, None) | afterwards.env | clock.env
        rig = Rig(carrier, tmp_path, env, None)
        await rig.start()
        try:
            await rig.prepare(**afterwards.agent)
            await afterwards.top_up(rig)
            talk: list[Step] = [Wait(ms=3_000), Say(sound="tone"), Wait(ms=3_000), HangUp()]
            at_carrier = await carrier.call(OURS, CALLER, Person(steps=talk))
            await at_carrier.wait("stream.started", 30)
            [call] = await rig.calls()
            ahead_s = _seconds_ahead(call["startedAt"])
            assert ahead_s > HOUR_S - 60, "the server does not see the clock of the test"
            clock.set(0)
            call = await over(rig)
            assert abs(_seconds_ahead(call["endedAt"])) < 60
            assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
            assert 6 <= call["durationSeconds"] <= 12
            assert "user" in [line["role"] for line in call["transcript"]]
            async with asyncio.timeout(20):
                while not afterwards.news:
                    await asyncio.sleep(0.1)
            assert await afterwards.problems(rig) == []
        finally:
            await rig.stop()


@pytest.mark.timeout(180)
async def test_a_clock_that_is_set_back_an_hour_makes_no_webhook_late(tmp_path: Path):
    clock = SteppingClock(tmp_path)
    clock.set(HOUR_S)
    async with client.running() as carrier, Afterwards(tmp_path, refused=1) as afterwards:
        env = environment(carrier, None) | afterwards.env | clock.env
        rig = Rig(carrier, tmp_path, env, None)
        await rig.start()
        try:
            await rig.prepare(**afterwards.agent)
            await afterwards.top_up(rig)
            assert await rig.place(CALLER, Person(answer="busy", ring_ms=0))
            async with asyncio.timeout(30):
                while not afterwards.answered:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            [(due_at,)] = await rig.rows("SELECT due_at FROM webhook_deliveries")
            assert _seconds_ahead(due_at) > HOUR_S - 60
            clock.set(0)
            # The second try comes five seconds after the first.
            async with asyncio.timeout(15):
                while len(afterwards.news) < 2:
                    await asyncio.sleep(0.1)
        finally:
            await rig.stop()
    first, second = afterwards.news
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    sent_at = [int(asked.headers["webhook-timestamp"]) for asked in (first, second)]
    assert HOUR_S - 30 < sent_at[0] - sent_at[1] < HOUR_S


def _seconds_ahead(time: str) -> float:
    at = datetime.fromisoformat(time)
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
