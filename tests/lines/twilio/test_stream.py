"""`TwilioLine` without a socket, on virtual time."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.virtual import run_virtual
from tests.lines.twilio.switchboard import Talk

from chorus.audio.frame import MULAW_8K
from chorus.lines.absent import UNTOLD_S
from chorus.lines.line import (
    RING_TIMEOUT_S,
    HoldableLine,
    LineCause,
    LineMove,
    MoveRefused,
    TransferableLine,
)
from chorus.lines.streamed import HANG_UP_S, MAX_UNSENT_MS, STALL_S
from chorus.lines.twilio.stream import TwilioLine

SID = "MZ1"


def said(line: TwilioLine) -> list[dict[str, Any]]:
    """All that the line has to send now."""
    messages: list[dict[str, Any]] = []
    while (text := line.next_message()) is not None:
        messages.append(json.loads(text))
    return messages


def payload(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["media"]["payload"], validate=True)


def marked(name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": name}})


def media(audio: bytes, **more: Any) -> str:
    body = {"payload": base64.b64encode(audio).decode(), **more}
    return json.dumps({"media": body, "streamSid": SID, "event": "media"})


def test_pieces_played_together_travel_together_and_are_marked() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        for n in range(5):
            line.play(bytes([n]) * 160)
        audio, mark = said(line)
        assert audio["event"] == "media"
        assert audio["streamSid"] == SID
        assert payload(audio) == b"".join(bytes([n]) * 160 for n in range(5))
        assert mark == {"event": "mark", "streamSid": SID, "mark": {"name": "0:800"}}
        line.play(b"x" * 160)
        assert [m["event"] for m in said(line)] == ["media"]

    run_virtual(main())


def test_a_long_prompt_is_cut_into_marked_messages() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        line.play(b"y" * 8000)
        messages = said(line)
        assert [m["event"] for m in messages] == ["media", "mark"] * 3
        assert b"".join(payload(m) for m in messages[::2]) == b"y" * 8000

    run_virtual(main())


def test_clear_overtakes_what_was_not_sent_and_starts_a_new_count() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        line.play(b"a" * 1600)
        said(line)
        await asyncio.sleep(0.1)
        line.play(b"b" * 1600)
        line.clear()
        line.play(b"c" * 1600)
        clear, audio, mark = said(line)
        assert clear == {"event": "clear", "streamSid": SID}
        assert payload(audio) == b"c" * 1600
        assert mark["mark"]["name"] == "1:1600"
        assert line.sent_ms == pytest.approx(300, abs=0.01)
        line.take(marked("0:1600"))  # what the carrier echoes at once after a clear
        assert line.heard_ms == pytest.approx(100, abs=0.01)
        line.take(marked("1:1600"))
        assert line.heard_ms == line.sent_ms
        assert line.bad == 0

    run_virtual(main())


def test_any_order_of_keys_and_a_missing_timestamp_are_understood() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        talk = Talk(line, "c")
        line.start(talk)
        line.take(media(b"1" * 160, track="inbound", chunk="1", timestamp="61"))
        line.take(media(b"2" * 160))
        line.take(media(b"3" * 160, timestamp=181))
        line.take(media(b"4" * 160, timestamp="180"))
        line.take(media(b"5" * 160, track="outbound"))
        line.take(media(b""))
        assert talk.audio == [
            (b"1" * 160, 0),
            (b"2" * 160, 20),
            (b"3" * 160, 120),
            (b"4" * 160, 140),
        ]
        assert line.bad == 0
        for stamp in ("nan", "inf", "-inf", "1e400"):
            line.take(media(b"6" * 160, timestamp=stamp))
        assert all(at < 1000 for _, at in talk.audio)

    run_virtual(main())


def test_without_measure_is_an_end_not_a_leak() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        talk = Talk(line, "c")
        line.start(talk)
        line.play(b"x" * MULAW_8K.size(MAX_UNSENT_MS))
        assert not talk.ended
        line.play(b"x")
        assert talk.ended[0].cause is LineCause.DROPPED
        assert said(line) == []

    run_virtual(main())


def test_audio_that_nobody_takes_ends_the_line_in_time() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        talk = Talk(line, "c")
        line.start(talk)
        line.play(b"x" * 160)
        await asyncio.sleep(STALL_S * 2)
        said(line)
        line.play(b"x" * 160)  # the last was taken, however late
        await asyncio.sleep(STALL_S - 1)
        line.play(b"x" * 160)
        assert not talk.ended
        await asyncio.sleep(1.1)
        line.play(b"x" * 160)
        assert talk.ended[0].cause is LineCause.DROPPED
        assert "stopped reading" in talk.ended[0].detail

    run_virtual(main())


def test_hanging_up_is_local_whatever_follows() -> None:
    async def main() -> None:
        ended: list[str] = []

        async def end_call() -> None:
            ended.append("asked")
            line.take(json.dumps({"event": "stop", "streamSid": SID}))
            raise RuntimeError("the API is down")

        line = TwilioLine(SID, "CA1", end_call)
        talk = Talk(line, "c")
        line.start(talk)
        await asyncio.gather(line.hang_up(), line.hang_up())
        await line.hang_up()
        assert ended == ["asked"]
        assert [e.cause for e in talk.ended] == [LineCause.LOCAL]
        line.take(media(b"1" * 160))
        assert talk.audio == []

    run_virtual(main())


def test_an_api_that_is_slow_to_hang_up_does_not_keep_the_caller() -> None:
    async def main() -> None:
        async def end_call() -> None:
            await asyncio.sleep(30)

        line = TwilioLine(SID, "CA1", end_call)
        talk = Talk(line, "c")
        line.start(talk)
        began_s = asyncio.get_running_loop().time()
        await line.hang_up()
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(HANG_UP_S)
        assert [e.cause for e in talk.ended] == [LineCause.LOCAL]

    run_virtual(main())


class Redirected:
    """A line that is being transferred: `answer` is what the carrier says to it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line = TwilioLine(SID, "CA1", moves=self)
        self.talk = Talk(self.line, "c")
        self.line.start(self.talk)
        self.transfer = asyncio.ensure_future(self.line.transfer("+15551112222"))

    async def dial(self, to: str, ring_timeout_s: int) -> None:
        self.asked.append(to)
        await self.answer

    def room(self) -> str:
        raise NotImplementedError

    async def confer(self, room: str) -> None:
        raise NotImplementedError

    async def come_back(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.line.take(json.dumps({"event": "stop", "streamSid": SID}))

    @property
    def causes(self) -> list[LineCause]:
        return [ended.cause for ended in self.talk.ended]


@pytest.mark.parametrize("first", ["stop", "answer"])
def test_a_stop_during_a_redirect_is_no_hang_up(first: str) -> None:
    async def main() -> None:
        call = Redirected()
        await asyncio.sleep(0.1)
        assert call.asked == ["+15551112222"]
        with pytest.raises(MoveRefused):
            await call.line.transfer("+15551113333")
        if first == "stop":
            call.stop()
            await asyncio.sleep(0.1)
            assert call.causes == []  # nobody knows yet which it is
            call.answer.set_result(None)
            await call.transfer
        else:
            call.answer.set_result(None)
            await call.transfer
            call.stop()
        # The stream's end is not the call's: somebody rings.
        call.line.closed(1000)
        await asyncio.sleep(20)
        assert call.causes == []
        call.line.transferred_at_carrier()
        call.line.transferred_at_carrier()
        assert call.talk.moves == [LineMove.TRANSFERRED]
        assert call.causes == [LineCause.TRANSFERRED]

    run_virtual(main())


@pytest.mark.parametrize("stopped", [True, False])
def test_a_redirect_that_was_refused_leaves_the_call_as_it_is(stopped: bool) -> None:
    async def main() -> None:
        call = Redirected()
        await asyncio.sleep(0.1)
        if stopped:
            call.stop()  # the person hung up in the same moment
        call.answer.set_exception(MoveRefused("Call is not in-progress"))
        with pytest.raises(MoveRefused):
            await call.transfer
        assert call.causes == ([LineCause.FAR_END] if stopped else [])
        assert call.talk.moves == []
        call.stop()
        assert call.causes == [LineCause.FAR_END]

    run_virtual(main())


def test_a_redirect_after_which_nothing_comes_ends_the_line_all_the_same() -> None:
    async def main() -> None:
        call = Redirected()
        call.answer.set_result(None)
        await call.transfer
        assert call.causes == []
        await asyncio.sleep(RING_TIMEOUT_S + UNTOLD_S - 1)
        assert call.causes == []
        await asyncio.sleep(1.1)
        assert call.causes == [LineCause.TRANSFERRED]
        with pytest.raises(MoveRefused):
            await call.line.transfer("+15551112222")

    run_virtual(main())


@pytest.mark.parametrize("stopped", [True, False])
def test_a_call_that_comes_back_goes_on_by_its_new_stream(stopped: bool) -> None:
    async def main() -> None:
        call = Redirected()
        line = call.line
        assert not line.returned_on("MZ2")  # the answer to the request is still out
        call.answer.set_result(None)
        await call.transfer
        if stopped:
            call.stop()
        for _ in range(100):  # as music would be played, for 20 s
            line.play(bytes(1600))
            await asyncio.sleep(0.2)
        assert line.next_message() is None
        assert line.returned_on("MZ2")
        assert not line.returned_on("MZ3")
        assert call.talk.moves == [LineMove.NOT_TRANSFERRED]
        assert line.ahead_ms == 0
        line.play(bytes(160))
        written: list[str] = []
        while (message := line.next_message()) is not None:
            written.append(json.loads(message)["streamSid"])
        assert written == ["MZ2"] * 2  # clear, and the audio
        audio = {"payload": base64.b64encode(bytes(160)).decode(), "timestamp": "5"}
        line.take(json.dumps({"event": "media", "streamSid": "MZ2", "media": audio}))
        (_, at_ms) = call.talk.audio[0]
        assert at_ms == pytest.approx(20_000, abs=300)
        line.take(json.dumps({"event": "stop", "streamSid": "MZ2"}))
        assert call.causes == [LineCause.FAR_END]

    run_virtual(main())


def test_who_comes_back_and_is_moved_again_is_not_given_up_by_the_first_time() -> None:
    async def main() -> None:
        call = Redirected()
        call.answer.set_result(None)
        await call.transfer
        assert call.line.returned_on("MZ2")
        await asyncio.sleep(RING_TIMEOUT_S + UNTOLD_S - 10)
        await call.line.transfer("+15551112222")
        await asyncio.sleep(20)  # the first time's news would be overdue by now
        assert call.causes == []
        assert call.line.returned_on("MZ3")

    run_virtual(main())


def test_a_line_says_whether_it_can_be_moved() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        assert isinstance(line, TransferableLine)
        assert not isinstance(line, HoldableLine)
        for to in ("", "12", "+0123", "sip:", "<Hangup/>", "+15551112222"):
            with pytest.raises(MoveRefused):  # the last: without credentials nothing can
                await line.transfer(to)

    run_virtual(main())


ACT = st.one_of(
    st.tuples(st.just("play"), st.integers(0, 6000)),
    st.tuples(st.just("sleep"), st.integers(0, 900)),
    st.tuples(st.just("send"), st.just(0)),
    st.tuples(st.just("clear"), st.just(0)),
    st.tuples(st.just("mark"), st.integers(0, 12)),
    st.tuples(st.just("junk"), st.integers(0, 20_000)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ACT, max_size=40))
def test_positions_hold_whatever_a_carrier_does(acts: list[tuple[str, int]]) -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        names: list[str] = []
        before_ms = 0.0
        for act, value in acts:
            match act:
                case "play":
                    line.play(b"z" * value)
                case "sleep":
                    await asyncio.sleep(value / 1000)
                case "send":
                    names += [m["mark"]["name"] for m in said(line) if m["event"] == "mark"]
                case "clear":
                    line.clear()
                    assert line.sent_ms == line.heard_ms
                case "mark" if names:
                    # In any order, repeated, from before a clear.
                    line.take(marked(names[value % len(names)]))
                case _:
                    line.take(marked(f"0:{value}"))
            heard_ms = line.heard_ms
            assert before_ms <= heard_ms <= line.sent_ms
            before_ms = heard_ms
        await asyncio.sleep(3600)
        assert line.heard_ms == line.sent_ms
        assert line.bad == 0

    run_virtual(main())


def test_format_and_lead() -> None:
    async def main() -> None:
        line = TwilioLine(SID, "CA1")
        assert (line.format, line.lead_ms, line.leg_id) == (MULAW_8K, 200, "CA1")

    run_virtual(main())
