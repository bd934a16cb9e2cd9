"""The demo as a visitor runs it, its absence of parts, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chorus import cli
from chorus.demo import network, run, voices
from chorus.demo.story import INBOUND, OUTBOUND
from chorus.extras import how_to_install

COMMAND = [sys.executable, "-m", "chorus", "demo"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.timeout(240)
def test_all_calls_reach_their_goal(temporary: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--json"], capture_output=True, text=True, timeout=220, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["ok"] is True
    assert "failures" not in result
    inbound, outbound, handed, taken = result["calls"]
    assert (inbound["direction"], outbound["direction"]) == ("inbound", "outbound")
    for call, story in ((inbound, INBOUND), (outbound, OUTBOUND)):
        assert call["status"] == "completed"
        assert call["endedReason"] == "agent_ended"
        assert len(call["turns"]) >= len(story.lines)
        assert all(turn["sentMs"] < 5000 for turn in call["turns"])
        recording = Path(call["recordingPath"])
        assert recording.is_relative_to(temporary)
        assert recording.stat().st_size > call["durationSeconds"] * 8000 * 4 * 0.9
        assert call["transcript"][-1]["content"] == story.goodbye
    assert outbound["contextVariables"] == {"name": "Anna", "order": "427"}
    assert "saturday" in json.dumps(outbound["transcript"])
    assert (handed["endedReason"], handed["transferStatus"]) == ("transferred", "completed")
    assert (taken["parentCallId"], taken["transferType"]) == (handed["id"], "warm_briefing")
    assert Path(taken["recordingPath"]).exists()
    # The show is on standard error, without colours: it is no terminal.
    assert "Where to go next" in done.stderr
    assert "(coughs)" in done.stderr
    assert "\x1b[" not in done.stderr


@pytest.mark.timeout(240)
def test_a_call_over_sip_reaches_its_goal(
    temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of the calls: `chorus demo --line sip` holds all."""
    assert run.demo(as_json=True, line="sip", stories=(INBOUND,)) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    (call,) = result["calls"]
    assert (call["provider"], call["direction"]) == ("sip", "inbound")
    assert (call["status"], call["endedReason"]) == ("completed", "agent_ended")
    assert "in the place of a PBX, over SIP" in printed.err
    assert "(talks over the agent)" in printed.err


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_all_calls_over_sip_reach_their_goal(temporary: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--json", "--line", "sip"],
        capture_output=True, text=True, timeout=220, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["ok"] is True
    directions = ["inbound", "outbound", "inbound", "outbound"]
    assert [call["direction"] for call in result["calls"]] == directions


@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted through /proc")
@pytest.mark.parametrize(
    ("told", "until"),
    [
        pytest.param(signal.SIGINT, "in_progress", id="Ctrl-C in mid-call"),
        pytest.param(signal.SIGTERM, "carrier, the shop and", id="killed at the start"),
    ],
)
def test_it_leaves_no_process(temporary: Path, told: signal.Signals, until: str) -> None:
    with started() as process:
        assert process.stderr is not None
        shown = ""
        while until not in shown:
            line = process.stderr.readline()
            assert line, shown
            shown += line
        time.sleep(0.5)  # into the starting of processes
        family = network.family(process.pid)
        assert len(family) > 1
        # As a terminal does it: to all of the foreground's processes.
        os.killpg(process.pid, told) if told is signal.SIGINT else process.send_signal(told)
        out, err = process.communicate(timeout=40)
    assert process.returncode == 130, err
    assert "Stopped." in err
    assert "Traceback" not in err
    assert out == ""
    assert wait_until_gone(family) == set()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (["pocketsphinx"], "the offline transcriber (pocketsphinx) not installed"),
        (["espeakng_loader"], "the offline voice (espeakng_loader) not installed"),
    ],
)
def test_what_is_not_installed_is_said(
    missing: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(voices, "find_spec", lambda name: None if name in missing else object())
    assert cli.run(["demo", "--json"]) == 1
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert how_to_install("local") in printed.err
    assert "Traceback" not in printed.err
    result = json.loads(printed.out.splitlines()[-1])
    assert result["ok"] is False
    assert result["calls"] == []
    assert sentence in result["failures"][0]["got"]


def test_a_server_that_does_not_start_is_shown_with_its_log(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A module that the server alone imports, and cannot.
    broken = temporary / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\nif 'serve' in sys.argv or 'serve' in sys.orig_argv:\n"
        "    raise SystemExit('no server today')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(broken), prepend=os.pathsep)
    assert run.demo(as_json=False) == 1
    shown = capsys.readouterr().out
    assert "the server did not start" in shown
    assert "no server today" in shown


@contextmanager
def started() -> Iterator[subprocess.Popen[str]]:
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(
        [*COMMAND, "--json"], text=True, stdin=subprocess.DEVNULL, start_new_session=True, **pipes
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_until_gone(pids: set[int]) -> set[int]:
    """Those that are still there after a moment; what is reaped by init may take one."""
    for _ in range(50):
        pids = {pid for pid in pids if alive(pid)}
        if not pids:
            break
        time.sleep(0.1)
    return pids


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_told_to_stop_it_does_not_complain_of_what_stops_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C goes to all processes of the terminal, and the platform may be gone first."""

    async def told(*_: object) -> None:
        async def watch() -> None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise ConnectionError("All connection attempts failed") from None

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(10)

    monkeypatch.setattr(run, "_calls", told)
    assert run.demo(as_json=False) == 130
    assert "Stopped." in capsys.readouterr().out
