"""Who gets a conversation and who does not."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from tests.lines.twilio.switchboard import OURS, THEIRS, TOKEN, Switchboard
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import Person
from chorus.demo.carrier.signature import sign
from chorus.lines.desk import Refused
from chorus.lines.line import LineCause

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "person",
    [
        Person(token="wrong"),
        Person(token="x" * 300),
        Person(call_id="call-of-somebody"),
        Person(signature="bm90IHR3aWxpbydz"),
        Person(signature="a b"),
    ],
)
async def test_a_handshake_of_a_stranger_is_refused(
    board: Switchboard, carrier: CarrierClient, person: Person
) -> None:
    call = await carrier.call(OURS, THEIRS, person)
    assert "HTTP 403" in (await call.wait("stream.unreachable"))["error"]
    assert board.desk.talks.empty()


async def test_a_wrong_signature_uses_no_token_up(
    board: Switchboard, carrier: CarrierClient
) -> None:
    url = await board.media_url()
    with pytest.raises(InvalidStatus):
        await connect(url, additional_headers={"X-Twilio-Signature": "bm90IHR3aWxpbydz"})
    assert board.desk.claims == []
    signature = sign(TOKEN, url, {})
    async with connect(url, additional_headers={"X-Twilio-Signature": signature}):
        assert [right for _, _, right in board.desk.claims] == [True]


async def test_a_relative_of_twilio_signs_no_handshake(
    board: Switchboard, carrier: CarrierClient
) -> None:
    await carrier.call(OURS, THEIRS, Person(signature=""))
    await (await board.desk.talk()).line.hang_up()


@pytest.mark.parametrize(
    "person",
    [
        Person(start={"mediaFormat": None}),
        Person(start={"streamSid": 5}),
        Person(start={"callSid": "x" * 300}),
        Person(media_before_start=True),
    ],
)
async def test_a_broken_start_gets_no_conversation(
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
    async with connect(await board.media_url()) as ws:
        await ws.send('{"event": "connected"}')
        if message is not None:
            await ws.send(message)
        await ws.wait_closed()
        assert ws.close_code == code
    assert board.desk.talks.empty()


async def test_a_flood_of_strangers_holds_up_no_call(
    board: Switchboard, carrier: CarrierClient, caplog: pytest.LogCaptureFixture
) -> None:
    base = (await board.media_url("real")).rsplit("/", 2)[0]

    async def guess(n: int) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{base}/real/guess-{n}")
        assert refused.value.response.status_code == 403

    with caplog.at_level(logging.WARNING, "chorus.lines.strangers"):
        await asyncio.gather(*(guess(n) for n in range(100)))
        await carrier.call(OURS, THEIRS)
        talk = await board.desk.talk()
    await talk.line.hang_up()
    assert len(caplog.messages) <= 1  # one line in ten seconds


async def test_too_many_handshakes_at_once_are_refused(
    board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.strangers.AT_ONCE", 0)
    with pytest.raises(InvalidStatus):
        await connect(await board.media_url())
    assert board.desk.claims == []


async def test_a_token_works_once(board: Switchboard, carrier: CarrierClient) -> None:
    first = await carrier.call(OURS, THEIRS)
    talk = await board.desk.talk()
    call_id, token, right = board.desk.claims[0]
    assert right
    second = await carrier.call(OURS, THEIRS, Person(call_id=call_id, token=token))
    assert "HTTP 403" in (await second.wait("stream.unreachable"))["error"]
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
    start = {
        "streamSid": "MZ1",
        "callSid": "CA1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    }
    async with connect(await board.media_url("broken"), compression=None) as ws:
        await ws.send(json.dumps({"event": "start", "start": start}))
        talk = await board.desk.talk()
        ws.transport.write(frame)
        ended = await talk.end()
    assert ended.cause is LineCause.FAILED
    assert says in ended.detail
    heard = len(other.audio)
    await other.until(lambda: len(other.audio) > heard + 3)
    await other.line.hang_up()
