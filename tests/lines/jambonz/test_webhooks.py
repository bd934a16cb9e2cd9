"""What is believed of a webhook, and what of a websocket."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from tests.lines.jambonz.board import Board, JambonzDesk, settings
from tests.lines.jambonz.standin import SECRET
from tests.lines.jambonz.standin_call import ACCOUNT, signature
from tests.lines.twilio.switchboard import OURS, THEIRS
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chorus.lines.jambonz.carrier import JambonzCarrier
from chorus.lines.jambonz.links import Links, opened
from chorus.lines.jambonz.routes import e164
from chorus.lines.jambonz.signature import signed
from chorus.lines.jambonz.stream import JambonzLine
from chorus.lines.line import LineCause
from chorus.lines.streamed import MAX_BAD
from chorus.lines.twilio.account import TwilioAccount
from chorus.outbound import Outbound

PUBLIC = "https://voice.example"
RING = {
    "call_sid": "c1",
    "account_sid": ACCOUNT,
    "direction": "inbound",
    "from": THEIRS,
    "to": OURS,
    "call_status": "trying",
}


class Visitor:
    """Somebody who posts to the routes."""

    def __init__(self, http: httpx.AsyncClient, desk: JambonzDesk) -> None:
        self.http = http
        self.desk = desk

    async def post(
        self, path: str, body: dict[str, Any] | bytes, secret: str = SECRET, **headers: str
    ) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **signature(raw, secret), **headers}
        return await self.http.post(path, content=raw, headers=sent)


@pytest_asyncio.fixture
async def visitor() -> AsyncGenerator[Visitor]:
    desk = JambonzDesk(TwilioAccount("", ""))
    desk.settings = settings("http://127.0.0.1:1")
    app = FastAPI()
    carrier = JambonzCarrier(PUBLIC + "/", "wss://voice.example", Outbound())
    app.router.routes.extend(carrier.routes(desk))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://inside:8000") as http:
        yield Visitor(http, desk)


async def test_a_signed_ring_is_answered_with_a_stream(visitor: Visitor) -> None:
    answer = await visitor.post("/jambonz/call", RING)
    assert answer.status_code == 200
    listen, hangup = answer.json()
    assert (listen["verb"], hangup) == ("listen", {"verb": "hangup"})
    base, call_id, token = listen["url"].rsplit("/", 2)
    assert base == "wss://voice.example/jambonz/media"
    assert listen["actionHook"] == f"{PUBLIC}/jambonz/done/{call_id}"
    assert await visitor.desk.claim(call_id, token)


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({}, {"secret": "another"}),
        ({}, {"Jambonz-Signature": ""}),
        ({}, {"Jambonz-Signature": "t=x,v1=y"}),
        ({}, signature(json.dumps(RING | {"to": "+15550009"}).encode(), SECRET)),
        ({}, signature(json.dumps(RING).encode(), SECRET, int(time.time()) - 10_000)),
        # Far enough off for a run of the tests that takes long: this is said when they are read.
        ({}, signature(json.dumps(RING).encode(), SECRET, int(time.time()) + 10_000)),
        ({"to": "+15557654321"}, {}),
        ({"to": "sip:who"}, {}),
        ({"account_sid": "another"}, {}),
        ({"direction": "outbound", "customerData": {"chorusCall": "x", "chorusToken": "y"}}, {}),
    ],
)
async def test_what_is_not_signed_by_the_number_is_refused(
    visitor: Visitor, change: dict[str, Any], how: dict[str, str]
) -> None:
    answer = await visitor.post("/jambonz/call", RING | change, **how)
    assert answer.status_code == 403
    assert visitor.desk.inbound == []


async def test_a_number_without_a_secret_believes_nothing(visitor: Visitor) -> None:
    visitor.desk.settings["jambonzWebhookSecret"] = ""
    assert (await visitor.post("/jambonz/call", RING, secret="")).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"x" * 70_000, 413),
        ({"to": OURS}, 400),
        ({"call_sid": "x" * 300}, 400),
        ({"call_sid": 7}, 400),
        (RING | {"direction": "outbound"}, 400),
    ],
)
async def test_what_is_no_webhook_is_said_so(
    visitor: Visitor, body: dict[str, Any] | bytes, status: int
) -> None:
    assert (await visitor.post("/jambonz/call", body)).status_code == status


async def test_another_kind_of_body_is_refused(visitor: Visitor) -> None:
    answer = await visitor.post("/jambonz/call", RING, **{"Content-Type": "text/plain"})
    assert answer.status_code == 415


async def test_who_sends_too_much_that_is_not_signed_is_turned_away(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.strangers.REFUSALS", 5)
    # Whatever is genuine counts for nothing.
    right = [await visitor.post("/jambonz/call", RING) for _ in range(10)]
    assert {answer.status_code for answer in right} == {200}
    wrong = [await visitor.post("/jambonz/call", RING, secret="no") for _ in range(4)]
    broken = await visitor.post("/jambonz/status", b"{")
    away = await visitor.post("/jambonz/done/call-123456", RING)
    assert [answer.status_code for answer in (*wrong, broken, away)] == [403] * 4 + [400, 429]
    assert 0 < int(away.headers["retry-after"]) <= 60
    assert len(visitor.desk.inbound) == 10


async def test_of_those_that_are_not_known_yet_only_so_many_are_looked_at_at_once(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.strangers.AT_ONCE", 0)
    assert (await visitor.post("/jambonz/call", RING)).status_code == 503
    assert visitor.desk.inbound == []


async def test_a_status_is_of_the_calls_own_number(visitor: Visitor) -> None:
    await visitor.post("/jambonz/call", RING | {"call_sid": "leg-123456"})
    over = RING | {"call_sid": "leg-123456", "call_status": "completed", "duration": 7}
    assert (await visitor.post("/jambonz/status", over, secret="other")).status_code == 403
    assert visitor.desk.updates == []
    assert (await visitor.post("/jambonz/status", over)).status_code == 204
    assert [u.answered_s for u in visitor.desk.updates] == [7]
    # Nothing is known of these, and the number's account says so.
    assert (await visitor.post("/jambonz/status", RING)).status_code == 204
    dialled_leg = over | {"parent_call_sid": "c1"}
    assert (await visitor.post("/jambonz/status", dialled_leg)).status_code == 204
    assert (await visitor.post("/jambonz/status", over | {"call_status": "new"})).status_code == 204
    assert len(visitor.desk.updates) == 1


async def test_the_target_of_a_transfer_cannot_be_made_up(visitor: Visitor) -> None:
    await visitor.post("/jambonz/call", RING | {"call_sid": "leg-123456"})
    url = Links(PUBLIC, "").dial_url("call-123456", "+15551112222", 30, SECRET)
    path = url.removeprefix(PUBLIC)
    assert (await visitor.post(path, RING)).json()[0]["target"][0]["number"] == "+15551112222"
    other = Links(PUBLIC, "").dial_url("call-123456", "+19005551234", 30, "guess")
    assert (await visitor.post(other.removeprefix(PUBLIC), RING)).status_code == 403
    assert (await visitor.post(path, RING, secret="other")).status_code == 403
    assert opened("dial", "call-1", *path.rsplit("/", 2)[1:], SECRET) is None


async def test_a_conference_cannot_be_made_up_and_is_asked_for_in_time(visitor: Visitor) -> None:
    await visitor.post("/jambonz/call", RING | {"call_sid": "leg-123456"})
    now_s = int(time.time())

    def path(until_s: int, secret: str = SECRET) -> str:
        url = Links(PUBLIC, "").conference_url("call-123456", "a room", until_s, secret)
        return url.removeprefix(PUBLIC)

    [conference, after] = (await visitor.post(path(now_s + 60), RING)).json()
    assert (conference["verb"], conference["name"]) == ("conference", "a room")
    assert (conference["endConferenceOnExit"], conference["maxParticipants"]) == (True, 2)
    assert after == {"verb": "hangup"}
    assert (await visitor.post(path(now_s - 1), RING)).status_code == 410
    assert (await visitor.post(path(now_s + 60, "guess"), RING)).status_code == 403
    as_target = path(now_s + 60).replace("/conference/", "/dial/")
    assert (await visitor.post(as_target, RING)).status_code == 403


async def test_who_comes_back_when_nobody_talks_any_more_gets_no_stream(visitor: Visitor) -> None:
    await visitor.post("/jambonz/call", RING | {"call_sid": "leg-123456"})
    answer = await visitor.post("/jambonz/back/call-123456", RING | {"call_sid": "leg-123456"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_numbers_are_read_as_carriers_write_them() -> None:
    for text in ("+15550001000", "15550001000", "sip:+15550001000@sbc", "tel:15550001000"):
        assert e164(text) == OURS
    for text in ("", "ann", "anonymous", "sip:ann@x", "+0155", None, 7, "1" * 400):
        assert e164(text) == ""


def test_a_signature_of_several_is_enough() -> None:
    right = signature(b"{}", SECRET, 1000)["Jambonz-Signature"]
    stamp, _, value = right.partition(",")
    assert signed(f"{stamp},v1=00,{value}", b"{}", SECRET, 1000.5)
    assert not signed(f"{stamp},t=1,{value}", b"{}", SECRET, 1000.5)
    assert not signed(f"{stamp},v1=é", b"{}", SECRET, 1000.5)
    assert not signed(right, b"{}", SECRET, 1301)


@pytest.mark.parametrize("path", ["call-of-nobody/token", "call-654321/wrong", "call-654321/"])
async def test_a_stream_of_a_stranger_is_refused(board: Board, path: str) -> None:
    await board.desk.issue("call-654321")
    with pytest.raises(InvalidStatus):
        await connect(f"{board.url.replace('http', 'ws')}/jambonz/media/{path}")
    assert board.desk.talks.empty()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\0" * 320, 1003),
        ("{", 1007),
        ("[]", 1007),
        ('{"callSid": 5, "sampleRate": 8000}', 1008),
        ("x" * 70_000, 1009),
        (None, 1008),
    ],
)
async def test_a_socket_that_does_not_introduce_itself_is_closed(
    board: Board, monkeypatch: pytest.MonkeyPatch, message: str | bytes | None, code: int
) -> None:
    monkeypatch.setattr("chorus.lines.media_socket.START_TIMEOUT_S", 0.2)
    token = await board.desk.issue("c-1")
    async with connect(f"{board.url.replace('http', 'ws')}/jambonz/media/c-1/{token}") as ws:
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
        "[]",
        b"\0" * 321,
        "x" * 70_000,
        b"\0" * 70_000,
        '{"event": "dtmf", "dtmf": "12"}',
        '{"event": "dtmf"}',
        '{"type": "mark"}',
        '{"type": "mark", "data": {"name": "x", "event": "playout"}}',
    ],
)
async def test_bad_messages_are_counted_and_too_many_end_the_line(message: str | bytes) -> None:
    line = JambonzLine("leg", 8000)
    for n in range(MAX_BAD):
        line.take(message)
        assert line.bad == n + 1
    assert not line.over
    line.take(message)
    assert line.ended is not None
    assert line.ended.cause is LineCause.FAILED


async def test_audio_faster_than_speech_is_refused() -> None:
    line = JambonzLine("leg", 8000)
    for _ in range(200):
        line.take(b"\0" * 32_000)
    assert line.ended is not None
    assert "audio from the future" in line.ended.detail
