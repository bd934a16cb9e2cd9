"""The parent of several workers: who is started, told, replaced, and started again.

The workers are small programs that obey the parent and do nothing else; those with calls are in
`tests/soak/test_workers.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chorus import workers
from chorus.settings import Settings, SettingsError
from chorus.workers import Workers

POSTGRES = {"CHORUS_DATABASE_URL": "postgresql://somebody@nowhere/chorus"}

OBEYS = """
import os, socket, sys, time
notes, kind = sys.argv[1:3]
listener, parent = (socket.socket(fileno=int(fd)) for fd in sys.argv[-2:])
def note(text):
    with open(notes, "a") as file:
        file.write(f"{os.getpid()} {text}\\n")
if kind == "broken" or (kind == "aging" and os.path.exists(notes + ".old")):
    sys.exit(3)
note("begun")
while os.path.exists(notes + ".wait"):
    time.sleep(0.01)
note("ready")
parent.send(b"y")
parent.settimeout(0.5)
while True:
    try:
        said = parent.recv(16)
        break
    except TimeoutError:
        parent.send(b"b")
note(said.decode() or "alone")
"""

BLOCKS = """
import asyncio, faulthandler, os, socket, sys, time
from chorus import parent as channel
notes, kind = sys.argv[1:3]
listener, parent = (socket.socket(fileno=int(fd)) for fd in sys.argv[-2:])
parent.setblocking(False)
faulthandler.enable(open(notes + ".stacks", "a"))
channel.BEAT_S = 0.1
def note(text):
    with open(notes, "a") as file:
        file.write(f"{os.getpid()} {text}\\n")
def where_it_stands():
    note("blocks")
    time.sleep(600)
async def main():
    loop = asyncio.get_running_loop()
    beating = asyncio.create_task(channel.beat(parent))
    note("ready")
    parent.send(channel.READY)
    told = loop.create_future()
    loop.add_reader(parent, lambda: told.done() or told.set_result(parent.recv(16)))
    while not told.done():
        await asyncio.sleep(0.02)
        if os.path.exists(notes + f".block.{os.getpid()}"):
            where_it_stands()
    note(told.result().decode())
asyncio.run(main())
"""


@dataclass
class Run:
    notes: Path
    ended: asyncio.Task[int]

    def said(self) -> list[tuple[int, str]]:
        """What each worker noted, in order."""
        if not self.notes.exists():
            return []
        lines = self.notes.read_text().splitlines()
        return [(int(pid), text) for pid, text in (line.split() for line in lines)]

    def of(self, text: str) -> list[int]:
        return [pid for pid, said in self.said() if said == text]

    async def until(self, text: str, count: int) -> list[int]:
        async with asyncio.timeout(20):
            while len(found := self.of(text)) < count:
                await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def running(folder: Path, kind: str = "good", source: str = OBEYS) -> AsyncGenerator[Run]:
    program = folder / "worker.py"
    program.write_text(source)
    notes = folder / "notes"
    settings = Settings.read({**POSTGRES, "CHORUS_WORKERS": "2"})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = (sys.executable, str(program), str(notes), kind)
        parent = Workers(settings, listener, None, command)
        ended = asyncio.ensure_future(parent.run())
        try:
            yield Run(notes, ended)
        finally:
            if not ended.done():
                os.kill(os.getpid(), signal.SIGTERM)
                async with asyncio.timeout(20):
                    await ended


async def test_all_are_told_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    async with running(tmp_path) as run:
        pids = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
    assert await run.ended == 0
    assert sorted(run.of("s")) == sorted(pids)


async def said(capsys: pytest.CaptureFixture[str], text: str) -> None:
    out = ""
    async with asyncio.timeout(20):
        while text not in out:
            out += capsys.readouterr().out
            await asyncio.sleep(0.02)


async def test_one_that_dies_is_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workers, "STEADY_S", 0.0)
    async with running(tmp_path) as run:
        first, second = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
        os.kill(first, signal.SIGKILL)
        [_, _, third] = await run.until("ready", 3)
    assert await run.ended == 0
    assert sorted(run.of("s")) == sorted((second, third))


async def test_they_are_replaced_the_new_one_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    async with running(tmp_path) as run:
        old = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
        os.kill(os.getpid(), signal.SIGHUP)
        everyone = await run.until("ready", 4)
        await run.until("r", 2)
    new = everyone[2:]
    order = [text for _, text in run.said() if text != "begun"]
    assert order[2:6] == ["ready", "r", "ready", "r"]
    assert sorted(run.of("r")) == sorted(old)
    assert sorted(run.of("s")) == sorted(new)


async def test_the_old_ones_stay_where_no_new_one_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    async with running(tmp_path, "aging") as run:
        old = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
        (tmp_path / "notes.old").touch()
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(20):
            while "the workers stay as they are" not in caplog.text:
                await asyncio.sleep(0.02)
        assert run.of("r") == []
    assert sorted(run.of("s")) == sorted(old)


async def test_a_server_whose_workers_cannot_start_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with running(tmp_path, "broken") as run:
        async with asyncio.timeout(20):
            assert await run.ended == 1
    assert "ended with 3, before all were there" in caplog.text


async def test_a_system_without_room_for_a_process_costs_no_worker_that_runs(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(workers, "LEAST_WAIT_S", 0.05)
    fork, full = asyncio.create_subprocess_exec, [True, True]

    async def start(*arguments: Any, **how: Any) -> asyncio.subprocess.Process:
        if full:
            full.pop()
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return await fork(*arguments, **how)

    async with running(tmp_path) as run:
        first, second = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
        os.kill(first, signal.SIGKILL)
        [_, _, third] = await run.until("ready", 3)
    assert await run.ended == 0
    assert sorted(run.of("s")) == sorted((second, third))
    assert caplog.text.count("a worker could not be started: [Errno 11]") == 2


async def test_one_that_dies_while_its_successor_comes_is_not_replaced_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workers, "LEAST_WAIT_S", 0.5)
    async with running(tmp_path) as run:
        old = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
        (tmp_path / "notes.wait").touch()
        os.kill(os.getpid(), signal.SIGHUP)
        await run.until("begun", 3)
        for each in old:  # whichever is to be replaced first
            os.kill(each, signal.SIGKILL)
        await asyncio.sleep(0.1)
        (tmp_path / "notes.wait").unlink()
        await run.until("ready", 4)
        await asyncio.sleep(1.0)
    assert await run.ended == 0
    assert len(run.of("s")) == 2
    assert len(run.of("ready")) - len(run.of("r")) - len(old) == 2


async def test_one_whose_loop_stands_still_is_ended_and_another_comes(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(workers, "BEAT_S", 0.1)
    monkeypatch.setattr(workers, "SILENT_S", 2.0)
    async with running(tmp_path, source=BLOCKS) as run:
        first, second = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
        (tmp_path / f"notes.block.{first}").touch()
        [_, _, third] = await run.until("ready", 3)
    assert await run.ended == 0
    assert sorted(run.of("s")) == sorted((second, third))
    assert f"worker {first} has stood still" in caplog.text
    assert f"worker {first} ended with -6" in caplog.text
    assert "where_it_stands" in (tmp_path / "notes.stacks").read_text()


async def test_one_that_does_not_heed_the_first_signal_is_killed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(workers, "BEAT_S", 0.1)
    monkeypatch.setattr(workers, "SILENT_S", 2.0)
    monkeypatch.setattr(workers, "GRACE_S", 0.2)
    async with running(tmp_path) as run:
        first, _ = await run.until("ready", 2)
        await said(capsys, "Chorus is at ")
        os.kill(first, signal.SIGSTOP)
        await run.until("ready", 3)
    assert await run.ended == 0
    assert f"worker {first} ended with -9" in caplog.text


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "on SQLite there is one process"),
        ({**POSTGRES, "CHORUS_SIP_LISTEN": "udp:0.0.0.0:5060"}, "CHORUS_SIP_LISTEN"),
    ],
)
def test_where_there_can_be_no_workers(environ: dict[str, str], why: str):
    with pytest.raises(SettingsError) as refused:
        Settings.read({**environ, "CHORUS_WORKERS": "2"})
    assert why in refused.value.problems[0]
    assert Settings.read({**environ, "CHORUS_WORKERS": "1"}).workers == 1
