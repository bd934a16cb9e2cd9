"""/v1/phone-numbers on both databases."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.numbers import queries
from chorus.numbers.tables import PhoneNumber

SECRET = "a-very-secret-word"
TWILIO = {"twilioAccountSid": "AC" + "0" * 32, "twilioAuthToken": SECRET}
REGISTRATION = {"sipUsername": "100", "sipPassword": SECRET, "sipProxy": "pbx.example.com"}
ALLOWLIST = {"sipMode": "ip_allowlist", "sipIp": "203.0.113.7"}
JAMBONZ = {
    "jambonzAccountSid": "acc",
    "jambonzApiKey": SECRET,
    "jambonzBaseUrl": "https://jambonz.example.com/api",
    "jambonzWebhookSecret": SECRET,
}
VOXIMPLANT = {
    "voximplantAccountId": "1",
    "voximplantApiKey": SECRET,
    "voximplantRuleId": "2",
    "voximplantScenarioSecret": SECRET,
}
TELNYX = {
    "telnyxApiKey": SECRET,
    "telnyxConnectionId": "1293384261075731499",
    "telnyxPublicKey": "4PwLNJjz4wdxGUzvXgYXvmXuVRcIBpvUEiVSNYjrxKo=",
}
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("twilio", TWILIO),
    ("sip", REGISTRATION),
    ("sip", ALLOWLIST),
    ("jambonz", JAMBONZ),
    ("voximplant", VOXIMPLANT),
    ("telnyx", TELNYX),
]
NUMBER = "+14155551234"


def body(provider: str, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"number": NUMBER, "provider": provider, **settings, **more}


async def stored(api: Api, id: str) -> dict[str, Any]:
    """The settings as a line gets them."""
    async with api.process.database.reading() as session:
        number = await queries.one(session, await api.organization_id(), uuid.UUID(id))
        return queries.connection(number, api.process.secrets)


@pytest.mark.parametrize(("provider", "settings"), WAYS)
async def test_credentials_are_kept_and_never_shown(
    api: Api, provider: str, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    created = await api.post("/v1/phone-numbers", json=body(provider, settings))
    assert created.status_code == 201, created.text
    id = created.json()["data"]["id"]
    changed = await api.patch(f"/v1/phone-numbers/{id}", json={"name": "n"})
    taken = await api.post("/v1/phone-numbers", json=body(provider, settings))
    assert taken.status_code == 409
    wrong = await api.post("/v1/phone-numbers", json=body(provider, settings, number=SECRET))
    assert wrong.status_code == 400
    for response in (
        *(created, changed, taken, wrong),
        await api.get(f"/v1/phone-numbers/{id}"),
        await api.get("/v1/phone-numbers"),
    ):
        assert SECRET not in response.text
        assert TWILIO["twilioAccountSid"] not in response.text
    assert SECRET not in caplog.text
    async with api.process.database.reading() as session:
        row = (await session.execute(sa.select(PhoneNumber.__table__))).one()
    assert SECRET not in str(row)
    held = await stored(api, id)
    assert {name: held[name] for name in settings} == settings
    shown = changed.json()["data"]
    assert shown["hasCredentials"] is (SECRET in settings.values())
    for name, value in settings.items():
        if name in shown:
            assert shown[name] == value


async def test_the_defaults_of_each_way(api: Api):
    number = await api.made("/v1/phone-numbers", {"number": NUMBER, **TWILIO})
    assert number["provider"] == "twilio"
    assert number["name"] == NUMBER
    assert number["agentId"] is None
    assert number["metadata"] == {}
    sip = await api.made("/v1/phone-numbers", body("sip", REGISTRATION))
    assert (sip["sipMode"], sip["sipPort"], sip["sipRegisterTransport"]) == (
        "registration",
        5060,
        "udp",
    )
    allow = await api.made(
        "/v1/phone-numbers", {**body("sip", ALLOWLIST), "number": "+442071838750"}
    )
    assert (allow["sipMode"], allow["sipPort"], allow["sipProtocol"]) == (
        "ip_allowlist",
        5060,
        "udp",
    )


@pytest.mark.parametrize(
    ("provider", "settings", "missing"),
    [
        (provider, settings, name)
        for provider, settings in WAYS
        for name in settings
        if name != "sipMode"
    ],
)
async def test_what_a_provider_needs(
    sqlite_api: Api, provider: str, settings: dict[str, Any], missing: str
):
    wish = body(provider, settings)
    del wish[missing]
    response = await sqlite_api.post("/v1/phone-numbers", json=wish)
    assert response.status_code == 400
    [detail] = response.json()["details"]
    assert detail["field"] == missing
    assert "is required with provider" in detail["message"]
    wish[missing] = None
    assert (await sqlite_api.post("/v1/phone-numbers", json=wish)).status_code == 400


@pytest.mark.parametrize(
    ("wish", "field", "says"),
    [
        ({}, "number", "Number is required"),
        ({"number": "4155551234"}, "number", "E.164"),
        ({"number": "(415) 555-1234"}, "number", "E.164"),
        ({"number": "+1415555"}, "number", "not a possible phone number"),
        ({"number": "+15551234"}, "number", "not a possible phone number"),  # no area code
        ({"number": "+999123456789"}, "number", "not a phone number"),
        ({"number": "+1415555123４"}, "number", "E.164"),
        ({"number": 14155551234}, "number", "must be a string"),
        ({"provider": "vonage"}, "provider", "must be one of twilio, sip"),
        ({"sipIp": "203.0.113.7"}, "sipIp", "is not used with provider twilio"),
        ({"provider": "sip", **REGISTRATION, "sipIp": "1.2.3.4"}, "sipIp", "sipMode registration"),
        ({"provider": "sip", **REGISTRATION, "sipUsername": "a" * 61}, "sipUsername", "at most 60"),
        ({"provider": "sip", **REGISTRATION, "sipProxy": "a" * 101}, "sipProxy", "at most 100"),
        ({"provider": "sip", **REGISTRATION, "sipProxy": "a b"}, "sipProxy", "host name"),
        ({"provider": "sip", **REGISTRATION, "sipPort": 0}, "sipPort", "at least 1"),
        ({"provider": "sip", **REGISTRATION, "sipPort": 65536}, "sipPort", "at most 65535"),
        ({"provider": "sip", "sipMode": "ip_allowlist", "sipIp": "pbx"}, "sipIp", "IP address"),
        ({"agentId": str(uuid.uuid4())}, "agentId", "Agent not found"),
        ({"metadata": []}, "metadata", "must be an object"),
    ],
)
async def test_what_is_refused(sqlite_api: Api, wish: dict[str, Any], field: str, says: str):
    base = {} if wish == {} else {"number": NUMBER, **({} if "sip" in str(wish) else TWILIO)}
    if wish.get("sipIp") and "provider" not in wish:
        base |= TWILIO
    response = await sqlite_api.post("/v1/phone-numbers", json={**base, **wish})
    assert response.status_code == 400
    details = {d["field"]: d["message"] for d in response.json()["details"]}
    assert says in details[field]


async def test_patch_holds_the_merged_number_to_its_provider(api: Api):
    number = await api.made("/v1/phone-numbers", body("sip", REGISTRATION))
    path = f"/v1/phone-numbers/{number['id']}"
    # One setting more is enough where the others are there already.
    changed = await api.patch(path, json={"sipPort": 5080, "sipOutboundProxy": "edge.example.com"})
    assert changed.status_code == 200
    assert (await stored(api, number["id"]))["sipPassword"] == SECRET
    # What is required cannot be taken away; what is not, can.
    assert (await api.patch(path, json={"sipPassword": None})).status_code == 400
    response = await api.patch(path, json={"sipOutboundProxy": None})
    assert response.json()["data"]["sipOutboundProxy"] is None
    # The other mode needs its own settings, and the old ones go.
    refused = await api.patch(path, json={"sipMode": "ip_allowlist"})
    assert refused.json()["details"][0]["field"] == "sipIp"
    await api.patch(path, json={"sipMode": "ip_allowlist", "sipIp": "203.0.113.7"})
    assert await stored(api, number["id"]) == {
        "sipMode": "ip_allowlist",
        "sipIp": "203.0.113.7",
        "sipPort": 5080,
        "sipProtocol": "udp",
    }
    shown = (await api.get(path)).json()["data"]
    assert (shown["hasCredentials"], shown["sipUsername"]) == (False, None)
    # And another provider needs all of its own.
    refused = await api.patch(path, json={"provider": "twilio"})
    assert {d["field"] for d in refused.json()["details"]} == set(TWILIO)
    moved = await api.patch(path, json={"provider": "twilio", **TWILIO})
    assert moved.status_code == 200
    assert await stored(api, number["id"]) == TWILIO


async def test_nobody_takes_a_number_from_another_by_naming_it(api: Api):
    stranger = await api.another_organization()
    theirs = await stranger.post("/v1/phone-numbers", json=body("twilio", TWILIO))
    assert theirs.status_code == 201
    ours = await api.made("/v1/phone-numbers", body("twilio", TWILIO))
    assert (await stranger.get(f"/v1/phone-numbers/{ours['id']}")).status_code == 404


async def test_one_number_of_a_provider_exists_once_in_an_organization(api: Api):
    await api.made("/v1/phone-numbers", body("twilio", TWILIO))
    response = await api.post("/v1/phone-numbers", json=body("twilio", TWILIO))
    assert response.status_code == 409
    assert response.json()["code"] == "phone_number_taken"
    other = await api.made("/v1/phone-numbers", body("twilio", TWILIO, number="+442071838750"))
    response = await api.patch(f"/v1/phone-numbers/{other['id']}", json={"number": NUMBER})
    assert response.status_code == 409
    assert (await api.get(f"/v1/phone-numbers/{other['id']}")).json()["data"] == other


async def test_of_many_at_once_one_gets_the_number(api: Api):
    answers = await asyncio.gather(
        *(api.post("/v1/phone-numbers", json=body("twilio", TWILIO)) for _ in range(6))
    )
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409, 409]


async def test_the_agent_of_a_number(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    number = await api.made("/v1/phone-numbers", body("twilio", TWILIO, agentId=agent["id"]))
    path = f"/v1/phone-numbers/{number['id']}"
    assert number["agentId"] == agent["id"]
    stranger = await api.another_organization()
    theirs = (await stranger.post("/v1/agents", json={"name": "b"})).json()["data"]["id"]
    assert (await api.patch(path, json={"agentId": theirs})).status_code == 400
    refused = await api.delete(f"/v1/agents/{agent['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert refused.json()["details"] == [
        {"field": "id", "message": f"Used by the phone number '{NUMBER}' ({number['id']})"}
    ]
    assert (await api.get(path)).json()["data"]["agentId"] == agent["id"]
    await api.patch(path, json={"agentId": None})
    assert (await api.delete(f"/v1/agents/{agent['id']}")).status_code == 200


async def test_search_looks_at_name_and_number(api: Api):
    await api.made("/v1/phone-numbers", body("twilio", TWILIO, name="Front desk"))
    await api.made("/v1/phone-numbers", body("twilio", TWILIO, number="+442071838750"))
    for search, total in (("front", 1), ("4420", 1), ("%2B", 2), ("+4420", 1), ("nobody", 0)):
        response = await api.get(f"/v1/phone-numbers?search={search}")
        assert response.json()["pagination"]["total"] == total


async def test_a_number_is_found_by_its_number(api: Api):
    made = await api.made("/v1/phone-numbers", body("twilio", TWILIO, number="+442071838750"))
    await api.made("/v1/phone-numbers", body("twilio", TWILIO, number="+442071838751"))
    for written in ("%2B442071838750", "+442071838750", "%2B44 20 7183 8750"):
        response = await api.get(f"/v1/phone-numbers?number={written}")
        assert [number["id"] for number in response.json()["data"]] == [made["id"]]
    assert (await api.get("/v1/phone-numbers?number=%2B442071838752")).json()["data"] == []
    refused = await api.get("/v1/phone-numbers?number=44207")
    assert refused.status_code == 400
    assert [detail["field"] for detail in refused.json()["details"]] == ["number"]


async def test_delete(api: Api):
    number = await api.made("/v1/phone-numbers", body("twilio", TWILIO))
    path = f"/v1/phone-numbers/{number['id']}"
    assert (await api.delete(path)).json() == {"data": {"id": number["id"], "deleted": True}}
    assert (await api.get(path)).json()["error"] == "Phone number not found"
    # The number is free again.
    await api.made("/v1/phone-numbers", body("twilio", TWILIO))


@pytest.mark.parametrize(
    "written", ["+1 (415) 555-1234", "+1-415-555-1234", "+1 415.555.1234", "+14155551234"]
)
async def test_a_number_as_people_write_it_is_kept_as_e164(api: Api, written: str):
    created = await api.post("/v1/phone-numbers", json=body("twilio", TWILIO, number=written))
    assert created.status_code == 201, created.text
    assert created.json()["data"]["number"] == NUMBER


async def test_the_scenario_is_there_to_be_copied(sqlite_api: Api):
    api = sqlite_api
    number = await api.made("/v1/phone-numbers", body("voximplant", VOXIMPLANT))
    shown = (await api.get(f"/v1/phone-numbers/{number['id']}/scenario")).json()["data"]
    assert f'const CHORUS_URL = "{api.process.settings.url}";' in shown["script"]
    assert f"const VERSION = {shown['version']};" in shown["script"]
    assert SECRET not in shown["script"]
    other = await api.made("/v1/phone-numbers", body("twilio", TWILIO, number="+14155559999"))
    answer = await api.get(f"/v1/phone-numbers/{other['id']}/scenario")
    assert answer.status_code == 404
