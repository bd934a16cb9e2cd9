"""Whole calls: the scenario as it is shipped runs in a Voximplant of the tests' own."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import pytest
from tests.lines.twilio.switchboard import OURS, THEIRS, Talk
from tests.lines.voximplant.board import APPLICATION, SECRET, Board
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chorus.audio.frame import MULAW_8K
from chorus.lines.desk import Refused
from chorus.lines.line import (
    Dial,
    DialFailed,
    LineCause,
    LineMove,
    MoveRefused,
    TransferableLine,
)
from chorus.lines.streamed import MAX_BAD
from chorus.lines.voximplant.stream import VoximplantLine

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOUND = bytes([0x10, 0x90, 0x33, 0x44]) * 1000  # half a second


async def feed(talk: Talk, audio: bytes) -> None:
    """Play with the lead that the line asks for, as a conversation does."""
    for at in range(0, len(audio), 320):
        talk.line.play(audio[at : at + 320])
        while talk.line.ahead_ms > talk.line.lead_ms and not talk.ended:
            await asyncio.sleep(0.01)


async def until_heard(board: Board, id: int, audio: bytes) -> None:
    """Silence apart, which a busy machine makes."""
    wanted = audio.replace(b"\xff", b"")
    async with asyncio.timeout(20):
        while wanted not in (await board.voximplant.heard(id)).replace(b"\xff", b""):
            await asyncio.sleep(0.05)


async def test_an_inbound_call_is_heard_both_ways(board: Board) -> None:
    id = await board.voximplant.ring(**{"X-Order-Id": "77", "VI-Client-Type": "pstn"})
    talk = await board.desk.talk()
    call = await board.voximplant.listening(id)
    assert (talk.line.leg_id, talk.line.provider) == (call["leg"], "voximplant")
    inbound = board.desk.inbound[0]
    assert (inbound.leg_id, inbound.from_, inbound.to) == (call["leg"], THEIRS, OURS)
    assert inbound.variables == {"sip_x_order_id": "77"}
    await board.voximplant.say(id, SOUND)
    await talk.until(lambda: SOUND in talk.heard)
    assert [at for _, at in talk.audio] == [n * 20 for n in range(len(talk.audio))]
    await feed(talk, SOUND)
    await until_heard(board, id, SOUND)
    assert talk.line.heard_ms == talk.line.sent_ms == 500
    await talk.line.hang_up()
    assert (await talk.end()).cause is LineCause.LOCAL
    call = await board.voximplant.until(id, lambda call: call["over"])
    assert call["state"] == "over"
    await board.desk.until(lambda: any(u.ended and u.answered for u in board.desk.updates))


async def test_the_person_hangs_up(board: Board) -> None:
    id = await board.voximplant.ring()
    talk = await board.desk.talk()
    await board.voximplant.listening(id)
    await board.voximplant.do("hangup", id=id)
    assert (await talk.end()).cause is LineCause.FAR_END
    call = await board.voximplant.until(id, lambda call: call["over"])
    path, told, status = call["log"][-1]
    assert (path, status) == ("/voximplant/status", 204)
    assert (told["status"], told["answered"], told["code"]) == ("ended", True, 200)
    assert board.desk.updates[-1].answered_s == 0


async def test_a_stream_that_drops_is_no_hang_up_and_ends_the_call(board: Board) -> None:
    id = await board.voximplant.ring()
    talk = await board.desk.talk()
    await board.voximplant.listening(id)
    await board.voximplant.do("drop", id=id)
    assert (await talk.end()).cause is LineCause.DROPPED
    await board.voximplant.until(id, lambda call: call["over"])


async def test_a_conversation_that_returns_ends_the_call(board: Board) -> None:
    async def goodbye(talk: Talk) -> None:
        await asyncio.sleep(0.1)

    board.desk.behave = goodbye
    id = await board.voximplant.ring()
    call = await board.voximplant.until(id, lambda call: call["over"])
    assert (call["state"], call["closed"]) == ("over", 1000)


async def test_clear_stops_the_sound_at_once(board: Board) -> None:
    id = await board.voximplant.ring()
    talk = await board.desk.talk()
    await board.voximplant.listening(id)
    playing = asyncio.create_task(feed(talk, SOUND * 6))
    await asyncio.sleep(0.7)
    playing.cancel()
    talk.line.clear()
    at_clear = talk.line.heard_ms
    assert talk.line.sent_ms == at_clear
    await board.voximplant.until(id, lambda call: call["cleared"] == 1)
    await asyncio.sleep(0.1)
    sound = (await board.voximplant.heard(id)).replace(b"\xff", b"")
    assert len(sound) / 8 == pytest.approx(at_clear, abs=200)
    talk.line.play(SOUND)
    assert talk.line.sent_ms == at_clear + 500
    await talk.line.hang_up()


async def test_keys_come_once_a_press(board: Board) -> None:
    id = await board.voximplant.ring()
    talk = await board.desk.talk()
    await board.voximplant.listening(id)
    for tone in "12*#":
        await board.voximplant.do("press", id=id, tone=tone)
    await talk.until(lambda: len(talk.digits) == 4)
    assert talk.digits == list("12*#")
    with pytest.raises(ValueError, match="no key"):
        talk.line.send_digits("1x")
    talk.line.send_digits("4w")
    talk.line.send_digits("#")
    await board.voximplant.until(id, lambda call: call["pressed"] == "4#")
    assert talk.line.sent_ms == 0
    await talk.line.hang_up()


@pytest.mark.parametrize(("how", "code"), [("busy", 486), ("rejected", 603)])
async def test_a_refused_call_is_not_answered(board: Board, how: str, code: int) -> None:
    board.desk.refuse = Refused("no room", "busy" if how == "busy" else "rejected")
    id = await board.voximplant.ring()
    call = await board.voximplant.until(id, lambda call: call["over"])
    assert call["code"] == code


async def test_a_scenario_with_another_secret_is_refused(board: Board) -> None:
    await board.voximplant.do("board", secret="x" * 32)
    id = await board.voximplant.ring()
    call = await board.voximplant.until(id, lambda call: call["over"])
    assert call["code"] == 503
    assert call["log"][0][2] == 403
    assert board.desk.inbound == []


async def test_an_outbound_call_is_answered_and_reported(board: Board) -> None:
    leg_id = await board.dial(Dial("out-1", THEIRS, OURS))
    talk = await board.desk.talk()
    assert (talk.call_id, talk.line.leg_id) == ("out-1", leg_id)
    call = await board.voximplant.listening(0)
    assert (call["to"], call["from"]) == (THEIRS[1:], OURS[1:])
    await board.voximplant.say(0, SOUND)
    await talk.until(lambda: SOUND in talk.heard)
    await board.voximplant.do("hangup", id=0)
    assert (await talk.end()).cause is LineCause.FAR_END
    await board.desk.until(lambda: "ended" in board.desk.statuses("out-1"))
    assert board.desk.statuses("out-1") == ["ringing", "answered", "ended"]
    assert {update.leg_id for update in board.desk.updates} == {leg_id}


async def test_an_address_is_called(board: Board) -> None:
    address = f"sip:{'2' * 30}@{'a' * 21}.example"  # as long as one may be
    assert len(address) == 64
    await board.dial(Dial(str(uuid.uuid4()), address, "+123456789012345", ring_timeout_s=120))
    await board.desk.talk()
    assert (await board.voximplant.listening(0))["to"] == address


@pytest.mark.parametrize(
    ("code", "cause", "detail"),
    [
        (486, LineCause.BUSY, "SIP 486"),
        (603, LineCause.REJECTED, "SIP 603"),
        (480, LineCause.NO_ANSWER, "SIP 480"),
        (404, LineCause.FAILED, "SIP 404"),
        (0, LineCause.NO_ANSWER, "SIP 408"),
    ],
)
async def test_what_becomes_of_a_call_that_is_not_answered(
    board: Board, code: int, cause: LineCause, detail: str
) -> None:
    await board.voximplant.do("board", person={"answer": code})
    await board.dial(Dial("d-1", THEIRS, OURS, ring_timeout_s=1))
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates))
    last = board.desk.updates[-1]
    assert not last.answered
    assert last.ended is not None
    assert last.ended.cause is cause
    assert last.ended.detail.startswith(detail)
    await board.voximplant.until(0, lambda call: call["over"])


async def test_canceling_while_it_rings_and_after(board: Board) -> None:
    await board.voximplant.do("board", person={"ring": 30_000})
    dialler = board.carrier.dialler(board.desk.connection, "")
    leg_id = await board.dial(Dial("d-2", THEIRS, OURS))
    await board.desk.until(lambda: board.desk.statuses("d-2") == ["ringing"])
    await dialler.cancel(leg_id)
    call = await board.voximplant.until(0, lambda call: call["over"])
    assert call["code"] == 487
    await dialler.cancel(leg_id)  # over already: nothing happens
    board.desk.settings["voximplantScenarioSecret"] = "another"
    await board.voximplant.do("board", person={"ring": 30_000})
    board.desk.settings["voximplantScenarioSecret"] = SECRET
    leg_id = await board.dial(Dial("d-3", THEIRS, OURS))
    board.desk.settings["voximplantScenarioSecret"] = "another"
    with pytest.raises(DialFailed, match="another CHORUS_SECRET"):
        await dialler_of(board).cancel(leg_id)
    board.desk.settings["voximplantScenarioSecret"] = SECRET
    await dialler_of(board).cancel(leg_id)


def dialler_of(board: Board):
    return board.carrier.dialler(board.desk.connection, "")


async def test_audio_that_never_comes_ends_the_call(board: Board) -> None:
    await board.voximplant.do("board", person={"connects": False})
    id = await board.voximplant.ring()
    await board.voximplant.until(id, lambda call: call["over"])
    await board.desk.until(lambda: any(u.ended and u.answered for u in board.desk.updates))
    assert board.desk.talks.empty()


@pytest.mark.parametrize("to", ["+15551112222", "sip:ann@pbx.example"])
async def test_a_transfer_is_told_when_somebody_answers(board: Board, to: str) -> None:
    id = await board.voximplant.ring()
    talk = await board.desk.talk()
    await board.voximplant.listening(id)
    line = talk.line
    assert isinstance(line, TransferableLine)
    await line.transfer(to)
    with pytest.raises(MoveRefused):
        await line.transfer(to)
    assert (await talk.end()).cause is LineCause.TRANSFERRED
    assert talk.moves == [LineMove.TRANSFERRED]
    target = to.removeprefix("+")
    call = await board.voximplant.until(id, lambda call: call["peer"] == target)
    assert call["state"] == "connected"
    other = await board.voximplant.call(id + 1)
    assert (other["to"], other["from"]) == (target, OURS[1:])
    await board.voximplant.do("hangup", id=id + 1)
    await board.voximplant.until(id, lambda call: call["over"])


async def test_a_transfer_that_nobody_answers_comes_back(board: Board) -> None:
    id = await board.voximplant.ring()
    talk = await board.desk.talk()
    await board.voximplant.listening(id)
    await board.voximplant.do("board", person={"answer": 486})
    line = talk.line
    assert isinstance(line, TransferableLine)
    await line.transfer("+15551112222")
    await talk.until(lambda: talk.moves == [LineMove.NOT_TRANSFERRED])
    assert not talk.ended
    talk.line.play(SOUND)
    await until_heard(board, id, SOUND)
    # Nor may it ring for longer than was said.
    await board.voximplant.do("board", person={"ring": 60_000})
    await line.transfer("+15551112222", 1)
    await talk.until(lambda: talk.moves == 2 * [LineMove.NOT_TRANSFERRED])
    # And a person who hangs up while somebody else rings has hung up.
    await board.voximplant.do("board", person={"ring": 30_000})
    await line.transfer("+15551112222")
    await board.voximplant.until(id + 3, lambda call: call["state"] == "ringing")
    await board.voximplant.do("hangup", id=id)
    assert (await talk.end()).cause is LineCause.FAR_END
    await board.voximplant.until(id + 3, lambda call: call["state"] == "over")


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ({"body": {"error": {"code": 100, "msg": "no"}}}, "refused the call: error 100: no"),
        ({"status": 500, "body": "oops"}, "may have been placed"),
        ({"body": {"result": 1}}, "holds no address"),
        ({"body": "x" * 300_000}, "may have been placed"),
        ({"sleep": 1500}, "did not answer within 300 ms"),
    ],
)
async def test_an_api_that_breaks_is_a_dial_that_failed(
    board: Board, fault: dict[str, object], detail: str
) -> None:
    board.carrier.api._timeout_s = 0.3 if "sleep" in fault else 5
    await board.voximplant.do("board", faults=[fault])
    with pytest.raises(DialFailed, match=detail):
        await board.dial(Dial("d-7", THEIRS, OURS))


async def test_the_settings_are_checked_against_the_account(board: Board) -> None:
    assert await board.carrier.check(board.desk.connection) is None
    board.desk.settings["voximplantApplicationId"] = APPLICATION
    assert await board.carrier.check(board.desk.connection) is None
    board.desk.settings["voximplantRuleId"] = "43"
    says = await board.carrier.check(board.desk.connection)
    assert says is not None
    assert "no rule with voximplantRuleId" in says
    board.desk.settings["voximplantApiKey"] = "wrong-key"
    says = await board.carrier.check(board.desk.connection)
    assert says is not None
    assert "Authorization failed" in says
    assert "wrong-key" not in says
    # The key is in no address.
    assert all("api_key" not in asked["path"] for asked in await board.voximplant.do("asked"))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"legId": "x", "to": OURS}, {}, 403),
        ({"legId": "x", "to": OURS}, {"Authorization": "Bearer wrong"}, 403),
        ({"legId": "x", "to": OURS}, {"Authorization": f"Basic {SECRET}"}, 403),
        ({"legId": "x", "to": "15557654321"}, {"Authorization": f"Bearer {SECRET}"}, 403),
        ({"to": OURS}, {"Authorization": f"Bearer {SECRET}"}, 400),
        ({"legId": "x" * 300, "to": OURS}, {"Authorization": f"Bearer {SECRET}"}, 400),
    ],
)
async def test_what_is_not_the_scenarios_is_refused(
    board: Board, body: dict[str, str], headers: dict[str, str], status: int
) -> None:
    async with httpx.AsyncClient(base_url=board.url) as http:
        answer = await http.post("/voximplant/call", json=body, headers=headers)
        assert answer.status_code == status
        told = await http.post(
            "/voximplant/status", json=body | {"callId": "c", "status": "ended"}, headers=headers
        )
        assert told.status_code == status
    assert board.desk.inbound == []
    assert board.desk.updates == []


async def test_who_sends_too_much_that_is_not_the_scenarios_is_turned_away(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.strangers.REFUSALS", 3)
    body = {"legId": "x", "to": OURS}
    async with httpx.AsyncClient(base_url=board.url) as http:
        answers = [await http.post("/voximplant/call", json=body) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [403] * 3 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\0", 1003),
        ("{", 1007),
        ('{"event": "start"}', 1007),
        ('{"event": "media"}', 1008),
        ('{"event": "start", "start": {"mediaFormat": {"encoding": "ULAW", "sampleRate": 8000}, '
         '"customParameters": {"legId": 7}}}', 1008),
        (None, 1008),
    ],
)  # fmt: skip
async def test_a_socket_that_does_not_introduce_itself_is_closed(
    board: Board, monkeypatch: pytest.MonkeyPatch, message: str | bytes | None, code: int
) -> None:
    monkeypatch.setattr("chorus.lines.media_socket.START_TIMEOUT_S", 0.2)
    base = f"{board.url.replace('http', 'ws')}/voximplant/media"
    token = await board.desk.issue("c-1")
    with pytest.raises(InvalidStatus):
        await connect(f"{base}/c-1/guess")
    async with connect(f"{base}/c-1/{token}") as ws:
        if message is not None:
            await ws.send(message)
        await ws.wait_closed()
        assert ws.close_code == code
    assert board.desk.talks.empty()


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "7",
        b"\0",
        "x" * 70_000,
        '{"event": "media"}',
        '{"event": "media", "media": {"payload": "a"}}',
        '{"chorus": "digit", "digit": "12"}',
        '{"chorus": "transferred"}',
    ],
)
async def test_bad_messages_are_counted_and_too_many_end_the_line(message: str | bytes) -> None:
    line = VoximplantLine("leg")
    for n in range(MAX_BAD):
        line.take(message)
        assert line.bad == n + 1
    line.take(message)
    assert line.ended is not None
    assert line.ended.cause is LineCause.FAILED


async def test_the_format_is_mulaw() -> None:
    assert VoximplantLine("leg").format == MULAW_8K
