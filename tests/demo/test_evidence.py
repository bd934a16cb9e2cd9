"""What the demo judges by: sound, recordings, sockets, and what is shown of them."""

from __future__ import annotations

import io
import os
import socket
import sys
import wave
from array import array
from pathlib import Path

import pytest

from chorus.demo import network, run, sound
from chorus.demo.carrier.person import Say
from chorus.demo.carrier.sound import said
from chorus.demo.checks import Check
from chorus.demo.handover import ANNA_SAYS, ASKS
from chorus.demo.perform import plain
from chorus.demo.show import LiveCall, Show
from chorus.demo.story import INBOUND, OUTBOUND
from chorus.llm.script import ScriptModel
from chorus.llm.script_parse import parse

TONE = said(Say(sound="tone", ms=400))
SILENCE = said(Say(sound="silence", ms=600))


def test_when_something_is_audible() -> None:
    assert sound.audible_ms(SILENCE + TONE) == 400
    assert sound.onset_ms(SILENCE + TONE) == 600
    assert sound.quiet_after_ms(TONE + SILENCE + TONE, 500) == 400
    assert sound.quiet_after_ms(TONE + SILENCE + TONE, 700) is None
    assert sound.quiet_after_ms(SILENCE, 500) == 0


def test_where_something_was_said() -> None:
    assert sound.find(SILENCE + TONE + SILENCE, TONE + b"\xff" * 99) == len(SILENCE)
    assert sound.find(SILENCE, TONE) is None
    assert sound.find(TONE, SILENCE) is None


def test_a_recording_is_read(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    samples = array("h")
    for at in range(8000):
        samples += array("h", [9000 if at < 1600 else 0, -9000 if at >= 4000 else 10])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    recorded = sound.read_recording(path)
    assert recorded.duration_ms == 1000
    assert (recorded.caller_loud_ms, recorded.agent_loud_ms) == (200, 500)


def test_a_recording_of_one_side_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(320))
    with pytest.raises(wave.Error, match="1 channels"):
        sound.read_recording(path)


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are seen through /proc")
def test_remote_ends_are_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "127.0.0.1" not in (network.remote_addresses(os.getpid()) or ())
        with socket.create_connection(server.getsockname()):
            assert "127.0.0.1" in (network.remote_addresses(os.getpid()) or ())
    # No packet is sent: a datagram socket only notes whom it belongs to.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        try:
            stranger.connect(("127.0.0.2", 9))
        except OSError:
            pytest.skip("127.0.0.2 cannot be reached here")
        assert "127.0.0.2" in (network.remote_addresses(os.getpid()) or ())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("097100CB", "203.0.113.9"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="as a little-endian machine writes them")
def test_addresses_of_proc(text: str, address: str) -> None:
    assert str(network._address(text)) == address


def test_the_scripts_can_be_read() -> None:
    for story in (INBOUND, OUTBOUND):
        prompt = run.prompt_of(story)
        for name, value in story.variables:
            prompt = prompt.replace(f"{{{{{name}}}}}", str(value))
        parse(prompt)
        expected = {plain(phrase) for phrase in ScriptModel().phrases(prompt)}
        said_by_people = [line.text for line in story.lines]
        if story is INBOUND:
            said_by_people += [ASKS, ANNA_SAYS]
        assert {plain(text) for text in said_by_people} <= expected


def test_the_record_tells_who_spoke() -> None:
    out = io.StringIO()
    roles = ("user", "assistant", "person")
    call = {
        **dict.fromkeys(("status", "endedReason", "durationSeconds", "turnCount", "id", "turns")),
        "transcript": [{"role": role, "content": f"I am the {role}"} for role in roles],
    }
    Show(out).record(INBOUND, call, {}, None)
    lines = [line.split() for line in out.getvalue().splitlines() if "I am the" in line]
    assert [(line[0], line[-1]) for line in lines] == [
        ("caller", "user"),
        ("agent", "assistant"),
        ("Tom", "person"),
    ]


def test_the_show_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = io.StringIO()
    live = LiveCall(Show(out))
    for kind, data in (
        ("words", {"text": "two pear trees"}),
        ("draft_started", {"turn": 1}),
        ("turn_committed", {"turn": 1, "text": "two pear trees"}),
        ("turn_latency", {"turn": 1, "wordsMs": 10, "committedMs": 200, "sentMs": 210}),
        ("reply_heard", {"turn": 1, "heard": "Well, they are", "interrupted": True}),
        ("something_new", {}),
    ):
        live.event({"kind": kind, "atMs": 1234, "data": data})
    text = out.getvalue()
    assert text.count("two pear trees") == 1
    assert "answered after 210 ms" in text
    assert "model -" in text
    assert "Well, they are —" in text
    assert max(map(len, text.splitlines())) <= 60
    assert "\x1b[" not in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_only_where_they_are_wanted(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    out = Terminal()
    Show(out).verdict([Check("it went well", True, "yes", "yes")], 9)
    assert ("\x1b[" in out.getvalue()) is coloured


def test_a_failed_check_is_told_in_full() -> None:
    out = io.StringIO()
    Show(out).verdict([Check("it stopped", False, "200 ms", "900 ms")], 9)
    text = out.getvalue()
    assert "1 of 1 checks failed" in text
    for part in ("it stopped", "expected: 200 ms", "got:      900 ms"):
        assert part in text
