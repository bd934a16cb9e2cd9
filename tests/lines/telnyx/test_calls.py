"""Whole calls over real sockets, against a Telnyx that behaves as its documents say."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from starlette.responses import JSONResponse, PlainTextResponse
from tests.lines.telnyx import board as boards
from tests.lines.telnyx.board import Board
from tests.lines.telnyx.standin import Call, Person, problem
from tests.lines.twilio.switchboard import OURS, THEIRS, Talk
from websockets.asyncio.client import connect

from chorus.audio.frame import MULAW_8K
from chorus.lines.desk import Refused
from chorus.lines.dtmf import tones
from chorus.lines.line import (
    Dial,
    DialFailed,
    LineCause,
)
from chorus.lines.telnyx.status import machine_result

# Half a second of no silence.
SOUND = bytes(random.Random(4).randrange(0, 0x70) for _ in range(4000))


def sound(audio: bytes) -> bytes:
    return audio.replace(b"\xff", b"")


async def feed(talk: Talk, audio: bytes) -> None:
    """Play with the lead that the line asks for, as a conversation does."""
    for at in range(0, len(audio), 320):
        talk.line.play(audio[at : at + 320])
        while talk.line.ahead_ms > talk.line.lead_ms and not talk.ended:
            await asyncio.sleep(0.01)


async def until_played(call: Call, audio: bytes) -> None:
    assert call.stream is not None
    async with asyncio.timeout(20):
        while audio not in sound(bytes(call.stream.heard)):
            await asyncio.sleep(0.02)


async def streaming(board: Board, call: Call) -> Talk:
    talk = await board.desk.talk()
    await call.wait("streaming")
    return talk


async def test_an_inbound_call_is_heard_both_ways(board: Board) -> None:
    call = board.ring(**{"X-Order-Id": "77", "Subject": "no"})
    talk = await streaming(board, call)
    assert (talk.line.leg_id, talk.line.provider) == (call.id, "telnyx")
    assert talk.line.format == MULAW_8K
    inbound = board.desk.inbound[0]
    assert (inbound.leg_id, inbound.from_, inbound.to) == (call.id, THEIRS, OURS)
    assert inbound.variables == {"sip_x_order_id": "77"}
    assert call.stream is not None
    call.stream.mic += SOUND
    await talk.until(lambda: SOUND in talk.heard)
    times = [at for _, at in talk.audio]
    assert times == [n * 20 for n in range(len(times))]

    await feed(talk, SOUND)
    await until_played(call, SOUND)
    assert talk.line.sent_ms == 500
    assert await call.wait("mark")
    await talk.line.hang_up()
    assert (await talk.end()).cause is LineCause.LOCAL
    await call.wait("over", cause="normal_clearing")
    await board.desk.until(lambda: any(u.ended and u.answered for u in board.desk.updates))
    assert {told["status"] for kind, told in call.events if kind == "webhook"} == {200}
    assert [action for action, _ in call.commands] == ["answer", "hangup"]


async def test_webhooks_that_come_twice_answer_once(board: Board) -> None:
    board.telnyx.sends_twice = True
    call = board.ring()
    await streaming(board, call)
    assert len(board.desk.inbound) == 1
    assert [action for action, _ in call.commands] == ["answer"]
    call.hang_up()
    await call.wait("over")


async def test_frames_out_of_order_are_heard_in_their_place(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    assert call.stream is not None
    call.stream.shuffled = True
    await talk.until(lambda: len(talk.audio) > 10)
    times = [at for _, at in talk.audio]
    assert times == sorted(set(times))
    assert times[-1] > len(times) * 20  # what came too late is a hole
    call.hang_up()


async def test_the_person_hangs_up(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    assert [action for action, _ in call.commands] == ["answer"]


async def test_a_stream_that_drops_ends_the_call_that_would_go_on(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    assert call.stream is not None
    call.stream.ws.transport.abort()
    assert (await talk.end()).cause is LineCause.DROPPED
    await call.wait("command", action="hangup")
    await call.wait("over")


async def test_a_conversation_that_returns_ends_the_call(board: Board) -> None:
    async def goodbye(talk: Talk) -> None:
        await asyncio.sleep(0.1)

    board.desk.behave = goodbye
    call = board.ring()
    await call.wait("streamed", code=1000)
    await call.wait("over", cause="normal_clearing")


async def test_a_stream_of_another_kind_fails_with_a_sentence(board: Board) -> None:
    board.telnyx.start = {"media_format": {"encoding": "G722", "sample_rate": 16000}}
    call = board.ring()
    ended = await (await board.desk.talk()).end()
    assert ended.cause is LineCause.FAILED
    assert "this stream is G722 at 16000 Hz" in ended.detail
    await call.wait("over")


async def test_clear_stops_the_sound_at_once(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    playing = asyncio.create_task(feed(talk, SOUND * 6))
    await asyncio.sleep(0.5)
    playing.cancel()
    talk.line.clear()
    at_clear = talk.line.heard_ms
    assert 100 < at_clear < 600
    await call.wait("clear")
    await asyncio.sleep(0.1)
    # What was cleared moves no position.
    assert talk.line.heard_ms == talk.line.sent_ms == at_clear
    call.hang_up()


async def test_keys_come_once_a_press_and_are_pressed_by_telnyx(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    assert call.stream is not None
    for digit in "12*#A":
        await call.stream.send("dtmf", dtmf={"digit": digit})
    await talk.until(lambda: len(talk.digits) == 5)
    assert talk.digits == list("12*#A")
    talk.line.send_digits("4w#")
    assert (await call.wait("command", action="send_dtmf"))["digits"] == "4w#"
    with pytest.raises(ValueError, match="no key"):
        talk.line.send_digits("x")
    call.hang_up()


async def test_keys_are_pressed_in_the_order_they_were_asked_for(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    board.telnyx.faults.append(0.2)  # the first request is slower than the second
    talk.line.send_digits("1")
    talk.line.send_digits("2")
    await call.wait("command", action="send_dtmf", digits="2")
    assert [wish["digits"] for action, wish in call.commands if action == "send_dtmf"] == ["1", "2"]
    call.hang_up()


async def test_keys_that_telnyx_refuses_go_out_as_tones(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    board.telnyx.faults.append(problem(422, "90053", "Call is not in a state for this command"))
    talk.line.send_digits("4#")
    await until_played(call, sound(tones("4", MULAW_8K)))
    await until_played(call, sound(tones("#", MULAW_8K)))
    call.hang_up()


async def test_a_hang_up_that_telnyx_does_not_carry_out_is_tried_again(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.telnyx.stream.HANG_UP_AFTER_S", (0.0, 0.05, 0.1))
    call = board.ring()
    talk = await streaming(board, call)
    board.telnyx.faults += [problem(503, "", "Unavailable"), problem(500, "", "Unexpected")]
    await talk.line.hang_up()
    assert (await talk.end()).cause is LineCause.LOCAL
    await call.wait("over", cause="normal_clearing")
    assert [action for action, _ in call.commands] == ["answer", "hangup"]


async def test_a_hang_up_is_given_up_in_the_end(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("chorus.lines.telnyx.stream.HANG_UP_AFTER_S", (0.0, 0.02, 0.02))
    call = board.ring()
    talk = await streaming(board, call)
    assert call.stream is not None
    board.telnyx.faults += [problem(503, "", "Unavailable")] * 3
    call.stream.ws.transport.abort()
    assert (await talk.end()).cause is LineCause.DROPPED
    async with asyncio.timeout(20):
        while "may still be open at Telnyx" not in caplog.text:
            await asyncio.sleep(0.02)
    assert board.telnyx.faults == []
    call.hang_up()


async def test_a_second_stream_of_a_call_does_not_cut_off_the_first(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    assert call.stream is not None
    token = await board.desk.issue(talk.call_id)
    url = f"{board.url.replace('http', 'ws')}/telnyx/media/{talk.call_id}/{token}"
    format = {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
    start = {"call_control_id": call.id, "media_format": format}
    async with connect(url) as ws:
        await ws.send(json.dumps({"event": "start", "stream_id": "another", "start": start}))
        await ws.wait_closed()
        assert ws.close_code == 1008
    call.stream.mic += SOUND
    await talk.until(lambda: SOUND in talk.heard)
    await feed(talk, SOUND)
    await until_played(call, SOUND)
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END


@pytest.mark.parametrize(("how", "cause"), [("busy", "user_busy"), ("rejected", "call_rejected")])
async def test_a_refused_call_is_rejected(board: Board, how: str, cause: str) -> None:
    board.desk.refuse = Refused("no room", "busy" if how == "busy" else "rejected")
    call = board.ring()
    await call.wait("over", cause=cause)
    assert board.desk.updates == []
    assert {told["status"] for kind, told in call.events if kind == "webhook"} == {200}


async def test_an_answer_that_does_not_arrive_is_told(board: Board) -> None:
    board.telnyx.faults.append(problem(500, "", "Unexpected error"))
    call = board.ring()
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    ended = board.desk.updates[-1].ended
    assert ended is not None
    assert ended.cause is LineCause.FAILED
    assert "Telnyx did not answer the call: 500 Unexpected error" in ended.detail
    call.hang_up()
    await call.wait("over", cause="originator_cancel")


async def test_audio_that_never_comes_is_told_by_the_status(board: Board) -> None:
    board.telnyx.person = Person(connects=False)
    call = board.ring()
    await call.wait("unreachable")
    call.hang_up()
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    assert board.desk.updates[-1].answered
    assert board.desk.talks.empty()


async def test_an_outbound_call_is_answered_and_reported(board: Board) -> None:
    headers = (("User-to-User", "abc"),)
    dial = Dial("out-1", THEIRS, OURS, 25, {"sip_x_order_id": "77", "name": "Ann"}, headers)
    call = await board.dial(dial)
    talk = await streaming(board, call)
    assert (talk.call_id, talk.line.leg_id) == ("out-1", call.id)
    assert (call.wish["from"], call.wish["to"], call.wish["timeout_secs"]) == (OURS, THEIRS, 25)
    assert call.wish["custom_headers"] == [{"name": "X-Order-Id", "value": "77"}]
    assert call.wish["sip_headers"] == [{"name": "User-to-User", "value": "616263;encoding=hex"}]
    assert call.stream is not None
    call.stream.mic += SOUND
    await talk.until(lambda: SOUND in talk.heard)
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END
    await board.desk.until(lambda: "ended" in board.desk.statuses("out-1"))
    assert board.desk.statuses("out-1") == ["ringing", "answered", "ended"]


@pytest.mark.parametrize(
    ("person", "cause", "detail"),
    [
        (Person("user_busy", "486"), LineCause.BUSY, "SIP 486 Busy Here"),
        (Person("call_rejected", "603"), LineCause.REJECTED, "SIP 603 Decline"),
        (Person("not_found", "404"), LineCause.FAILED, "SIP 404 Not Found"),
        (Person("unspecified"), LineCause.FAILED, "Telnyx says unspecified"),
        (Person("no_answer"), LineCause.NO_ANSWER, ""),
    ],
)
async def test_what_becomes_of_a_call_that_is_not_answered(
    board: Board, person: Person, cause: LineCause, detail: str
) -> None:
    board.telnyx.person = person
    await board.dial(Dial("d-1", THEIRS, OURS))
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    last = board.desk.updates[-1]
    assert not last.answered
    assert last.ended is not None
    assert (last.ended.cause, last.ended.detail) == (cause, detail)


async def test_canceling_while_it_rings_and_after(board: Board) -> None:
    board.telnyx.person = Person("silent")
    dialler = board.carrier.dialler(board.desk.connection, "")
    call = await board.dial(Dial("d-2", THEIRS, OURS, ring_timeout_s=1))
    assert call.wish["timeout_secs"] == 5
    await dialler.cancel(call.id)
    await call.wait("over", cause="originator_cancel")
    await dialler.cancel(call.id)  # over already: nothing happens
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    ended = board.desk.updates[-1].ended
    assert ended is not None
    assert ended.cause is LineCause.CANCELED


async def test_mailboxes_are_told(board: Board) -> None:
    board.telnyx.person = Person(
        machine=(
            ("call.machine.detection.ended", "machine"),
            ("call.machine.greeting.ended", "beep_detected"),
        )
    )
    call = await board.dial(Dial("m-1", THEIRS, OURS, detect_machine=True))
    assert call.wish["answering_machine_detection"] == "greeting_end"
    await board.desk.until(lambda: len(board.desk.machines) == 2)
    assert [(m.heard, m.found, m.message_ended) for m in board.desk.machines] == [
        ("machine", "machine", False),
        ("beep_detected", "machine", True),
    ]
    call.hang_up()


@pytest.mark.parametrize(
    ("result", "found"),
    [("human_residence", "person"), ("fax_detected", "fax"), ("not_sure", None), ("silence", None)],
)
def test_what_else_may_have_answered(result: str, found: str | None) -> None:
    event = "call.machine.premium.detection.ended"
    told = machine_result(event, {"result": result}, "leg", "call")
    assert told is not None
    assert told.found == found


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (problem(500, "", "broken"), "may have been placed"),
        (problem(403, "10010", "D1: not verified"), "refused the call: 403 D1: not verified"),
        (JSONResponse({"errors": "x"}, 422), "refused the call: 422"),
        (PlainTextResponse("x", 200), "no call_control_id"),
        (JSONResponse({"data": {"call_control_id": "x" * 300}}), "no call_control_id"),
        (1.0, "did not answer within 300 ms"),
    ],
)
async def test_an_api_that_breaks_is_a_dial_that_failed(
    board: Board, fault: JSONResponse | float, detail: str
) -> None:
    board.carrier.api.timeout_s = 0.3 if isinstance(fault, float) else 5
    board.telnyx.faults.append(fault)
    with pytest.raises(DialFailed, match=detail):
        await board.dial(Dial("d-7", THEIRS, OURS))


async def test_a_wrong_key_is_told_without_telling_it(board: Board) -> None:
    board.desk.settings["telnyxApiKey"] = "not-the-key"
    with pytest.raises(DialFailed, match="401 Authentication failed") as failed:
        await board.dial(Dial("d-8", THEIRS, OURS))
    assert "not-the-key" not in str(failed.value)


async def test_the_settings_are_checked_against_the_account(board: Board) -> None:
    async def says() -> str | None:
        return await board.carrier.check(board.desk.connection)

    telnyx = board.telnyx
    telnyx.application["webhook_event_url"] = "https://old.example/telnyx/events"
    assert "webhook address is https://old.example/telnyx/events" in str(await says())
    telnyx.application["webhook_event_url"] = board.hook
    assert "the account has no number" in str(await says())
    telnyx.numbers[OURS] = "another"
    assert "not one of the application" in str(await says())
    telnyx.numbers[OURS] = board.desk.settings["telnyxConnectionId"]
    assert await says() is None
    telnyx.application["active"] = False
    assert "is not active" in str(await says())
    board.desk.settings["telnyxPublicKey"] = "no key"
    assert "telnyxPublicKey is no public key" in str(await says())
    board.desk.settings |= boards.settings("http://127.0.0.1:1")
    assert "no clear answer" in str(await says())
