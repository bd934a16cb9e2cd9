"""Whole calls over real sockets, against a jambonz that behaves as its documents say."""

from __future__ import annotations

import asyncio
from array import array

import pytest
from starlette.responses import JSONResponse, PlainTextResponse
from tests.lines.jambonz import board as boards
from tests.lines.jambonz.board import Board
from tests.lines.jambonz.standin import APPLICATION
from tests.lines.jambonz.standin_call import Call, Person
from tests.lines.twilio.switchboard import OURS, THEIRS, Talk

from chorus.audio.frame import PCM_8K
from chorus.lines.desk import Refused
from chorus.lines.dtmf import tones
from chorus.lines.line import (
    AbsentLine,
    Dial,
    DialFailed,
    LineCause,
    LineMove,
    MoveRefused,
    TransferableLine,
)

# Half a second that no codec makes; -1 is the value of jambonz' own marks.
SOUND = array("h", [4000, -1, -4000, 900, -1, -1, -900, 7] * 500)


def sound(samples: bytes) -> bytes:
    """Without silence, and without what is sent as silence: a mark costs a sample, and a busy
    machine makes holes."""
    return array("h", [n for n in array("h", samples) if n not in (0, -1)]).tobytes()


async def feed(talk: Talk, audio: bytes) -> None:
    """Play with the lead that the line asks for, as a conversation does."""
    for at in range(0, len(audio), 640):
        talk.line.play(audio[at : at + 640])
        while talk.line.ahead_ms > talk.line.lead_ms and not talk.ended:
            await asyncio.sleep(0.01)


async def heard_all(talk: Talk) -> None:
    async with asyncio.timeout(20):
        while talk.line.heard_ms < talk.line.sent_ms:
            await asyncio.sleep(0.02)


def played(call: Call) -> bytes:
    assert call.stream is not None
    return sound(call.stream.heard.tobytes())


async def until_played(call: Call, audio: bytes) -> None:
    async with asyncio.timeout(20):
        while sound(audio) not in played(call):
            await asyncio.sleep(0.02)


async def test_an_inbound_call_is_heard_both_ways(board: Board) -> None:
    sip = {"headers": {"X-Order-Id": "77", "subject": "no"}}
    call = board.ring(sip=sip)
    talk = await board.desk.talk()
    assert (await call.wait("listening"))["subprotocol"] == "audio.jambonz.org"
    assert (talk.line.leg_id, talk.line.provider) == (call.sid, "jambonz")
    assert talk.line.format == PCM_8K
    inbound = board.desk.inbound[0]
    assert (inbound.leg_id, inbound.from_, inbound.to) == (call.sid, THEIRS, OURS)
    assert inbound.variables == {"sip_x_order_id": "77"}
    assert call.stream is not None
    call.stream.mic += SOUND.tobytes()
    await talk.until(lambda: SOUND.tobytes() in talk.heard)
    times = [at for _, at in talk.audio]
    assert times == [n * 20 for n in range(len(times))]

    await feed(talk, SOUND.tobytes())
    await heard_all(talk)
    assert talk.line.sent_ms == 500
    # To the last sample: what jambonz holds back is pushed out.
    await until_played(call, SOUND.tobytes())
    assert {told["event"] for kind, told in call.events if kind == "mark"} == {"playout"}
    await talk.line.hang_up()
    assert (await talk.end()).cause is LineCause.LOCAL
    await call.wait("over", status="completed")
    assert any(ended.answered and ended.ended for ended in board.desk.updates)
    assert {told["status"] for kind, told in call.events if kind == "webhook"} <= {200, 204}


async def test_marks_move_the_position_and_not_too_early(board: Board) -> None:
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    began = asyncio.get_running_loop().time()
    talk.line.play(SOUND.tobytes())
    await call.wait("mark", event="playout")
    assert asyncio.get_running_loop().time() - began > 0.25  # the first follows 400 ms of audio
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END


async def test_the_person_hangs_up(board: Board) -> None:
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    ended = board.desk.updates[-1]
    assert (ended.answered, ended.answered_s) == (True, 0)
    talk.line.play(SOUND.tobytes())
    assert talk.line.sent_ms == 0
    await talk.line.hang_up()


async def test_a_stream_that_drops_is_no_hang_up(board: Board) -> None:
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    assert call.stream is not None
    call.stream.ws.transport.abort()
    ended = await talk.end()
    assert ended.cause is LineCause.DROPPED


async def test_a_conversation_that_returns_ends_the_call(board: Board) -> None:
    async def goodbye(talk: Talk) -> None:
        await asyncio.sleep(0.1)

    board.desk.behave = goodbye
    call = board.ring()
    await call.wait("listened", code=1000)
    await call.wait("over", status="completed")


async def test_clear_stops_the_sound_at_once(board: Board) -> None:
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    playing = asyncio.create_task(feed(talk, SOUND.tobytes() * 6))
    await asyncio.sleep(0.7)
    playing.cancel()
    talk.line.clear()
    at_clear = talk.line.heard_ms
    assert 300 < at_clear < 700
    await call.wait("command", type="killAudio")
    await call.wait("mark", event="cleared")
    # What was cleared moves no position.
    await asyncio.sleep(0.1)
    assert talk.line.heard_ms == talk.line.sent_ms == at_clear
    samples = len(played(call)) / 2 * 8 / 5  # 5 of 8 are not silent
    assert samples / 8 == pytest.approx(at_clear, abs=200)
    await feed(talk, SOUND.tobytes())
    await heard_all(talk)
    assert talk.line.sent_ms == at_clear + 500
    call.hang_up()


async def test_keys_come_once_a_press_and_are_pressed_by_jambonz(board: Board) -> None:
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    assert call.stream is not None
    for digit in "12*#A":
        await call.stream.press(digit)
    await talk.until(lambda: len(talk.digits) == 5)
    assert talk.digits == list("12*#A")
    with pytest.raises(ValueError, match="no key"):
        talk.line.send_digits("1x")
    talk.line.play(SOUND.tobytes())
    talk.line.send_digits("4w")
    talk.line.send_digits("#")
    async with asyncio.timeout(20):
        while call.pressed != "4#":
            assert talk.line.heard_ms > 400 or not call.pressed, "before it was heard"
            await asyncio.sleep(0.05)
    call.hang_up()


async def test_keys_that_an_older_jambonz_does_not_press_are_tones(board: Board) -> None:
    board.jambonz.presses = False
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    talk.line.send_digits("4")
    await until_played(call, tones("4", PCM_8K))
    board.jambonz.presses = True
    call.hang_up()


async def test_another_rate_is_asked_for_and_taken(board: Board) -> None:
    board.desk.settings["jambonzSampleRate"] = "16000"
    call = board.ring()
    talk = await board.desk.talk()
    assert talk.line.format.rate_hz == 16000
    verb = await call.wait("verb", verb="listen")
    assert verb["bidirectionalAudio"]["sampleRate"] == verb["sampleRate"] == 16000
    await talk.until(lambda: len(talk.audio) > 2)
    assert {len(chunk) for chunk, _ in talk.audio} == {640}
    call.hang_up()


@pytest.mark.parametrize("start", [{"sampleRate": 11025}, {"mixType": "stereo"}])
async def test_a_stream_of_another_kind_fails_with_a_sentence(
    board: Board, start: dict[str, object]
) -> None:
    board.jambonz.start = start
    board.ring()
    ended = await (await board.desk.talk()).end()
    assert ended.cause is LineCause.FAILED
    assert "Chorus takes a mono stream" in ended.detail


@pytest.mark.parametrize(("how", "sip"), [("busy", 486), ("rejected", 603)])
async def test_a_refused_call_is_declined(board: Board, how: str, sip: int) -> None:
    board.desk.refuse = Refused("no room", "busy" if how == "busy" else "rejected")
    call = board.ring()
    await call.wait("status", status="failed", sip=sip)
    await call.wait("over")
    assert {told["status"] for kind, told in call.events if kind == "webhook"} == {200, 204}


async def test_audio_that_never_comes_is_told_by_the_status(board: Board) -> None:
    board.jambonz.person = Person(connects=False)
    call = board.ring()
    await call.wait("over", status="completed")
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    last = board.desk.updates[-1]
    assert last.answered
    assert last.ended is not None
    assert last.ended.cause is LineCause.DROPPED
    assert board.desk.talks.empty()


async def test_an_outbound_call_is_answered_and_reported(board: Board) -> None:
    variables = {"sip_x_order_id": "77", "name": "Ann"}
    call = await board.dial(Dial("out-1", THEIRS, OURS, ring_timeout_s=25, variables=variables))
    talk = await board.desk.talk()
    assert (talk.call_id, talk.line.leg_id) == ("out-1", call.sid)
    assert call.wish["from"] == OURS
    assert call.wish["to"] == {"type": "phone", "number": THEIRS}
    assert (call.wish["timeout"], call.wish["headers"]) == (25, {"X-Order-Id": "77"})
    await call.wait("listening")
    assert call.stream is not None
    call.stream.mic += SOUND.tobytes()
    await talk.until(lambda: SOUND.tobytes() in talk.heard)
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END
    await board.desk.until(lambda: "ended" in board.desk.statuses("out-1"))
    assert board.desk.statuses("out-1") == ["ringing", "answered", "ended"]


async def test_a_call_to_an_address_with_headers_and_the_callers_number(board: Board) -> None:
    address, caller = "sip:200@pbx.example.com", "+4930123456"
    dial = Dial(
        "out-2",
        address,
        caller,
        variables={"sip_x_order_id": "77", "sip_x_team": "a"},
        headers=(("X-Order-Id", "78\r\nVia: x"),),
    )
    call = await board.dial(dial)
    await board.desk.talk()
    assert call.wish["from"] == caller
    assert call.wish["to"] == {"type": "sip", "sipUri": address}
    assert call.wish["headers"] == {"X-Team": "a", "X-Order-Id": "78  Via: x"}


@pytest.mark.parametrize(
    ("sip", "cause", "detail"),
    [
        (486, LineCause.BUSY, "SIP 486 Busy Here"),
        (603, LineCause.REJECTED, "SIP 603 Decline"),
        (480, LineCause.NO_ANSWER, "SIP 480"),
        (404, LineCause.FAILED, "SIP 404"),
        (503, LineCause.FAILED, "SIP 503"),
        (0, LineCause.NO_ANSWER, "SIP 487"),
    ],
)
async def test_what_becomes_of_a_call_that_is_not_answered(
    board: Board, sip: int, cause: LineCause, detail: str
) -> None:
    board.jambonz.person = Person(answer=sip)
    await board.dial(Dial("d-1", THEIRS, OURS, ring_timeout_s=1))
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    last = board.desk.updates[-1]
    assert not last.answered
    assert last.ended is not None
    assert last.ended.cause is cause
    assert last.ended.detail.startswith(detail)


async def test_canceling_while_it_rings_and_after(board: Board) -> None:
    board.jambonz.person = Person(ring_s=30)
    dialler = board.carrier.dialler(board.desk.connection, "")
    call = await board.dial(Dial("d-2", THEIRS, OURS))
    await call.wait("status", status="ringing")
    await dialler.cancel(call.sid)
    await call.wait("over", status="no-answer")
    await dialler.cancel(call.sid)  # over already: nothing happens
    board.jambonz.person = Person()
    call = await board.dial(Dial("d-3", THEIRS, OURS))
    talk = await board.desk.talk()
    await call.wait("listening")
    await dialler.cancel(call.sid)
    assert (await talk.end()).cause is LineCause.FAR_END
    await call.wait("over", status="completed")


async def test_with_an_application_mailboxes_are_told(board: Board) -> None:
    board.desk.settings["jambonzApplicationSid"] = APPLICATION
    board.jambonz.application = {
        "call_hook": f"{board.url}/jambonz/call",
        "call_status_hook": f"{board.url}/jambonz/status",
    }
    amd = ("amd_machine_detected", "amd_tone_detected", "amd_stopped")
    board.jambonz.person = Person(amd=amd)
    call = await board.dial(Dial("m-1", THEIRS, OURS, detect_machine=True))
    assert "call_hook" not in call.wish
    await board.desk.until(lambda: len(board.desk.machines) == 2)
    assert [(m.heard, m.found, m.message_ended) for m in board.desk.machines] == [
        ("machine_detected", "machine", False),
        ("tone_detected", "machine", True),
    ]
    await (await board.desk.talk()).line.hang_up()
    await call.wait("over")


async def test_mailboxes_are_not_told_without_one(board: Board) -> None:
    with pytest.raises(DialFailed, match="needs jambonzApplicationSid"):
        await board.dial(Dial("m-2", THEIRS, OURS, detect_machine=True))
    assert board.jambonz.placed == []


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("+15551112222", {"type": "phone", "number": "+15551112222"}),
        ("sip:ann@pbx.example", {"type": "sip", "sipUri": "sip:ann@pbx.example"}),
    ],
)
async def test_a_transfer_is_no_hang_up(board: Board, to: str, target: dict[str, str]) -> None:
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    line = talk.line
    assert isinstance(line, TransferableLine)
    await line.transfer(to, 45)
    assert (await talk.end()).cause is LineCause.TRANSFERRED
    assert talk.moves == [LineMove.TRANSFERRED]
    verb = await call.wait("verb", verb="dial")
    assert (verb["target"], verb["callerId"], verb["timeout"]) == ([target], OURS, 45)
    with pytest.raises(MoveRefused):
        await line.transfer(to)
    call.hang_up()
    await call.wait("over", status="completed")


@pytest.mark.parametrize(
    "callee", [Person(answer=486), Person(answer=503), Person(answer=0), Person(ring_s=60)]
)
async def test_who_is_not_reached_brings_the_caller_back(board: Board, callee: Person) -> None:
    """On a stream of its own: the same line goes on, in its own time."""
    board.jambonz.callee = callee
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    line = talk.line
    assert isinstance(line, AbsentLine)
    await talk.until(lambda: bool(talk.audio))
    await line.transfer("+15551112222", 1)
    line.play(bytes(8000))  # music for somebody who does not hear it
    await talk.until(lambda: bool(talk.moves))
    assert talk.moves == [LineMove.NOT_TRANSFERRED]
    assert not talk.ended
    heard = len(talk.audio)
    await talk.until(lambda: len(talk.audio) > heard + 5)
    times = [at_ms for _, at_ms in talk.audio]
    assert times == sorted(times)
    # The agent is heard again, and the caller may be transferred once more.
    assert call.stream is not None
    stream = call.stream
    line.play(SOUND.tobytes())
    await talk.until(lambda: any(stream.heard))
    board.jambonz.callee = Person()
    await line.transfer("+15551112222")
    assert (await talk.end()).cause is LineCause.TRANSFERRED
    call.hang_up()
    await call.wait("over", status="completed")


async def test_a_caller_who_leaves_while_somebody_is_called_has_hung_up(board: Board) -> None:
    board.jambonz.callee = Person(ring_s=60)
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    assert isinstance(talk.line, TransferableLine)
    await talk.line.transfer("+15551112222")
    await call.wait("verb", verb="dial")
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END
    assert talk.moves == []


async def test_a_refused_transfer_leaves_the_call(board: Board) -> None:
    call = board.ring()
    talk = await board.desk.talk()
    await call.wait("listening")
    line = talk.line
    assert isinstance(line, TransferableLine)
    board.jambonz.faults.append(JSONResponse({"msg": "call session is gone"}, 422))
    with pytest.raises(MoveRefused, match="call session is gone"):
        await line.transfer("+15551112222")
    assert not talk.ended
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (JSONResponse({"msg": "no available SBCs"}, 500), "may have been placed"),
        (JSONResponse({"msg": "invalid to"}, 400), "refused the call: 400 invalid to"),
        (PlainTextResponse("x", 201), "no call SID"),
        (PlainTextResponse("[" * 300_000, 201), "may have been placed"),
        (1.0, "did not answer within 300 ms"),
    ],
)
async def test_an_api_that_breaks_is_a_dial_that_failed(
    board: Board, fault: JSONResponse | float, detail: str
) -> None:
    board.carrier.api._timeout_s = 0.3 if isinstance(fault, float) else 5
    board.jambonz.faults.append(fault)
    with pytest.raises(DialFailed, match=detail):
        await board.dial(Dial("d-7", THEIRS, OURS))


async def test_a_wrong_key_is_told_without_telling_it(board: Board) -> None:
    board.desk.settings["jambonzApiKey"] = "not-the-key"
    with pytest.raises(DialFailed, match="401 invalid token") as failed:
        await board.dial(Dial("d-8", THEIRS, OURS))
    assert "not-the-key" not in str(failed.value)


async def test_the_settings_are_checked_against_the_account(board: Board) -> None:
    assert await board.carrier.check(board.desk.connection) is None
    board.desk.settings["jambonzWebhookSecret"] = "another"
    says = await board.carrier.check(board.desk.connection)
    assert says is not None
    assert "webhook secret is another" in says
    board.desk.settings |= boards.settings("http://127.0.0.1:1")
    says = await board.carrier.check(board.desk.connection)
    assert says is not None
    assert "no clear answer" in says
