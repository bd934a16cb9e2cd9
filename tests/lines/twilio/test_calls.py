"""Whole calls over real sockets, against a carrier in another process."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from functools import partial
from typing import Literal

import httpx
import pytest
from tests.lines.twilio.switchboard import OURS, THEIRS, Switchboard, Talk, connection_of

from chorus.audio.frame import MULAW_8K
from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import (
    Deaf,
    Drop,
    HangUp,
    Leave,
    Mute,
    Person,
    Press,
    Say,
    Send,
    Wait,
    WaitAgent,
    WaitQuiet,
)
from chorus.demo.carrier.signature import sign
from chorus.demo.carrier.sound import audible
from chorus.lines.dtmf import tones
from chorus.lines.line import (
    RING_TIMEOUT_S,
    Dial,
    LineCause,
    LineMove,
    MoveRefused,
    TransferableLine,
)
from chorus.lines.streamed import MAX_BAD

pytestmark = pytest.mark.asyncio(loop_scope="module")

TONE = MULAW_8K.silence(0) + bytes([0x10, 0x90]) * 4000  # a second, loud


async def feed(talk: Talk, audio: bytes) -> None:
    """Play with the lead that the line asks for, as a conversation does."""
    for at in range(0, len(audio), 320):
        talk.line.play(audio[at : at + 320])
        while talk.line.ahead_ms > talk.line.lead_ms and not talk.ended:
            await asyncio.sleep(0.01)


async def test_an_inbound_call_is_heard_both_ways(
    board: Switchboard, carrier: CarrierClient
) -> None:
    call = await carrier.call(OURS, THEIRS, Person(steps=[Say(sound="tone", ms=400, name="hi")]))
    talk = await board.desk.talk()
    assert talk.line.leg_id == call.sid
    assert talk.line.provider == "twilio"
    inbound = board.desk.inbound[0]
    assert (inbound.leg_id, inbound.from_, inbound.to) == (call.sid, THEIRS, OURS)
    await call.wait("said.ended")
    await talk.until(lambda: len(talk.audio) > 25)
    times = [at for _, at in talk.audio]
    assert times == [n * 20 for n in range(len(times))]
    assert {len(chunk) for chunk, _ in talk.audio} == {160}
    assert talk.heard[: 400 * 8 + 800].strip(b"\xff") in await call.said()
    assert audible(talk.heard)

    await feed(talk, TONE)
    answer = await call.wait("agent.answers")
    assert answer["to"] == "hi"
    assert answer["received_ms"] <= answer["played_ms"]
    async with asyncio.timeout(20):
        while talk.line.heard_ms < talk.line.sent_ms:
            await asyncio.sleep(0.02)
    assert talk.line.sent_ms == 1000
    await talk.line.hang_up()
    assert (await talk.end()).cause is LineCause.LOCAL
    over = await call.wait("call.over")
    assert over["status"] == "completed"
    # Everything that the line said was heard has been played, without a gap.
    assert TONE in await call.heard()
    look = await call.look()
    assert look["underruns_ms"] == []
    assert look["counts"]["wrong"] == 0
    # At least 100 ms apart.
    assert 5 <= look["counts"]["mark"] <= 10
    await board.desk.until(lambda: any(u.answered and u.ended for u in board.desk.updates))


async def test_the_person_hangs_up(board: Switchboard, carrier: CarrierClient) -> None:
    await carrier.call(OURS, THEIRS, Person(steps=[Wait(ms=100), HangUp()]))
    talk = await board.desk.talk()
    assert (await talk.end()).cause is LineCause.FAR_END
    talk.line.play(TONE)
    talk.line.clear()
    await talk.line.hang_up()
    assert talk.line.sent_ms == 0
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))


@pytest.mark.parametrize("step", [Drop(), Leave()])
async def test_a_stream_that_goes_without_a_stop_is_dropped(
    board: Switchboard, carrier: CarrierClient, step: Drop | Leave
) -> None:
    await carrier.call(OURS, THEIRS, Person(steps=[Wait(ms=60), step]))
    ended = await (await board.desk.talk()).end()
    assert ended.cause is LineCause.DROPPED
    assert "without a stop" in ended.detail


async def test_a_conversation_that_returns_ends_the_call(
    board: Switchboard, carrier: CarrierClient
) -> None:
    async def goodbye(talk: Talk) -> None:
        talk.line.play(TONE[:800])

    board.desk.behave = goodbye
    call = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()
    assert (await talk.end()).cause is LineCause.LOCAL
    assert (await call.wait("stream.closed"))["code"] == 1000
    await call.wait("call.over", status="completed")


async def test_a_conversation_that_crashes_ends_the_call_and_nothing_else(
    board: Switchboard, carrier: CarrierClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(talk: Talk) -> None:
        raise RuntimeError("a bug")

    board.desk.behave = crash
    call = await carrier.call(OURS, THEIRS)
    assert (await call.wait("stream.closed"))["code"] == 1011
    await call.wait("call.over")
    assert "the conversation failed" in caplog.text
    board.desk.behave = None
    call = await carrier.call(OURS, THEIRS, Person(steps=[HangUp()]))
    await call.wait("call.over")


async def test_a_listener_that_crashes_fails_the_line(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Talk, "line_digit", lambda self, digit: 1 / 0)
    await carrier.call(OURS, THEIRS, Person(steps=[Press(digits="1")]))
    talk = await board.desk.talk()
    ended = await talk.end()
    assert ended.cause is LineCause.FAILED
    assert "ZeroDivisionError" in ended.detail


async def test_clear_stops_the_sound_at_once(board: Switchboard, carrier: CarrierClient) -> None:
    person = Person(steps=[WaitAgent(heard_ms=300), Say(sound="tone", ms=200)])
    call = await carrier.call(OURS, THEIRS, person)
    talk = await board.desk.talk()
    playing = asyncio.create_task(feed(talk, TONE * 3))
    await talk.until(lambda: audible(talk.audio[-1][0]) if talk.audio else False)
    playing.cancel()
    talk.line.clear()
    at_clear = talk.line.heard_ms
    assert talk.line.sent_ms == at_clear
    assert 200 < at_clear < 1000
    clear = await call.wait("clear")
    assert clear["after_speech_ms"] < 150
    assert clear["thrown_ms"] <= talk.line.lead_ms + 40
    await call.wait("agent.quiet")
    heard = (await call.heard()).replace(b"\xff", b"")
    assert len(heard) / 8 == pytest.approx(at_clear, abs=80)
    talk.line.play(TONE[:1600])
    assert talk.line.sent_ms == at_clear + 200
    async with asyncio.timeout(20):
        while talk.line.heard_ms < talk.line.sent_ms:
            await asyncio.sleep(0.02)
    await talk.line.hang_up()


async def test_keys_come_once_a_press_and_go_out_as_tones(
    board: Switchboard, carrier: CarrierClient
) -> None:
    call = await carrier.call(OURS, THEIRS, Person(steps=[Press(digits="12*#A", gap_ms=30)]))
    talk = await board.desk.talk()
    await talk.until(lambda: len(talk.digits) == 5)
    assert talk.digits == list("12*#A")
    talk.line.send_digits("42")
    await call.wait("agent.speaks")
    await call.wait("agent.quiet")
    assert tones("42", MULAW_8K).rstrip(b"\xff") in await call.heard()
    with pytest.raises(ValueError, match="'x' is no key"):
        talk.line.send_digits("x")
    await talk.line.hang_up()


async def test_without_marks_the_position_follows_the_clock(
    board: Switchboard, carrier: CarrierClient
) -> None:
    await carrier.call(OURS, THEIRS, Person(marks=False))
    talk = await board.desk.talk()
    talk.line.play(TONE)
    await asyncio.sleep(0.4)
    assert 380 <= talk.line.heard_ms <= 600
    await asyncio.sleep(0.7)
    assert talk.line.heard_ms == talk.line.sent_ms == 1000
    await talk.line.hang_up()


async def test_lost_and_late_audio_shows_in_its_times(
    board: Switchboard, carrier: CarrierClient
) -> None:
    steps = [Wait(ms=200), Mute(ms=200), Wait(ms=200)]
    call = await carrier.call(OURS, THEIRS, Person(steps=steps, jitter_ms=60))
    talk = await board.desk.talk()
    await call.wait("steps.done")
    times = [at for _, at in talk.audio]
    steps_ms = [b - a for a, b in itertools.pairwise(times)]
    assert times[0] == 0
    assert times == sorted(times)
    assert 160 <= max(steps_ms) <= 260
    assert sum(step != 20 for step in steps_ms) == 1
    await talk.line.hang_up()


@pytest.mark.parametrize(
    "message",
    [
        Send(text="{"),
        Send(text="[]"),
        Send(text="null"),
        Send(text='{"event": 7}'),
        Send(text='{"event": ["media"]}', times=1),
        Send(text='{"event": "media"}'),
        Send(text='{"event": "media", "streamSid": "{streamSid}", "media": {"payload": "a"}}'),
        Send(text='{"event": "media", "streamSid": "{streamSid}", "media": {"payload": 5}}'),
        Send(text='{"event": "media", "streamSid": "{streamSid}", "media": "x"}'),
        Send(
            text='{"event": "media", "streamSid": "{streamSid}", '
            '"media": {"payload": "/w==", "timestamp": "soon"}}'
        ),
        Send(
            text='{"event": "media", "streamSid": "{streamSid}", '
            '"media": {"payload": "/w==", "timestamp": "99999999999"}}'
        ),
        Send(text='{"event": "media", "streamSid": "MZother", "media": {"payload": "/w=="}}'),
        Send(text='{"event": "dtmf", "streamSid": "{streamSid}", "dtmf": {"digit": "11"}}'),
        Send(text='{"event": "dtmf", "streamSid": "{streamSid}"}'),
        Send(text='{"event": "mark", "streamSid": "{streamSid}", "mark": {"name": "x"}}'),
        Send(text='{"event": "stop", "streamSid": "MZother"}'),
        Send(text='{"event": "start"}'),
        Send(text='{"event": "' + "x" * 70_000 + '"}'),
        Send(binary="AAAA"),
    ],
)
async def test_a_bad_message_is_counted_and_too_many_end_the_line(
    board: Switchboard, carrier: CarrierClient, message: Send
) -> None:
    call = await carrier.call(OURS, THEIRS, Person(steps=[Wait(ms=60), message]))
    talk = await board.desk.talk()
    await call.wait("steps.done")
    before = len(talk.audio)
    await talk.until(lambda: len(talk.audio) > before + 3)
    # An event that is no word is merely unknown.
    unknown = message.text in ('{"event": 7}', '{"event": ["media"]}')
    assert talk.line.bad == (0 if unknown else 1)
    assert not talk.ended
    if not unknown:
        await call.do(message.model_copy(update={"times": MAX_BAD}))
        ended = await talk.end()
        assert ended.cause is LineCause.FAILED
        assert "too many bad messages" in ended.detail
    else:
        await talk.line.hang_up()
    await call.wait("call.over")


async def test_unknown_events_are_ignored(board: Switchboard, carrier: CarrierClient) -> None:
    steps = [Send(text='{"event": "news", "streamSid": "{streamSid}"}', times=100), HangUp()]
    await carrier.call(OURS, THEIRS, Person(steps=steps))
    talk = await board.desk.talk()
    assert (await talk.end()).cause is LineCause.FAR_END


async def test_a_message_beyond_the_servers_limit_fails_the_line(
    board: Switchboard, carrier: CarrierClient
) -> None:
    await carrier.call(OURS, THEIRS, Person(steps=[Wait(ms=60), Send(text="x" * 200_000)]))
    ended = await (await board.desk.talk()).end()
    assert ended.cause is LineCause.FAILED
    assert "too large" in ended.detail


async def test_audio_faster_than_speech_is_refused(
    board: Switchboard, carrier: CarrierClient
) -> None:
    flood = (
        '{"event": "media", "streamSid": "{streamSid}", "media": {"payload": "'
        + "////" * 5000
        + '"}}'
    )
    await carrier.call(OURS, THEIRS, Person(steps=[Send(text=flood, times=100)]))
    talk = await board.desk.talk()
    assert "audio from the future" in (await talk.end()).detail
    assert len(talk.heard) < 8 * 15_000


async def test_a_carrier_that_does_not_read_is_given_up(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.streamed.STALL_S", 0.3)
    await carrier.call(OURS, THEIRS, Person(steps=[Deaf(ms=3000)]))
    talk = await board.desk.talk()
    await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        while not talk.ended:
            # First what the kernel's and the server's buffers take, then the same in vain.
            talk.line.play(TONE * 20)
            await asyncio.sleep(0.01)
    assert talk.ended[0].cause is LineCause.DROPPED
    assert "stopped reading" in talk.ended[0].detail


async def test_an_outbound_call_is_answered_and_reported(
    board: Switchboard, carrier: CarrierClient
) -> None:
    steps = [Say(sound="tone", ms=200, name="hello"), WaitQuiet(quiet_ms=100), HangUp()]
    await carrier.expect(THEIRS, Person(ring_ms=100, steps=steps, answered_by="machine_start"))
    sid = await board.dial(Dial("out-1", THEIRS, OURS, detect_machine=True))
    call = carrier.placed(sid)
    talk = await board.desk.talk()
    assert (talk.call_id, talk.line.leg_id) == ("out-1", sid)
    await talk.until(lambda: len(talk.audio) > 15)
    talk.line.play(TONE[:1600])
    assert (await talk.end()).cause is LineCause.FAR_END
    await call.wait("call.over", status="completed")
    await board.desk.until(lambda: "ended" in board.desk.statuses("out-1"))
    assert board.desk.statuses("out-1") == ["ringing", "answered", "ended"]
    last = board.desk.updates[-1]
    assert last.ended is not None
    assert last.ended.cause is LineCause.FAR_END
    assert last.answered
    await board.desk.until(lambda: bool(board.desk.machines))
    machine = board.desk.machines[0]
    assert (machine.call_id, machine.found) == ("out-1", "machine")


async def test_a_transfer_is_no_hang_up(board: Switchboard, carrier: CarrierClient) -> None:
    await carrier.expect(THEIRS, Person(ring_ms=50))
    await carrier.expect("+15551112222", Person(dialled_ms=60_000))
    sid = await board.dial(Dial("out-1", THEIRS, OURS))
    talk = await board.desk.talk()
    line = talk.line
    assert isinstance(line, TransferableLine)
    dialled = partial(board.carrier.has_connected, board.desk.connection, "out-1", sid, None)
    assert not await dialled()
    await line.transfer("+15551112222")
    assert (await talk.end()).cause is LineCause.TRANSFERRED
    assert talk.moves == [LineMove.TRANSFERRED]
    call = carrier.placed(sid)
    connected = await call.wait("call.connected")
    assert connected["to"] == "+15551112222"
    assert (await call.wait("call.dialled"))["caller_id"] == OURS
    assert await dialled()
    await board.carrier.end(board.desk.connection, connected["callee"])
    await call.wait("call.over", status="completed")
    assert await dialled(), "they have talked"
    with pytest.raises(MoveRefused):
        await line.transfer("+15551112222")


async def test_who_is_dialled_rings_as_long_as_the_target_says(
    board: Switchboard, carrier: CarrierClient
) -> None:
    await carrier.expect("+15551116666", Person(ring_ms=20_000))
    call = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()
    assert isinstance(talk.line, TransferableLine)
    await talk.line.transfer("+15551116666", 2)
    await talk.until(lambda: bool(talk.moves))
    assert talk.moves == [LineMove.NOT_TRANSFERRED]
    assert (await call.wait("call.dialled"))["timeout_s"] == 2
    await talk.line.hang_up()


@pytest.mark.parametrize("answer", ["busy", "fail"])
async def test_who_is_not_reached_brings_the_caller_back(
    board: Switchboard, carrier: CarrierClient, answer: Literal["busy", "fail"]
) -> None:
    """On a stream of its own: the same line goes on, in its own time."""
    await carrier.expect("+15551113333", Person(answer=answer, ring_ms=300))
    call = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()
    line = talk.line
    assert isinstance(line, TransferableLine)
    await talk.until(lambda: bool(talk.audio))
    await line.transfer("+15551113333")
    line.play(bytes(8000))  # music for somebody who does not hear it
    await call.wait("verb", verb="OpenStream")
    await talk.until(lambda: bool(talk.moves))
    assert talk.moves == [LineMove.NOT_TRANSFERRED]
    assert not talk.ended
    assert not await board.carrier.has_connected(board.desk.connection, "in-1", call.sid, None)
    before_ms = talk.audio[-1][1]
    heard = len(talk.audio)
    await talk.until(lambda: len(talk.audio) > heard + 5)
    times = [at_ms for _, at_ms in talk.audio]
    assert times == sorted(times)
    assert times[-1] - before_ms >= 80
    sent_ms = line.sent_ms
    line.play(bytes([0xFF]) * 1600)
    await talk.until(lambda: line.heard_ms >= sent_ms + 199)
    # And may be transferred once more.
    await carrier.expect("+15551113333", Person(ring_ms=50))
    await line.transfer("+15551113333")
    assert (await talk.end()).cause is LineCause.TRANSFERRED
    await call.wait("call.over", status="completed")


async def test_a_caller_who_leaves_while_somebody_is_called_has_hung_up(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.streamed.STOP_GRACE_S", 0.05)
    await carrier.expect("+15551114444", Person(ring_ms=5000))
    call = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()
    assert isinstance(talk.line, TransferableLine)
    await talk.line.transfer("+15551114444")
    assert await completed(board, board.desk.account.auth_token, call.sid) == 204
    assert (await talk.end()).cause is LineCause.FAR_END
    assert talk.moves == []
    await talk.line.hang_up()


async def test_a_transfer_that_nobody_tells_of_is_over_some_time(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.absent.UNTOLD_S", 0.2 - RING_TIMEOUT_S)
    await carrier.expect("+15551115555", Person(ring_ms=1500))
    await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()
    assert isinstance(talk.line, TransferableLine)
    await talk.line.transfer("+15551115555")
    assert (await talk.end()).cause is LineCause.TRANSFERRED


async def completed(board: Switchboard, token: str, sid: str) -> int:
    """The number's status callback says so, signed with `token`; the answer's status."""
    url = f"{board.url}/twilio/status"
    account_sid = board.desk.account.account_sid
    fields = {"CallSid": sid, "CallStatus": "completed", "To": OURS, "AccountSid": account_sid}
    headers = {"X-Twilio-Signature": sign(token, url, fields)}
    async with httpx.AsyncClient() as http:
        return (await http.post(url, data=fields, headers=headers)).status_code


async def test_a_dead_socket_is_found_out_by_the_status(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.streamed.STOP_GRACE_S", 0.05)
    # The carrier ends the call, but neither a stop nor the end of the socket gets through.
    sid = "CA" + "7" * 32
    call = await carrier.call(OURS, THEIRS, Person(start={"callSid": sid}))
    talk = await board.desk.talk()
    assert await completed(board, board.desk.account.auth_token, sid) == 204
    assert (await talk.end()).cause is LineCause.FAR_END
    await call.wait("call.over")


async def test_a_number_with_the_same_account_sid_ends_nobody_elses_call(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.streamed.STOP_GRACE_S", 0.05)
    call = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()

    theirs = connection_of(replace(board.desk.account, auth_token="a token of their own"))
    board.desk.others.append(replace(theirs, phone_number_id="theirs"))
    assert await completed(board, "a token of their own", call.sid) == 204
    await asyncio.sleep(0.2)
    assert not talk.ended
    await talk.line.hang_up()
