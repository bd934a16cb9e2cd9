"""The carrier of the load generator is itself measured here: on a socket that only listens."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from bench.carrier import QUESTION, Call, Invitation, Manners, Utterance, speech_frames
from bench.tally import Tally

from bench import carrier

LOUD = base64.b64encode(b"\x10" * 160).decode()
SPEECH = [base64.b64encode(b"\x20" * 160)] * 5
SAID = (Utterance("five", SPEECH),)


class Wire:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, kind: object, message: bytes) -> None:
        self.sent.append(json.loads(message))

    def events(self) -> list[str]:
        return [m["event"] for m in self.sent]

    def send_close(self, code: object) -> None: ...

    def disconnect(self, graceful: bool = True) -> None: ...


class Line:
    """A call whose time only moves by `tick`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **manners: Any) -> None:
        self.now = 100.0
        monkeypatch.setattr(carrier, "now_s", lambda: self.now)
        self.tally = Tally(measuring=True)
        invitation = Invitation("ws://here", {"token": "t"}, "CA1", "AC1")
        quick = Manners(**({"says": SAID, "first_after_s": 0, "stagger_s": 0} | manners))
        self.call = Call(invitation, quick, self.tally)
        self.wire = Wire()
        self.call.on_ws_connected(self.wire)  # type: ignore[arg-type]

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 0.02
            self.call.tick(self.now)

    def agent(self, event: str, **body: Any) -> None:
        class Frame:
            msg_type = carrier.WSMsgType.TEXT

            def get_payload_as_bytes(self) -> bytes:
                return json.dumps({"event": event, "streamSid": "MZ", **body}).encode()

        self.call.on_ws_frame(self.wire, Frame())  # type: ignore[arg-type]

    def says(self, payload: str = LOUD) -> None:
        self.agent("media", media={"payload": payload})


def test_the_stream_opens_as_twilio_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch)
    line.tick(2)
    connected, start, first, second = line.wire.sent
    assert connected["event"] == "connected"
    assert start["start"]["customParameters"] == {"token": "t"}
    assert start["start"]["mediaFormat"]["encoding"] == "audio/x-mulaw"
    assert [first["media"]["timestamp"], second["media"]["timestamp"]] == ["20", "40"]
    assert int(second["sequenceNumber"]) == int(first["sequenceNumber"]) + 1


def test_the_response_is_timed_to_the_first_sound_and_not_to_the_first_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(monkeypatch)
    line.tick(5)
    line.tick(10)
    silence_then_sound = base64.b64encode(b"\xff" * 80 + b"\x10" * 80).decode()
    line.says(silence_then_sound)
    assert line.tally.response_s == [pytest.approx(0.2 + 0.01)]


def test_a_frame_after_the_queue_ran_dry_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch)
    line.tick(6)
    line.says()
    line.tick()
    line.says()
    assert line.tally.late_20ms == 0
    line.tick(4)
    line.says()
    assert (line.tally.frames, line.tally.late_20ms, line.tally.late_60ms) == (2, 1, 0)


def test_a_mark_is_echoed_when_the_audio_before_it_has_been_played(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(monkeypatch)
    line.tick(6)
    line.says()
    line.says()
    line.agent("mark", mark={"name": "m"})
    line.tick()
    assert "mark" not in line.wire.events()
    line.tick(2)
    assert line.wire.events().count("mark") == 1


def test_clear_gives_back_every_mark_and_times_the_interruption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(monkeypatch, barge_in_every=1, barge_in_after_s=0.1)
    line.tick(6)
    for _ in range(50):
        line.says()
    line.agent("mark", mark={"name": "m"})
    line.tick(8)
    line.agent("clear")
    assert line.tally.barge_in_s == [pytest.approx(0.06, abs=0.021)]
    line.tick()
    assert line.wire.events().count("mark") == 1


def test_an_agent_that_talks_on_over_the_caller_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(monkeypatch, barge_in_every=1, barge_in_after_s=0.1)
    line.tick(6)
    for _ in range(50):
        line.says()
    line.tick(14)
    assert (line.tally.unheeded, line.tally.barge_in_s) == (1, [])


def test_an_agent_that_speaks_into_the_question_is_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(monkeypatch)
    line.tick(2)
    line.says()
    line.says()
    assert line.tally.cut_ins_in == {"five": 1}


def test_silence_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, patience_s=0.5)
    line.tick(6)
    line.says(base64.b64encode(b"\xff" * 160).decode())
    line.tick(26)
    assert (line.tally.unanswered, line.tally.response_s) == (1, [])


def test_the_question_has_no_pause_that_ends_a_turn() -> None:
    frames = speech_frames(QUESTION)
    assert 100 < len(frames) < 150
    assert all(len(base64.b64decode(f)) == 160 for f in frames)


def test_the_caller_says_one_thing_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (Utterance("five", SPEECH), Utterance("two", SPEECH[:2]))
    line = Line(monkeypatch, says=said, pause_s=0.1)
    spoken: list[str] = []
    for _ in range(4):
        before = line.call.turns
        while line.call.turns == before:
            line.tick()
        spoken.append(line.call.saying)
        line.agent("media", media={"payload": LOUD})
    assert spoken[0] != spoken[1]
    assert spoken[:2] == spoken[2:]
    assert {name: len(s) for name, s in line.tally.by_utterance.items()} == {"five": 2, "two": 2}


def test_an_answer_after_a_second_is_counted_as_late() -> None:
    tally = Tally(measuring=True)
    tally.answered("one", 0.4)
    tally.answered("one", 1.2)
    assert tally.summary()["late_answers"] == 1
    assert tally.summary()["by_utterance"]["one"] == {"n": 2, "p50": 800.0, "cut_ins": 0}
