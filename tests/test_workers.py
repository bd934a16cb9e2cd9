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

import pytest

from chorus import workers
from chorus.settings import Settings, SettingsError
from chorus.workers import Workers

POSTGRES = {"CHORUS_DATABASE_URL": "postgresql://somebody@nowhere/chorus"}

OBEYS = """
import os, socket, sys
notes, kind = sys.argv[1:3]
listener, parent = (socket.socket(fileno=int(fd)) for fd in sys.argv[-2:])
def note(text):
    with open(notes, "a") as file:
        file.write(f"{os.getpid()} {text}\\n")
if kind == "broken" or (kind == "aging" and os.path.exists(notes + ".old")):
    sys.exit(3)
note("ready")
parent.send(b"y")
said = parent.recv(16)
note(said.decode() or "alone")
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
async def running(folder: Path, kind: str = "good") -> AsyncGenerator[Run]:
    program = folder / "worker.py"
    program.write_text(OBEYS)
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
    assert [text for _, text in run.said()][2:6] == ["ready", "r", "ready", "r"]
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
    assert "a worker could not start; it ended with 3" in caplog.text


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
