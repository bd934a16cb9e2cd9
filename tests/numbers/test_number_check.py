"""What the check of a phone number finds, with a carrier that says what the test has it say."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from tests.fakes.api import Api

from chorus.calls import number_check
from chorus.db import utcnow
from chorus.lines.desk import Connection, RegistrationState
from chorus.lines.sip.carrier import ELSEWHERE
from chorus.numbers import routing

TELNYX = {
    "provider": "telnyx",
    "telnyxApiKey": "k-secret",
    "telnyxConnectionId": "1",
    "telnyxPublicKey": "k",
}
SIP = {"provider": "sip", "sipUsername": "u", "sipPassword": "s", "sipProxy": "pbx.example"}


async def checked(
    api: Api, monkeypatch: pytest.MonkeyPatch, says: str | None, **settings: Any
) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    number = await api.made("/v1/phone-numbers", {"number": "+14155551234", **settings})
    return number, await again(api, monkeypatch, says, number)


async def again(
    api: Api, monkeypatch: pytest.MonkeyPatch, says: str | None, number: dict[str, Any]
) -> dict[str, tuple[str, str]]:
    async def check(connection: Connection) -> str | None:
        assert connection.number == number["number"]
        return says

    carrier = api.app.state.switchboard.carriers[number["provider"]]
    monkeypatch.setattr(carrier, "check", check)
    answer = await api.post(f"/v1/phone-numbers/{number['id']}/check")
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    found = {each["what"]: (each["state"], each["says"]) for each in data["findings"]}
    assert data["ok"] == all(state != "problem" for state, _ in found.values())
    return found


async def test_what_the_carrier_says_and_where_it_has_to_post(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    number, found = await checked(api, monkeypatch, None, **TELNYX)
    assert found["settings"][0] == "ok"
    assert found["agent"][0] == "note"
    assert found["calls"] == (
        "note",
        "No call has come in yet: call the number once, and look again",
    )
    url = f"{api.process.settings.url}/telnyx/events"
    assert url in found["address"][1]
    found = await again(api, monkeypatch, "Telnyx says: 401", number)
    assert found["settings"] == ("problem", "Telnyx says: 401")


async def test_a_carrier_that_does_not_answer_is_not_waited_for(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(number_check, "CHECK_S", 0.01)
    number = await sqlite_api.made("/v1/phone-numbers", {"number": "+14155551234", **TELNYX})

    async def check(connection: Connection) -> str | None:
        await asyncio.Event().wait()

    monkeypatch.setattr(sqlite_api.app.state.switchboard.carriers["telnyx"], "check", check)
    answer = await sqlite_api.post(f"/v1/phone-numbers/{number['id']}/check")
    first = answer.json()["data"]["findings"][0]
    assert (first["state"], first["what"]) == ("problem", "settings")
    assert "did not answer within" in first["says"]


@pytest.mark.parametrize(
    ("state", "error", "found"),
    [
        ("registered", None, "ok"),
        ("failed", "401 Unauthorized", "problem"),
        ("registering", None, "note"),
    ],
)
async def test_a_registration_is_told_by_a_process_that_holds_none(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, state: Any, error: str | None, found: str
):
    api = sqlite_api
    number, before = await checked(api, monkeypatch, ELSEWHERE, **SIP)
    assert before["settings"][0] == "note"
    assert "registration" not in before
    assert "address" not in before
    async with api.process.database.writing() as session:
        told = RegistrationState(state, utcnow(), error)
        await routing.note_registration(session, uuid.UUID(number["id"]), told)
    after = await again(api, monkeypatch, ELSEWHERE, number)
    assert after["registration"][0] == found
    assert error is None or error in after["registration"][1]


async def test_a_number_of_nobody_is_not_checked(sqlite_api: Api):
    answer = await sqlite_api.post(f"/v1/phone-numbers/{uuid.uuid4()}/check")
    assert answer.status_code == 404
