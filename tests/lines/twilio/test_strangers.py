"""Who gets a conversation and who does not."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.lines.twilio.switchboard import OURS, THEIRS, Switchboard
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import Person
from chorus.lines.desk import Refused
from chorus.lines.line import LineCause

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "person",
    [
        Person(parameters={"token": "wrong"}),
        Person(parameters={"token": ""}),
        Person(parameters={"token": None}),
        Person(parameters={"callId": "call-of-somebody"}),
        Person(parameters={"callId": None}),
        Person(start={"customParameters": None}),
        Person(start={"streamSid": 5}),
        Person(start={"callSid": "x" * 300}),
        Person(media_before_start=True),
    ],
)
async def test_a_stranger_gets_no_conversation(
    board: Switchboard, carrier: CarrierClient, person: Person
) -> None:
    call = await carrier.call(OURS, THEIRS, person)
    assert (await call.wait("stream.closed"))["code"] == 1008
    assert board.desk.talks.empty()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00", 1003),
        ("{", 1007),
        ("[]", 1007),
        ('{"event": "start"}', 1008),
        ('{"event": "mark"}', 1008),
        ("x" * 70_000, 1009),
        (None, 1008),  # silence
    ],
)
async def test_a_socket_that_does_not_introduce_itself_is_closed(
    board: Switchboard, monkeypatch: pytest.MonkeyPatch, message: str | bytes | None, code: int
) -> None:
    monkeypatch.setattr("chorus.lines.media_socket.START_TIMEOUT_S", 0.2)
    async with connect(board.media_url) as ws:
        await ws.send('{"event": "connected"}')
        if message is not None:
            await ws.send(message)
        await ws.wait_closed()
        assert ws.close_code == code
    assert board.desk.claims == []


async def test_too_many_strangers_are_turned_away_and_calls_go_on(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.media_socket.MAX_UNAUTHENTICATED", 1)
    call = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()  # has introduced itself, so it is no stranger
    async with connect(board.media_url) as one:
        await one.send('{"event": "connected"}')
        with pytest.raises(InvalidStatus):
            await connect(board.media_url)
    await asyncio.sleep(0.05)
    async with connect(board.media_url):
        assert not talk.ended
    await talk.line.hang_up()
    await call.wait("call.over")


async def test_a_token_works_once(board: Switchboard, carrier: CarrierClient) -> None:
    first = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()
    call_id, token, right = board.desk.claims[0]
    assert right
    again = Person(parameters={"callId": call_id, "token": token})
    second = await carrier.call(OURS, THEIRS, again)
    assert (await second.wait("stream.closed"))["code"] == 1008
    assert not talk.ended
    assert first.events("stream.closed") == []
    await talk.line.hang_up()


async def test_a_format_that_is_not_the_lines_fails_with_a_sentence(
    board: Switchboard, carrier: CarrierClient
) -> None:
    format = {"encoding": "audio/x-l16", "sampleRate": 16000, "channels": 1}
    await carrier.call(OURS, THEIRS, Person(start={"mediaFormat": format}))
    ended = await (await board.desk.talk()).end()
    assert ended.cause is LineCause.FAILED
    assert "audio/x-l16 at 16000 Hz" in ended.detail


@pytest.mark.parametrize(("how", "status"), [("busy", "busy"), ("rejected", "no-answer")])
async def test_a_refused_call_is_not_answered(
    board: Switchboard, carrier: CarrierClient, how: str, status: str
) -> None:
    board.desk.refuse = Refused("no capacity", "busy" if how == "busy" else "rejected")
    call = await carrier.call(OURS, THEIRS)
    assert (await call.wait("call.rejected"))["reason"] == how
    await call.wait("call.over", status=status)


async def test_a_desk_that_does_not_decide_is_a_503(
    board: Switchboard, carrier: CarrierClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(inbound: object) -> Refused:
        await asyncio.sleep(60)
        return Refused("late")

    monkeypatch.setattr("chorus.lines.twilio.routes.ANSWER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(board.desk, "answer", never)
    call = await carrier.call(OURS, THEIRS)
    await call.wait("webhook", status=503)
    await call.wait("call.over", status="failed")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (b"\x81\x05hello", "broke the websocket protocol"),  # not masked
        (b"\x83\x80\0\0\0\0", "broke the websocket protocol"),  # a reserved opcode
        (b"\xc1\x80\0\0\0\0", "broke the websocket protocol"),  # an extension nobody agreed to
        (b"\x09\x80\0\0\0\0", "broke the websocket protocol"),  # a ping in pieces
        (b"\x81\x81\0\0\0\0\xff", "not UTF-8"),
    ],
)
async def test_a_frame_that_is_no_websockets_fails_the_line_and_no_other(
    board: Switchboard, carrier: CarrierClient, frame: bytes, says: str
) -> None:
    await carrier.call(OURS, THEIRS)
    other = await board.desk.talk()
    token = await board.desk.issue("broken")
    start = {
        "streamSid": "MZ1",
        "callSid": "CA1",
        "customParameters": {"callId": "broken", "token": token},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    }
    async with connect(board.media_url, compression=None) as ws:
        await ws.send(json.dumps({"event": "start", "start": start}))
        talk = await board.desk.talk()
        ws.transport.write(frame)
        ended = await talk.end()
    assert ended.cause is LineCause.FAILED
    assert says in ended.detail
    heard = len(other.audio)
    await other.until(lambda: len(other.audio) > heard + 3)
    await other.line.hang_up()
