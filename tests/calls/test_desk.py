"""Twilio's webhooks at the real desk: what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from xml.etree import ElementTree as Xml

import httpx
import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import parties, stored
from tests.calls.test_live import waiting
from tests.calls.test_room import board, rows
from tests.fakes.api import Api

from chorus.accounts.secrets import digest
from chorus.calls.converse import claim
from chorus.calls.finish import finish_unanswered
from chorus.calls.live import Commands
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.demo.carrier.signature import sign
from chorus.lines.line import Line, LineCause, LineEnded
from chorus.talk import call as talk

OURS, THEIRS = "+14155550000", "+14155559999"
ACCOUNT, TOKEN = "AC" + "1" * 32, "the-token"
SID = "CA" + "5" * 32


class Carrier:
    """Signs what it posts, with the account's token unless it is told another."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def post(self, path: str, token: str = TOKEN, **fields: str) -> httpx.Response:
        form = {"CallSid": SID, "AccountSid": ACCOUNT, "From": THEIRS, "To": OURS, **fields}
        url = self.api.process.settings.url + path
        headers = {"X-Twilio-Signature": sign(token, url, form)}
        async with self.api.client_with(None) as http:
            return await http.post(path, data=form, headers=headers)

    async def ring(self, **fields: str) -> httpx.Response:
        return await self.post("/twilio/voice", CallStatus="ringing", **fields)


@pytest.fixture
async def carrier(sqlite_api: Api) -> Carrier:
    """Of a number that has an agent."""
    api = sqlite_api
    wish = await parties(api)
    path = f"/v1/phone-numbers/{wish['phoneNumberId']}"
    change = {
        "agentId": wish["agentId"],
        "twilioAccountSid": ACCOUNT,
        "twilioAuthToken": TOKEN,
    }
    assert (await api.patch(path, json=change)).status_code == 200
    return Carrier(api)


def stream(answer: httpx.Response) -> dict[str, str]:
    """The call's id and token, in the address of the stream that the TwiML opens."""
    assert answer.status_code == 200, answer.text
    opened = Xml.fromstring(answer.text).find("Connect/Stream")
    assert opened is not None
    _, call_id, token = opened.get("url", "").rsplit("/", 2)
    return {"callId": call_id, "token": token}


async def agent(api: Api, **change: Any) -> None:
    [made] = (await api.get("/v1/agents")).json()["data"]
    assert (await api.patch(f"/v1/agents/{made['id']}", json=change)).status_code == 200


async def test_somebody_rings(carrier: Carrier):
    shown = stream(await carrier.ring())
    [call] = await rows(carrier.api)
    assert (str(call.id), call.status, call.call_sid) == (shown["callId"], "ringing", SID)
    assert shown["token"] not in str(call.token_hash)


async def test_a_carrier_that_asks_again_gets_the_same_call_and_a_new_token(carrier: Carrier):
    first, second = stream(await carrier.ring()), stream(await carrier.ring())
    assert first["callId"] == second["callId"]
    assert len(await rows(carrier.api)) == 1
    desk = board(carrier.api)
    assert not await claim(desk, first["callId"], first["token"])
    assert await claim(desk, second["callId"], second["token"])
    assert not await claim(desk, second["callId"], second["token"])


async def test_the_token_that_shows_the_callers_number_is_a_secret_of_the_call(carrier: Carrier):
    api = carrier.api
    await carrier.ring(CallToken="the first")
    id = stream(await carrier.ring(CallToken="a token of theirs"))["callId"]
    [call] = await rows(api)
    assert call.forward_token is not None
    assert "theirs" not in call.forward_token
    assert api.process.secrets.decrypt(call.forward_token) == "a token of theirs"
    for path in ("/v1/calls", f"/v1/calls/{id}", "/v1/calls/export?format=jsonl"):
        shown = (await api.get(path)).text
        assert id in shown
        assert "forward" not in shown.lower()
    ended = LineEnded(LineCause.FAR_END)
    await finish_unanswered(board(api), call.id, call.organization_id, ended)
    [call] = await rows(api)
    assert call.forward_token is None


async def test_a_token_is_worth_nothing_after_the_call(carrier: Carrier):
    shown = stream(await carrier.ring())
    [call] = await rows(carrier.api)
    desk = board(carrier.api)
    ended = LineEnded(LineCause.FAR_END)
    assert await finish_unanswered(desk, call.id, call.organization_id, ended)
    assert not await claim(desk, shown["callId"], shown["token"])
    assert not await claim(desk, "no id", shown["token"])
    assert not await claim(desk, str(uuid.uuid4()), shown["token"])


async def test_a_webhook_that_is_played_again_after_the_call_answers_nothing(carrier: Carrier):
    await carrier.ring()
    [call] = await rows(carrier.api)
    ended = LineEnded(LineCause.FAR_END)
    await finish_unanswered(board(carrier.api), call.id, call.organization_id, ended)
    answer = await carrier.ring()
    assert "<Reject" in answer.text
    assert len(await rows(carrier.api)) == 1


@pytest.mark.parametrize(
    ("fields", "token"),
    [
        ({"To": "+14155557777"}, TOKEN),
        ({"AccountSid": "AC" + "2" * 32}, TOKEN),
        ({}, "another-token"),
        ({}, ""),
    ],
    ids=["unknown number", "another account", "another token", "an empty token"],
)
async def test_what_the_numbers_account_has_not_signed(
    carrier: Carrier, fields: dict[str, str], token: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        answer = await carrier.post("/twilio/voice", token, CallStatus="ringing", **fields)
    assert answer.status_code == 403
    assert "refused" in caplog.text
    assert TOKEN not in caplog.text
    assert await rows(carrier.api) == []


async def test_an_inactive_agent_takes_no_call(carrier: Carrier, caplog: pytest.LogCaptureFixture):
    await agent(carrier.api, isActive=False)
    with caplog.at_level(logging.INFO):
        answer = await carrier.ring()
    assert '<Reject reason="rejected"' in answer.text
    assert "not active" in caplog.text
    assert await rows(carrier.api) == []


async def test_names_are_no_twiml(carrier: Carrier):
    await agent(carrier.api, name="</Stream><Dial>+1900</Dial>")
    answer = await carrier.ring(From='"/><Hangup/>', CallerName="<Say>", CallSid='CA"><x/>')
    assert [element.tag for element in Xml.fromstring(answer.text).iter()] == [
        *("Response", "Connect", "Stream"),
    ]


async def dialled(carrier: Carrier, **columns: Any) -> str:
    """The id of a call that Chorus placed and that nobody has answered."""
    [number] = (await carrier.api.get("/v1/phone-numbers")).json()["data"]
    dialled = {
        "phone_number_id": uuid.UUID(number["id"]),
        "direction": "outbound",
        "status": "queued",
        "call_sid": SID,
        "dialled_at": utcnow(),
        **columns,
    }
    [id] = await stored(carrier.api, dialled)
    return str(id)


async def told(carrier: Carrier, id: str, *statuses: str, **fields: str) -> CallRow:
    """The call's row after status callbacks came in this order."""
    for status in statuses:
        answer = await carrier.post(f"/twilio/status/{id}", CallStatus=status, **fields)
        assert answer.status_code == 204, answer.text
    [call] = await rows(carrier.api)
    return call


async def test_statuses_come_late_twice_and_out_of_order(carrier: Carrier):
    id = await dialled(carrier)
    call = await told(carrier, id, "ringing", "initiated", "ringing")
    assert (call.status, call.ended_reason) == ("ringing", None)
    call = await told(carrier, id, "busy", "ringing", "completed", "busy")
    assert (call.status, call.ended_reason) == ("failed", "busy")


async def test_a_failed_call_says_why(carrier: Carrier, caplog: pytest.LogCaptureFixture):
    id = await dialled(carrier)
    [call] = await rows(carrier.api)
    ended = LineEnded(LineCause.FAILED, "the trunk is down")
    assert await finish_unanswered(board(carrier.api), call.id, call.organization_id, ended)
    shown = (await carrier.api.get(f"/v1/calls/{id}")).json()["data"]
    [listed] = (await carrier.api.get("/v1/calls")).json()["data"]
    for seen in (shown, listed):
        assert (seen["status"], seen["endedReason"]) == ("failed", "provider_error")
        assert seen["endedDetail"] == "the trunk is down"
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert [each.getMessage() for each in warned] == [
        f"call {id} failed: provider_error: the trunk is down"
    ]


async def never_connected(carrier: Carrier, id: str, **fields: str) -> CallRow:
    """The call's row after it was answered and over, and no stream came in between."""
    call = await told(carrier, id, "in-progress", "completed", **fields)
    assert (call.status, call.ended_reason) == ("failed", "provider_error")
    return call


async def test_an_outbound_call_that_was_answered_and_never_streamed(carrier: Carrier):
    id = await dialled(carrier, token_hash=digest("not shown"))
    call = await never_connected(carrier, id, CallDuration="7")
    assert call.ended_detail is not None
    assert call.ended_detail.startswith("The call was answered for 7 s, but its audio never")
    for to_check in ("ws://127.0.0.1", "public URL", "wss", "proxy", "firewall"):
        assert to_check in call.ended_detail
    assert call.duration_seconds == 0


async def test_an_inbound_call_that_was_answered_and_never_streamed(carrier: Carrier):
    id = stream(await carrier.ring())["callId"]
    call = await never_connected(carrier, id)
    assert "its audio never reached this server" in (call.ended_detail or "")


async def test_a_caller_who_gives_up_while_it_rings(carrier: Carrier):
    id = stream(await carrier.ring())["callId"]
    call = await told(carrier, id, "canceled")
    assert (call.status, call.ended_reason) == ("no_answer", "cancelled")


async def test_a_call_that_is_over_before_its_stream_is_in_progress(carrier: Carrier):
    """The person hangs up at once: the stream is there, and knows better than the status."""
    shown = stream(await carrier.ring())
    assert await claim(board(carrier.api), shown["callId"], shown["token"])
    call = await told(carrier, shown["callId"], "completed")
    assert (call.status, call.ended_reason) == ("ringing", None)


async def test_a_status_of_another_call_sid_is_not_the_calls(carrier: Carrier):
    id = await dialled(carrier)
    call = await told(carrier, id, "completed", CallSid="CA" + "6" * 32)
    assert call.status == "queued"


async def test_another_organization_says_nothing_about_the_call(carrier: Carrier):
    api, id = carrier.api, await dialled(carrier)
    number = {"number": "+14155550001", "twilioAccountSid": ACCOUNT, "twilioAuthToken": "theirs"}
    async with await api.another_organization() as other:
        assert (await other.post("/v1/phone-numbers", json=number)).status_code == 201
        # Whoever's number it names, the call's own account has to have signed.
        status = {"CallStatus": "completed", "To": "+14155550001"}
        forged = await carrier.post(f"/twilio/status/{id}", "theirs", **status)
        assert forged.status_code == 403
        forged = await carrier.post(f"/twilio/amd/{id}", "theirs", AnsweredBy="human")
        assert forged.status_code == 403
        # Without a call id a number's account speaks for itself, and names a call in vain.
        own = await carrier.post("/twilio/status", "theirs", **status)
        assert own.status_code == 204
    [call] = await rows(api)
    assert call.status == "queued"


@pytest.mark.parametrize("heard", ["human", "machine_start", "fax", "unknown", "a surprise"])
async def test_what_answered_is_told_when_nobody_talks_any_more(carrier: Carrier, heard: str):
    id = await dialled(carrier, ended_at=utcnow(), status="completed")
    answer = await carrier.post(f"/twilio/amd/{id}", AnsweredBy=heard)
    assert answer.status_code == 204
    assert await waiting(carrier.api) == []


class Told:
    """In place of a conversation: what answered, and how its line ended."""

    provider = "twilio"
    leg_id = SID

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def answered_by(self, who: str, found: str | None, *, message_ended: bool) -> None:
        self.heard.append((who, found, message_ended))

    def ended_at_carrier(self, ended: LineEnded) -> None:
        self.heard.append((ended.cause, ended.detail))


@asynccontextmanager
async def conversation(api: Api, id: str) -> AsyncGenerator[Told]:
    """The process holds the call, and looks for commands, until the block is over."""
    told, switchboard = Told(), board(api)
    switchboard.began(uuid.UUID(id), cast("talk.Call", told), cast("Line", told))
    looking = asyncio.create_task(Commands(switchboard).run())
    try:
        yield told
    finally:
        looking.cancel()
        switchboard.ended(uuid.UUID(id), cast("Line", told))


async def until(told: Told, count: int) -> list[tuple[Any, ...]]:
    async with asyncio.timeout(20):
        while len(told.heard) < count:
            await asyncio.sleep(0.02)
    return told.heard


async def test_what_answered_before_the_stream_is_there(carrier: Carrier):
    id = await dialled(carrier, lease_owner=board(carrier.api).heartbeat.name)
    for heard in ("machine_start", "machine_end_beep"):
        answer = await carrier.post(f"/twilio/amd/{id}", AnsweredBy=heard)
        assert answer.status_code == 204
    async with conversation(carrier.api, id) as told:
        assert await until(told, 2) == [
            ("machine_start", "machine", False),
            ("machine_end_beep", "machine", True),
        ]
        # And at once where it is talked on.
        for heard, found in (("human", "person"), ("fax", "fax"), ("unknown", None)):
            await carrier.post(f"/twilio/amd/{id}", AnsweredBy=heard)
            assert told.heard[-1] == (heard, found, False)
    assert await waiting(carrier.api) == []


async def test_news_of_a_call_that_another_process_holds(carrier: Carrier):
    api = carrier.api
    talks = {"status": "in_progress", "answered_at": utcnow(), "lease_owner": "another"}
    id = await dialled(carrier, **talks)
    await carrier.post(f"/twilio/amd/{id}", AnsweredBy="machine_end_silence")
    await told(carrier, id, "completed")
    commands = await waiting(api)
    assert [(str(each.call_id), each.verb) for each in commands] == [
        (id, "answered_by"),
        (id, "line_over"),
    ]
    # As that process: the row is its own, and the call is live there.
    async with api.process.database.writing() as session:
        await session.execute(sa.update(CallRow).values(lease_owner=board(api).heartbeat.name))
    async with conversation(api, id) as there:
        assert await until(there, 2) == [
            ("machine_end_silence", "machine", True),
            (LineCause.FAR_END, ""),
        ]


async def test_a_transfer_of_a_call_that_another_process_holds(carrier: Carrier):
    api = carrier.api
    talks = {"status": "in_progress", "answered_at": utcnow(), "lease_owner": "another"}
    id = await dialled(carrier, **talks)
    answered = {"ParentCallSid": SID, "CallStatus": "in-progress", "CallSid": "CA" + "9" * 32}
    assert (await carrier.post(f"/twilio/transferred/{id}", **answered)).status_code == 204
    assert [(str(each.call_id), each.verb) for each in await waiting(api)] == [
        (id, "line_transferred")
    ]
    # Another leg's news is nobody's, and its caller does not come back.
    other = {"CallSid": "CA" + "8" * 32, "CallStatus": "in-progress", "DialCallStatus": "busy"}
    assert "Hangup" in (await carrier.post(f"/twilio/dialled/{id}", **other)).text
    back = {"CallSid": SID, "CallStatus": "in-progress", "DialCallStatus": "busy"}
    answer = await carrier.post(f"/twilio/dialled/{id}", **back)
    token = stream(answer)["token"]
    # Nobody is here to talk with them, and a token is for one process.
    assert not await claim(board(api), id, token)
    done = {"CallSid": SID, "CallStatus": "in-progress", "DialCallStatus": "completed"}
    assert "Hangup" in (await carrier.post(f"/twilio/dialled/{id}", **done)).text
    async with api.process.database.writing() as session:
        await session.execute(sa.update(CallRow).values(status="completed", ended_at=utcnow()))
    assert "Hangup" in (await carrier.post(f"/twilio/dialled/{id}", **back)).text


async def test_what_another_leg_heard_is_not_the_calls(carrier: Carrier):
    id = await dialled(carrier, lease_owner="another")
    other = await carrier.post(f"/twilio/amd/{id}", AnsweredBy="human", CallSid="CA" + "6" * 32)
    assert other.status_code == 204
    assert await waiting(carrier.api) == []


async def test_a_stranger_who_names_our_number_gets_none_of_its_calls(sqlite_api: Api):
    stranger = await sqlite_api.another_organization()
    # They came first, and even know the account's SID.
    settings = {"number": OURS, "twilioAccountSid": ACCOUNT, "twilioAuthToken": "made up"}
    assert (await stranger.post("/v1/phone-numbers", json=settings)).status_code == 201
    wish = await parties(sqlite_api)
    path = f"/v1/phone-numbers/{wish['phoneNumberId']}"
    change = {
        "agentId": wish["agentId"],
        "twilioAccountSid": ACCOUNT,
        "twilioAuthToken": TOKEN,
    }
    assert (await sqlite_api.patch(path, json=change)).status_code == 200
    carrier = Carrier(sqlite_api)
    assert "<Stream" in (await carrier.ring()).text
    (call,) = await rows(sqlite_api)
    assert str(call.phone_number_id) == wish["phoneNumberId"]
    # What they sign themselves is theirs, and touches nothing of ours.
    assert "<Reject" in (await carrier.post("/twilio/voice", "made up")).text
    over = {"CallStatus": "completed"}
    assert (await carrier.post("/twilio/status", "made up", **over)).status_code == 204
    assert [row.status for row in await rows(sqlite_api)] == ["ringing"]
    assert (await carrier.post("/twilio/status", **over)).status_code == 204
    assert [row.ended_at is not None for row in await rows(sqlite_api)] == [True]


async def test_a_recording_of_the_webhook_takes_no_call_over(carrier: Carrier):
    shown = stream(await carrier.ring())
    async with carrier.api.process.database.writing() as session:
        long_ago = utcnow() - timedelta(minutes=2)
        await session.execute(sa.update(CallRow).values(created_at=long_ago))
    assert "<Reject" in (await carrier.ring()).text
    # The first token still holds.
    assert await claim(board(carrier.api), shown["callId"], shown["token"])


async def test_what_the_caller_says_to_be_is_one_printable_line(carrier: Carrier):
    await carrier.ring(From="<script>\r\n\x1b[31m+1\u202e")
    [call] = await rows(carrier.api)
    assert call.customer_number == "<script>[31m+1"
