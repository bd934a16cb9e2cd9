"""Webhooks: what is believed and what is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from tests.lines.twilio.switchboard import ACCOUNT, OURS, THEIRS, TOKEN, TestDesk

from chorus.demo.carrier.signature import sign
from chorus.demo.carrier.twiml import OpenStream, read_twiml
from chorus.lines.desk import Connection, Stage
from chorus.lines.line import LineCause
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.carrier import TwilioCarrier
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.status import CallStatus, StatusUpdate

PUBLIC = "https://voice.example/phones"
VOICE = f"{PUBLIC}/twilio/voice"
RING = {
    "CallSid": "CA1",
    "AccountSid": ACCOUNT,
    "From": THEIRS,
    "To": OURS,
    "CallStatus": "ringing",
    "CallerName": "Zoë & sons",
    "ForwardedFrom": "",
}


class Visitor:
    """Somebody who posts to the routes."""

    def __init__(self, http: httpx.AsyncClient, desk: TestDesk, app: FastAPI) -> None:
        self.http = http
        self.desk = desk
        self.app = app

    async def post(
        self,
        path: str,
        fields: Mapping[str, str],
        *,
        token: str = TOKEN,
        url: str | None = None,
        signature: str | None = None,
    ) -> httpx.Response:
        signature = signature or sign(token, url or PUBLIC + path, fields)
        headers = {"X-Twilio-Signature": signature, "Host": "attacker.example"}
        return await self.http.post(path, data=dict(fields), headers=headers)


@pytest_asyncio.fixture
async def visitor() -> AsyncGenerator[Visitor]:
    desk = TestDesk(TwilioAccount(ACCOUNT, TOKEN))
    app = FastAPI()
    app.router.routes.extend(TwilioCarrier(PUBLIC + "/", "http://127.0.0.1:1").routes(desk))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://inside:8000") as http:
        yield Visitor(http, desk, app)


async def test_a_signed_ring_is_answered_with_a_stream(visitor: Visitor) -> None:
    answer = await visitor.post("/twilio/voice", RING)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    (stream,) = read_twiml(answer.text)
    assert isinstance(stream, OpenStream)
    base, call_id, token = stream.url.rsplit("/", 2)
    assert base == "wss://voice.example/phones/twilio/media"
    assert stream.parameters == {}
    assert await visitor.desk.claim(call_id, token)


@pytest.mark.parametrize(("chars", "kept"), [(8192, True), (8193, False), (0, False)])
async def test_the_token_of_the_call_is_handed_on(visitor: Visitor, chars: int, kept: bool) -> None:
    token = "%7B" * (chars // 3) + "x" * (chars % 3)
    ring = RING | ({"CallToken": token} if chars else {})
    assert (await visitor.post("/twilio/voice", ring)).status_code == 200
    [inbound] = visitor.desk.inbound
    assert inbound.forward_token == (token if kept else "")
    assert not token or token not in repr(inbound)


async def test_the_query_is_signed_too(visitor: Visitor) -> None:
    path = "/twilio/voice?region=eu&x=1"
    assert (await visitor.post(path, RING)).status_code == 200
    forged = await visitor.post(path, RING, url=VOICE)
    assert forged.status_code == 403


@pytest.mark.parametrize(
    ("fields", "how"),
    [
        (RING, {"token": "another"}),
        (RING, {"url": "https://attacker.example/twilio/voice"}),
        (RING, {"url": "http://voice.example/phones/twilio/voice"}),
        (RING, {"url": f"{PUBLIC}/twilio/status"}),
        (RING, {"signature": "AAAA"}),
        (RING, {"signature": sign(TOKEN, VOICE, RING | {"From": "+15550009"})}),
        (RING | {"Extra": "1"}, {"signature": sign(TOKEN, VOICE, RING)}),
        (RING | {"To": "+15557654321"}, {}),
        ({k: v for k, v in RING.items() if k != "To"}, {}),
    ],
)
async def test_what_is_not_signed_by_the_number_is_refused(
    visitor: Visitor, fields: dict[str, str], how: dict[str, str]
) -> None:
    answer = await visitor.post("/twilio/voice", fields, **how)
    assert answer.status_code == 403
    assert TOKEN not in answer.text
    assert visitor.desk.inbound == []


async def test_no_signature_at_all_is_refused(visitor: Visitor) -> None:
    assert (await visitor.http.post("/twilio/voice", data=RING)).status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"a" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"f%d=1" % n for n in range(300)), "application/x-www-form-urlencoded", 400),
        (b"To=%ff\xff", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"", "", 415),
        (b"x", "multipart/form-data; boundary=x", 415),
    ],
)
async def test_what_is_no_small_form_is_refused(
    visitor: Visitor, content: bytes, kind: str, status: int
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await visitor.http.post("/twilio/voice", content=content, headers=headers)
    assert answer.status_code == status


async def test_a_ring_without_a_call_is_a_400(visitor: Visitor) -> None:
    fields = {k: v for k, v in RING.items() if k != "CallSid"}
    answer = await visitor.post("/twilio/voice", fields)
    assert answer.status_code == 400
    assert "CallSid" in answer.text


async def test_a_status_reaches_the_desk(visitor: Visitor) -> None:
    await visitor.desk.issue("c-1")
    fields = {
        "CallSid": "CA1",
        "AccountSid": "ACforged",
        "CallStatus": "busy",
        "SequenceNumber": "3",
        "SipResponseCode": "603",
        "CallDuration": "x",
    }
    assert (await visitor.post("/twilio/status/c-1", fields)).status_code == 204
    (update,) = visitor.desk.updates
    assert (update.call_id, update.leg_id, update.stage) == ("c-1", "CA1", Stage.ENDED)
    assert not update.answered
    assert update.ended is not None
    assert update.ended.cause is LineCause.REJECTED


async def test_a_status_of_another_call_or_nobody_is_refused(visitor: Visitor) -> None:
    await visitor.desk.issue("c-1")
    fields = {"CallSid": "CA1", "CallStatus": "completed"}
    stolen = sign(TOKEN, f"{PUBLIC}/twilio/status/c-1", fields)
    other = await visitor.post("/twilio/status/c-2", fields, signature=stolen)
    assert other.status_code == 403
    assert (await visitor.post("/twilio/status/c%2F..", fields)).status_code == 404
    assert (await visitor.post("/twilio/amd/c-2", fields)).status_code == 403
    assert visitor.desk.updates == []


async def test_an_unknown_status_is_taken_and_ignored(visitor: Visitor) -> None:
    await visitor.desk.issue("c-1")
    fields = {"CallSid": "CA1", "CallStatus": "pondering"}
    assert (await visitor.post("/twilio/status/c-1", fields)).status_code == 204
    assert visitor.desk.updates == []


@pytest.mark.parametrize(
    ("status", "sip", "cause"),
    [
        (CallStatus.COMPLETED, 200, LineCause.FAR_END),
        (CallStatus.BUSY, 486, LineCause.BUSY),
        (CallStatus.BUSY, 603, LineCause.REJECTED),
        (CallStatus.FAILED, 404, LineCause.FAILED),
        (CallStatus.FAILED, 607, LineCause.REJECTED),
        (CallStatus.NO_ANSWER, 487, LineCause.NO_ANSWER),
        (CallStatus.CANCELED, None, LineCause.CANCELED),
        (CallStatus.RINGING, None, None),
        (CallStatus.IN_PROGRESS, None, None),
    ],
)
def test_how_a_status_ends_a_leg(
    status: CallStatus, sip: int | None, cause: LineCause | None
) -> None:
    ended = StatusUpdate("CA1", status, sip).ended
    assert (ended.cause if ended else None) is cause
    if ended and sip not in (None, 200):
        assert str(sip) in ended.detail


@pytest.mark.parametrize("url", ["voice.example", "ftp://voice.example", "https://", "https://a?b"])
def test_a_public_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="public URL"):
        Links(url)


def test_plain_http_streams_over_plain_websockets() -> None:
    url = Links("http://127.0.0.1:8080/").media_url("a", "b")
    assert url == "ws://127.0.0.1:8080/twilio/media/a/b"


async def test_who_sends_too_much_that_is_not_signed_is_turned_away(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("chorus.lines.strangers.REFUSALS", 5)
    looked_up: list[str] = []
    look_up = visitor.desk.connections_of_number

    async def counting(number: str) -> list[Connection]:
        looked_up.append(number)
        return await look_up(number)

    monkeypatch.setattr(visitor.desk, "connections_of_number", counting)
    # Whatever is genuine counts for nothing.
    genuine = [await visitor.post("/twilio/voice", RING) for _ in range(10)]
    assert {answer.status_code for answer in genuine} == {200}
    looked_up.clear()
    with caplog.at_level(logging.WARNING, "chorus.lines.strangers"):
        wrong = [await visitor.post("/twilio/voice", RING, token="no") for _ in range(8)]
        unsigned = await visitor.http.post("/twilio/voice", data=RING)
    assert [answer.status_code for answer in wrong] == [403] * 5 + [429] * 3
    assert 0 < int(wrong[-1].headers["retry-after"]) <= 60
    assert unsigned.status_code == 429
    assert len(looked_up) == 5
    assert len(caplog.messages) == 1  # in ten seconds
    elsewhere = httpx.ASGITransport(visitor.app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://inside") as http:
        answer = await Visitor(http, visitor.desk, visitor.app).post("/twilio/voice", RING)
    assert answer.status_code == 200


async def test_a_webhook_without_a_signature_looks_for_nobody(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: str) -> list[Connection]:
        raise AssertionError("looked for the number")

    monkeypatch.setattr(visitor.desk, "connections_of_number", never)
    assert (await visitor.http.post("/twilio/voice", data=RING)).status_code == 403


async def test_only_so_many_are_looked_at_at_once(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.strangers.AT_ONCE", 3)
    go = asyncio.Event()
    look_up = visitor.desk.connections_of_number

    async def slowly(number: str) -> list[Connection]:
        await go.wait()
        return await look_up(number)

    monkeypatch.setattr(visitor.desk, "connections_of_number", slowly)
    asked = [asyncio.create_task(visitor.post("/twilio/voice", RING)) for _ in range(5)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    go.set()
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 503, 503]
    assert {a.headers["retry-after"] for a in answers if a.status_code == 503} == {"1"}


async def test_a_relative_signs_with_a_key_and_a_header_of_its_own(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SignalWire: https://developer.signalwire.com/guides/webhook-security"""
    account = TwilioAccount(ACCOUNT, TOKEN, signing_key="PSK_of_the_project")
    settings = {
        "twilioAccountSid": ACCOUNT,
        "twilioAuthToken": TOKEN,
        "twilioSigningKey": account.signing_key,
    }
    number = Connection("a number", OURS, settings)

    async def theirs(_: str) -> list[Connection]:
        return [number]

    monkeypatch.setattr(visitor.desk, "connections_of_number", theirs)
    assert "PSK" not in repr(account)
    for key, status in ((TOKEN, 403), (account.signing_key, 200)):
        headers = {"X-SignalWire-Signature": sign(key, VOICE, RING)}
        answer = await visitor.http.post("/twilio/voice", data=RING, headers=headers)
        assert answer.status_code == status
