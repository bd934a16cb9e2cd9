"""Placing calls through the `twilio` library, against a carrier in another process."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import httpx
import pytest
from tests.fakes.http_peer import HttpPeer, respond
from tests.lines.twilio.switchboard import OURS, THEIRS, TOKEN, Switchboard

from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import Person
from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.rest import KEEP_ALIVE_S, ApiFailed, TwilioApi, TwilioDialler

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ended(board: Switchboard, call_id: str) -> LineCause:
    await board.desk.until(lambda: any(u.ended for u in board.desk.updates if u.call_id == call_id))
    last = board.desk.updates[-1].ended
    assert last is not None
    return last.cause


@pytest.mark.parametrize(
    ("person", "cause", "statuses"),
    [
        (Person(answer="busy"), LineCause.BUSY, ["ringing", "ended"]),
        (Person(answer="reject"), LineCause.REJECTED, ["ringing", "ended"]),
        (Person(answer="no_answer"), LineCause.NO_ANSWER, ["ringing", "ended"]),
        (Person(answer="fail"), LineCause.FAILED, ["ended"]),
    ],
)
async def test_what_becomes_of_a_call_that_is_not_answered(
    board: Switchboard,
    carrier: CarrierClient,
    person: Person,
    cause: LineCause,
    statuses: list[str],
) -> None:
    await carrier.expect(THEIRS, person)
    sid = await board.dial(Dial("d-1", THEIRS, OURS, ring_timeout_s=1))
    assert await ended(board, "d-1") is cause
    assert board.desk.statuses("d-1") == statuses
    assert {u.leg_id for u in board.desk.updates} == {sid}
    await board.cancel(sid)  # over already: nothing happens


async def test_canceling_while_it_rings(board: Switchboard, carrier: CarrierClient) -> None:
    await carrier.expect(THEIRS, Person(ring_ms=5000))
    sid = await board.dial(Dial("d-2", THEIRS, OURS))
    await carrier.placed(sid).wait("call.status", status="ringing")
    await board.cancel(sid)
    assert await ended(board, "d-2") is LineCause.CANCELED
    await board.cancel(sid)


async def test_canceling_a_call_that_was_answered_ends_it(
    board: Switchboard, carrier: CarrierClient
) -> None:
    await carrier.expect(THEIRS, Person(ring_ms=0))
    sid = await board.dial(Dial("d-3", THEIRS, OURS))
    talk = await board.desk.talk()
    await board.cancel(sid)
    assert (await talk.end()).cause is LineCause.FAR_END
    await carrier.placed(sid).wait("call.over", status="completed")


async def test_canceling_what_never_was(board: Switchboard, carrier: CarrierClient) -> None:
    await board.cancel("CA" + "0" * 32)
    await board.api.end(board.desk.account, "CA" + "0" * 32)


async def test_what_the_carrier_is_asked_for(board: Switchboard, carrier: CarrierClient) -> None:
    await carrier.expect(THEIRS, Person(answer="busy"))
    after = len(carrier.events) - 1
    await board.dial(Dial("d-4", THEIRS, OURS, ring_timeout_s=25, detect_machine=True))
    form = (await carrier.wait("api", after=after, method="POST"))["form"]
    assert form["Timeout"] == ["25"]
    assert form["StatusCallback"] == [f"{board.url}/twilio/status/d-4"]
    assert form["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    assert form["MachineDetection"] == ["DetectMessageEnd"]
    assert form["AsyncAmd"] == ["true"]
    assert form["AsyncAmdStatusCallback"] == [f"{board.url}/twilio/amd/d-4"]
    assert "Url" not in form
    assert "SendDigits" not in form
    await ended(board, "d-4")


async def test_an_address_carries_headers_and_a_number_none(
    board: Switchboard, carrier: CarrierClient
) -> None:
    headers = (("X-Why", "chairs & more"), ("User-to-User", "a"))
    address = "sip:200@pbx.example.com"
    whole = f"{address}?X-Why=chairs%20%26%20more&User-to-User=61%3Bencoding%3Dhex"
    for id, to, asked in (("d-10", address, whole), ("d-11", THEIRS, THEIRS)):
        await carrier.expect(asked, Person(answer="busy"))
        after = len(carrier.events) - 1
        await board.dial(Dial(id, to, OURS, headers=headers))
        assert (await carrier.wait("api", after=after, method="POST"))["form"]["To"] == [asked]
        await ended(board, id)


async def test_an_extension_is_pressed_by_the_carrier(
    board: Switchboard, carrier: CarrierClient
) -> None:
    """Which detects no machine then, whatever it is asked: what answers is one."""
    await carrier.expect(THEIRS, Person(answer="busy"))
    after = len(carrier.events) - 1
    await board.dial(Dial("d-6", THEIRS, OURS, detect_machine=True, digits="ww204#"))
    form = (await carrier.wait("api", after=after, method="POST"))["form"]
    assert form["SendDigits"] == ["ww204#"]
    assert "MachineDetection" not in form
    await ended(board, "d-6")


@pytest.mark.parametrize(
    ("dial", "detail"),
    [
        (Dial("d-5", "+1", OURS), "21211: the called number is not valid"),
        (Dial("d-5", THEIRS, "+15550009999"), "21210: the calling number is not verified"),
    ],
)
async def test_a_call_that_the_carrier_refuses(
    board: Switchboard, carrier: CarrierClient, dial: Dial, detail: str
) -> None:
    with pytest.raises(DialFailed, match=detail) as failed:
        await board.dial(dial)
    assert failed.value.cause is LineCause.FAILED


async def test_the_number_of_a_caller_takes_the_token_of_their_call(
    board: Switchboard, carrier: CarrierClient
) -> None:
    caller, other = "+15552220000", "+15552221111"
    calls = await carrier.call(OURS, caller)
    await board.desk.talk()
    token = board.desk.inbound[-1].forward_token
    for from_, shown in ((caller, ""), (caller, "another"), (other, token)):
        with pytest.raises(DialFailed, match="21210: the calling number is not verified") as failed:
            await board.dial(Dial("d-12", THEIRS, from_, forward_token=shown))
        assert token not in str(failed.value)
    await carrier.expect(THEIRS, Person(answer="busy"))
    after = len(carrier.events) - 1
    await board.dial(Dial("d-12", THEIRS, caller, forward_token=token))
    form = (await carrier.wait("api", after=after, method="POST"))["form"]
    assert (form["From"], form["CallToken"]) == ([caller], [token])
    await ended(board, "d-12")
    await board.carrier.end(board.desk.connection, calls.sid)


async def test_a_wrong_token_is_told_without_telling_it(
    board: Switchboard, carrier: CarrierClient
) -> None:
    account = replace(board.desk.account, auth_token="not-the-token")
    dialler = TwilioDialler(board.api, account, Links(board.url), "token")
    with pytest.raises(DialFailed, match="20003: the account SID or the auth token is wrong") as e:
        await dialler.dial(Dial("d-6", THEIRS, OURS))
    assert "not-the-token" not in str(e.value)
    assert "not-the-token" not in repr(account)


FORBIDDEN = f'{{"code": 21215, "message": "no permission for token {TOKEN}", "status": 400}}'
RFC_9457 = '{"type": "t", "title": "Bad", "status": 400, "code": 21211, "detail": "d"}'


@pytest.mark.parametrize(
    ("fault", "cause", "detail"),
    [
        ({"status": 429, "body": '{"code": 20429, "message": "x"}'}, "FAILED", "20429: too many"),
        ({"status": 500, "body": "oops"}, "FAILED", "may have been placed"),
        ({"status": 503, "body": '{"code": 20503, "message": "x"}'}, "FAILED", "may have been"),
        ({"status": 201, "body": "<html>"}, "FAILED", "not Twilio's .JSONDecodeError"),
        ({"status": 201, "body": "[1]"}, "FAILED", "not Twilio's"),
        ({"status": 201, "body": '"x"'}, "FAILED", "not Twilio's"),
        ({"status": 201, "body": "{}"}, "FAILED", "no call sid"),
        ({"status": 201, "body": "[" * 5000}, "FAILED", "not Twilio's .RecursionError"),
        ({"status": 201, "body": '{"sid": "' + "x" * 300_000 + '"}'}, "FAILED", "not Twilio's"),
        ({"status": 302, "body": ""}, "FAILED", "Twilio"),
        ({"status": 400, "body": FORBIDDEN}, "REJECTED", "21215: the account may not call"),
        ({"status": 400, "body": "[]"}, "FAILED", "400"),
        ({"status": 400, "body": RFC_9457}, "FAILED", "is not valid .Bad: d"),
        ({"status": 200, "body": "{}", "delay_s": 2}, "FAILED", "no answer within 0.3 s"),
    ],
)
async def test_an_api_that_breaks_is_a_dial_that_failed(
    board: Switchboard, carrier: CarrierClient, fault: dict[str, object], cause: str, detail: str
) -> None:
    api = TwilioApi(timeout_s=0.3 if "delay_s" in fault else 5)
    dialler = TwilioDialler(api, board.desk.account, Links(board.url), "token")
    await api.end(board.desk.account, "CA" + "0" * 32)  # connected and warm
    await carrier.fault(**fault)  # type: ignore[arg-type] - the table's values fit
    with pytest.raises(DialFailed, match=detail) as failed:
        await dialler.dial(Dial("d-7", THEIRS, OURS))
    assert failed.value.cause is LineCause[cause]
    assert TOKEN not in str(failed.value)
    await api.aclose()


async def test_nobody_listening_is_a_dial_that_failed(
    board: Switchboard, carrier: CarrierClient
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    account = replace(board.desk.account, api_url=f"http://127.0.0.1:{port}")
    dialler = TwilioDialler(board.api, account, Links(board.url), "token")
    with pytest.raises(DialFailed, match=r"ConnectError at 127\.0\.0\.1"):
        await dialler.dial(Dial("d-8", THEIRS, OURS))


async def test_ending_is_tried_again_once(board: Switchboard, carrier: CarrierClient) -> None:
    await carrier.expect(THEIRS, Person(ring_ms=0))
    await board.dial(Dial("d-9", THEIRS, OURS))
    talk = await board.desk.talk()
    await carrier.fault(500)
    await talk.line.hang_up()
    assert (await talk.end()).cause is LineCause.LOCAL
    await carrier.placed(talk.line.leg_id).wait("call.ended_by_api")
    await carrier.fault(500, times=2)
    with pytest.raises(ApiFailed):
        await board.api.end(board.desk.account, talk.line.leg_id)


async def test_many_calls_at_once_share_one_pool(
    board: Switchboard, carrier: CarrierClient
) -> None:
    await carrier.expect(THEIRS, Person(answer="busy"), times=20)
    dials = [board.dial(Dial(f"m-{n}", THEIRS, OURS)) for n in range(20)]
    assert len(set(await asyncio.gather(*dials))) == 20


async def test_an_api_may_be_below_a_path() -> None:
    """As SignalWire's is, below /api/laml."""
    asked: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(201, json={"sid": "CA1", "status": "queued"})

    api = TwilioApi()
    await api.open()
    assert api._made is not None
    http, client = await api._made
    await http.aclose()
    made: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    made.set_result((httpx.AsyncClient(transport=httpx.MockTransport(answer)), client))
    api._made = made
    account = TwilioAccount("P1", "PT1", "https://space.signalwire.example/api/laml")
    dialler = TwilioDialler(api, account, Links("https://voice.example"), "token")
    assert await dialler.dial(Dial("d-9", THEIRS, OURS)) == "CA1"
    assert asked == ["/api/laml/2010-04-01/Accounts/P1/Calls.json"]
    await api.aclose()


async def test_a_dial_takes_no_connection_that_may_be_closing() -> None:
    """It would be lost on the way, and is not sent again."""
    sid = {"sid": "CA1", "status": "queued"}
    async with HttpPeer(lambda asked: respond(201, sid)) as peer:
        api = TwilioApi(keep_alive_s=0.2)
        account = TwilioAccount("AC1", "token", peer.url)
        dialler = TwilioDialler(api, account, Links("https://voice.example"), "token")
        for pause_s in (0, 0.3, 0):
            await dialler.dial(Dial("d-10", THEIRS, OURS))
            await asyncio.sleep(pause_s)
        await api.aclose()
    first, second, third = (asked.connection for asked in peer.requests)
    assert first == second != third
    assert KEEP_ALIVE_S < 5
