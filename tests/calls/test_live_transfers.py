"""A caller is handed to a person: a real server, a real second call at the carrier, real rows."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.calls.test_live_calls import post, servers, stored
from tests.soak.rig import FINAL, OURS, Rig

from chorus.demo.carrier.client import CarrierCall
from chorus.demo.carrier.person import HangUp, Person, Press, Say, Wait, WaitQuiet

pytestmark = pytest.mark.timeout(180)

CALLER = Person(ring_ms=50, steps=[WaitQuiet(quiet_ms=300)])
TAKES = Person(ring_ms=50, steps=[WaitQuiet(quiet_ms=300), Press(digits="1")])
STARTED, COMPLETED, FAILED = "transfer.started", "transfer.completed", "transfer.failed"


_numbers = count(1)


def to(type: str, **fields: Any) -> dict[str, Any]:
    """Somebody new."""
    target = {"name": "Sales", "number": f"+1557888{next(_numbers):04}", "type": type}
    return {"to": {**target, **fields}, "reason": "Chairs."}


async def talking(rig: Rig) -> tuple[str, CarrierCall]:
    """The id of a call that is being talked on, and the caller at the carrier."""
    number = f"+1557000{next(_numbers):04}"
    assert await rig.place(number, CALLER)
    id = rig.accepted[number]
    await until(rig, id, "reply_started")
    return id, rig.carrier.placed((await call(rig, id))["callSid"])


async def transferred(rig: Rig, person: Person, wish: dict[str, Any]) -> tuple[str, CarrierCall]:
    """A call whose caller is to be handed to `person`: its id, and the caller at the carrier."""
    id, caller = await talking(rig)
    await rig.carrier.expect(wish["to"]["number"], person)
    answer = await post(rig, f"{id}/transfer", wish)
    assert answer.status_code == 202, answer.text
    return id, caller


async def until(rig: Rig, id: str, kind: str, *, only: bool = False) -> list[dict[str, Any]]:
    """The call's events once there is one of this kind; `only`: those."""
    async with asyncio.timeout(40):
        while True:
            events = await stored(rig, id)
            found = [event for event in events if event["kind"] == kind]
            if found:
                return found if only else events
            await asyncio.sleep(0.1)


async def call(rig: Rig, id: str) -> dict[str, Any]:
    async with rig.http() as http:
        return (await http.get(f"/v1/calls/{id}")).json()["data"]


async def ended(rig: Rig, id: str) -> dict[str, Any]:
    """The call with its second call, once both are over and paid for."""
    async with asyncio.timeout(40):
        while True:
            shown = await call(rig, id)
            calls = [shown, *shown["transferCalls"]]
            if all(c["status"] in FINAL and c["cost"] is not None for c in calls):
                return shown
            await asyncio.sleep(0.1)


async def announced(rig: Rig, call_ids: list[str]) -> list[str]:
    async with rig.http() as http:
        found = (await http.get("/v1/webhook-deliveries?limit=100")).json()["data"]
    return sorted(
        each["event"]
        for each in found
        if each["event"].startswith("transfer") and str(each["callId"]) in call_ids
    )


async def test_transfers(tmp_path: Path):
    """One server for all of it: to start one takes longer than a transfer."""
    async with servers(tmp_path, None, 1) as [rig]:
        async with rig.http() as http:
            hook = {"url": "https://example.com/hook", "events": [STARTED, COMPLETED, FAILED]}
            assert (await http.post("/v1/webhook-endpoints", json=hook)).status_code == 201
        await asyncio.gather(
            cold_and_the_person_hangs_up(rig),
            warm_and_the_caller_hangs_up(rig),
            declined_and_the_agent_goes_on(rig),
            the_caller_hangs_up_while_it_rings(rig),
            the_carrier_has_nobody_and_the_agent_goes_on(rig),
            released_and_the_carrier_keeps_the_two(rig),
            an_address_with_headers_and_an_extension(rig),
            the_person_sees_the_number_of_a_caller_who_called(rig),
            what_is_refused(rig),
        )
        await somebody_behind_a_menu(rig)  # alone: to make its voice keeps the carrier busy
        await no_room_for_a_second_call(rig)


async def cold_and_the_person_hangs_up(rig: Rig) -> None:
    wish = to("cold")
    id, caller = await transferred(rig, Person(ring_ms=300), wish)
    await until(rig, id, "transfer_connected")
    [leg] = (await call(rig, id))["transferCalls"]
    person = rig.carrier.placed((await call(rig, leg["id"]))["callSid"])
    silent_from = len(await caller.heard())
    await person.do(Wait(ms=500), Say(sound="tone", ms=1500), Wait(ms=500), HangUp())
    shown = await ended(rig, id)
    assert (shown["status"], shown["endedReason"]) == ("completed", "transferred")
    assert (shown["transferType"], shown["transferStatus"]) == ("cold", "completed")
    [leg] = shown["transferCalls"]
    assert (leg["customerNumber"], leg["transferStatus"]) == (wish["to"]["number"], "completed")
    assert leg["durationSeconds"] >= 2
    assert leg["cost"] > 0
    own = await call(rig, leg["id"])
    assert (own["parentCallId"], own["endedReason"]) == (id, "customer_ended")
    assert {"calls": rig.recorded(id), "leg": rig.recorded(leg["id"])} == {
        "calls": True,
        "leg": True,
    }
    heard = await caller.heard()
    assert len(set(heard[silent_from:])) > 20, "the caller did not hear the person"
    kinds = [event["kind"] for event in await stored(rig, id)]
    assert [k for k in kinds if k.startswith("transfer_")] == [
        "transfer_initiated",
        "transfer_ringing",
        "transfer_connected",
        "transfer_completed",
    ]
    assert await announced(rig, [leg["id"]]) == [COMPLETED, STARTED]


async def warm_and_the_caller_hangs_up(rig: Rig) -> None:
    id, caller = await transferred(rig, TAKES, to("warm"))
    await until(rig, id, "transfer_connected")
    await caller.do(Say(sound="tone", ms=800), HangUp())
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    [leg] = shown["transferCalls"]
    assert leg["transcript"][0]["content"].startswith("Chairs. To take the call, press one.")
    assert (await call(rig, leg["id"]))["endedReason"] == "caller_ended"


async def declined_and_the_agent_goes_on(rig: Rig) -> None:
    declines = Person(ring_ms=50, steps=[WaitQuiet(quiet_ms=300), Press(digits="2")])
    wish = to("warm", whenUnavailable="Nobody is there today.")
    id, caller = await transferred(rig, declines, wish)
    await until(rig, id, "transfer_declined")
    async with asyncio.timeout(20):
        while not any("Nobody is there" in str(e["data"]) for e in await stored(rig, id)):
            await asyncio.sleep(0.1)
    shown = await call(rig, id)
    assert (shown["status"], shown["transferStatus"]) == ("in_progress", "declined")
    await caller.do(Wait(ms=1500), HangUp())
    shown = await ended(rig, id)
    assert shown["endedReason"] == "customer_ended"
    [leg] = shown["transferCalls"]
    assert leg["transferStatus"] == "declined"


async def somebody_behind_a_menu(rig: Rig) -> None:
    """A menu talks for longer than anybody who picks up, and then the person says hello."""
    menu = (
        "thank you for calling the company that sells chairs and tables and beds and cupboards and "
        "shelves and sofas to everybody in town and all around it since eighteen hundred and ten "
        "and if you know whom you want to speak with dial the number of their desk at any time"
    )
    answers = [Say(text=menu), Wait(ms=2500), Say(text="Hello, this is Tom.")]
    takes = Person(ring_ms=50, steps=[*answers, WaitQuiet(quiet_ms=300), Press(digits="1")])
    wish = to("warm", postDialDigits="wwww204")
    id, _ = await transferred(rig, takes, wish)
    await until(rig, id, "transfer_connected")
    [leg] = (await call(rig, id))["transferCalls"]
    person = rig.carrier.placed((await call(rig, leg["id"]))["callSid"])
    assert [event["digits"] for event in person.events("call.pressed")] == ["wwww204"]
    await person.do(HangUp())
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    [leg] = shown["transferCalls"]
    said = [line["content"] for line in leg["transcript"] if line["role"] == "assistant"]
    assert len(said) == 1
    assert said[0].startswith("Chairs. To take the call, press one.")


async def an_address_with_headers_and_an_extension(rig: Rig) -> None:
    """All that a target says of the second call reaches the carrier that places it."""
    address = "sip:200@pbx.example.com"
    asked_for = f"{address}?X-Team=chairs%20and%20beds"
    headers = [{"key": "X-Team", "value": "chairs and beds"}]
    wish = to("cold", number=address, headers=headers, postDialDigits="w204", ringTimeoutSeconds=25)
    id, caller = await talking(rig)
    await rig.carrier.expect(asked_for, Person(ring_ms=50))
    answer = await post(rig, f"{id}/transfer", wish)
    assert answer.status_code == 202, answer.text
    await until(rig, id, "transfer_connected")
    dialled = [event for event in rig.carrier.events if event["kind"] == "api"]
    [form] = [e["form"] for e in dialled if address in e.get("form", {}).get("To", [""])[0]]
    assert form["To"] == [asked_for]
    assert form["From"] == [OURS]
    assert (form["SendDigits"], form["Timeout"]) == (["w204"], ["25"])
    await caller.do(HangUp())
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    assert shown["transferCalls"][0]["customerNumber"] == address


async def the_person_sees_the_number_of_a_caller_who_called(rig: Rig) -> None:
    """By the token that Twilio gave to that call."""
    theirs = "+15572220001"
    caller = await rig.carrier.call(OURS, theirs, CALLER)
    async with asyncio.timeout(40):
        while not (found := [c for c in await rig.calls() if c["customerNumber"] == theirs]):
            await asyncio.sleep(0.1)
    id = found[0]["id"]
    await until(rig, id, "reply_started")
    wish = to("cold", callerId="caller")
    number = wish["to"]["number"]
    await rig.carrier.expect(number, Person(ring_ms=50))
    answer = await post(rig, f"{id}/transfer", wish)
    assert answer.status_code == 202, answer.text
    await until(rig, id, "transfer_connected")
    asked = [event["form"] for event in rig.carrier.events if event["kind"] == "api"]
    [form] = [form for form in asked if form.get("To") == [number]]
    assert form["From"] == [theirs]
    await caller.do(HangUp())
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")


async def the_caller_hangs_up_while_it_rings(rig: Rig) -> None:
    id, caller = await transferred(rig, Person(ring_ms=30_000), to("cold"))
    await until(rig, id, "transfer_ringing")
    await caller.do(HangUp())
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("customer_ended", "cancelled")
    [leg] = shown["transferCalls"]
    assert leg["status"] == "no_answer"
    sid = (await call(rig, leg["id"]))["callSid"]
    async with asyncio.timeout(20):
        while (await rig.carrier.placed(sid).look())["status"] not in ("canceled", "completed"):
            await asyncio.sleep(0.1)


async def the_carrier_has_nobody_and_the_agent_goes_on(rig: Rig) -> None:
    """Twice: the second time somebody answers, and the call ends here."""
    wish = to("cold", merge="release")
    id, caller = await transferred(rig, Person(answer="busy", ring_ms=300), wish)
    events = await until(rig, id, "transfer_no_answer")
    assert [e["kind"] for e in events if e["kind"].startswith("transfer_")] == [
        "transfer_initiated",
        "transfer_ringing",
        "transfer_no_answer",
    ]
    heard = len(await caller.heard())
    await until(rig, id, "hold_ended")
    async with asyncio.timeout(20):
        while len(set((await caller.heard())[heard:])) < 20:  # the agent says that nobody is free
            await asyncio.sleep(0.1)
    await rig.carrier.expect(wish["to"]["number"], Person(ring_ms=100))
    assert (await post(rig, f"{id}/transfer", wish)).status_code == 202
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    assert shown["transferCalls"] == []


async def released_and_the_carrier_keeps_the_two(rig: Rig) -> None:
    """Both calls are over here; what they last at the carrier is counted."""
    id, leg_id, person = await released(rig)
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    calls = [shown, await call(rig, leg_id)]
    assert calls[1]["endedReason"] == "transferred"
    asks = await rig.rows("SELECT workflow_uuid FROM {dbos}workflow_status WHERE name = 'ask_over'")
    # If it does not tell.
    assert {(f"ask_over:{each['id']}:0",) for each in calls} <= {*asks}
    await asyncio.sleep(2)  # the two talk at the carrier
    await person.do(HangUp())
    for each in calls:
        [over] = await until(rig, each["id"], "released_over", only=True)
        lasted_s = over["data"]["durationSeconds"]
        assert lasted_s >= each["durationSeconds"] + 1
        assert over["atMs"] == lasted_s * 1000


async def released(rig: Rig) -> tuple[str, str, CarrierCall]:
    """A caller and a person whom the carrier has connected: both calls, and the person there."""
    id, _ = await transferred(rig, TAKES, to("warm", merge="release"))
    await until(rig, id, "transfer_released")
    [leg] = (await call(rig, id))["transferCalls"]
    return id, leg["id"], rig.carrier.placed((await call(rig, leg["id"]))["callSid"])


async def no_room_for_a_second_call(rig: Rig) -> None:
    await rig.limit(1, 5)
    id, caller = await transferred(rig, Person(), to("cold"))
    events = await until(rig, id, "transfer_failed")
    assert "as many calls as it may" in str(events[-1]["data"]) or "as many calls" in str(events)
    await rig.limit(20, 5)
    await caller.do(HangUp())
    shown = await ended(rig, id)
    assert (shown["transferStatus"], shown["transferCalls"]) == ("failed", [])


async def what_is_refused(rig: Rig) -> None:
    id, caller = await talking(rig)
    for wish, field in (
        ({}, "target"),
        ({"target": "Nobody"}, "target"),
        ({"target": "Nobody", **to("cold")}, "target"),
        (to("cold", number="12"), "to.number"),
        (to("cold", postDialDigits="1x"), "to.postDialDigits"),
        (to("cold", briefing="Hello"), "to"),
        (to("warm", briefing="Hello {{first-name}}"), "to.briefing"),
        (to("cold", number="sip:200"), "to.number"),
        # What Twilio does not do for a number, and not in a call that goes out.
        (to("cold", headers=[{"key": "X-A", "value": "b"}]), "to.headers"),
        (to("cold", callerId="caller"), "to.callerId"),
    ):
        answer = await post(rig, f"{id}/transfer", wish)
        assert answer.status_code == 400, wish
        assert f'"{field}"' in answer.text
    await caller.do(HangUp())
    await ended(rig, id)
    answer = await post(rig, f"{id}/transfer", to("cold"))
    assert (answer.status_code, answer.json()["code"]) == (409, "call_not_live")
