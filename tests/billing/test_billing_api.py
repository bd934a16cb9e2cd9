"""/v1/balance, /v1/ledger, /v1/usage on both databases, and calls refused without money."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.billing.office import FIRST_MINUTE, PRICES, Office, usage
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.ringing import rings

from chorus import cli
from chorus.billing.prices import METERS
from chorus.calls.answer import Declined, Taken, answer
from chorus.calls.switchboard import Switchboard
from chorus.numbers import routing

NUMBER = {
    "number": "+14155550000",
    "twilioAccountSid": "AC" + "0" * 32,
    "twilioAuthToken": "t",
}


@pytest.fixture
async def paid(tmp_path: Path, database_url: str) -> AsyncGenerator[Api, None]:
    """The API where calls are paid for."""
    path = tmp_path / "test-prices.toml"
    path.write_text(PRICES.replace("openai/large", "script").replace("pocketsphinx", '"*"'))
    settings = settings_for(
        tmp_path, database_url=database_url, billing=True, allow_top_up=True, prices_file=path
    )
    async with running(settings) as api:
        yield api


def office_of(api: Api) -> Office:
    """The calls of the API's own process."""
    switchboard: Switchboard = api.app.state.switchboard
    return Office(api.process.database, switchboard.admission.prices)


async def wish(api: Api) -> dict[str, Any]:
    return {
        "agentId": (await api.made("/v1/agents", {"name": "Ada"}))["id"],
        "phoneNumberId": (await api.made("/v1/phone-numbers", NUMBER))["id"],
        "to": "+14155551234",
    }


async def settled(api: Api, *, agent_id: uuid.UUID | None = None) -> uuid.UUID:
    office, organization_id = office_of(api), await api.organization_id()
    agent_id = agent_id or await office.agent(organization_id)
    call_id = await office.begins(organization_id, agent_id)
    assert call_id is not None
    data = {**usage(100, 1000, 50), "model": "script"}
    await office.notes(
        call_id,
        (0, "answered", {"transcriber": "pocketsphinx"}),
        (1000, "usage", data),
        (1000, "usage", {**data, "discarded": True}),
    )
    await office.ends(call_id, 61_000)
    await office.settle(call_id)
    return call_id


async def test_topping_up(paid: Api):
    line = await paid.made("/v1/balance/top-ups", {"amount": 12.345678, "note": "June"})
    assert (line["kind"], line["amount"], line["note"]) == ("top_up", 12.345678, "June")
    assert line["callId"] is None
    balance = (await paid.get("/v1/balance")).json()["data"]
    assert balance == {"enabled": True, "balance": 12.345678, "held": 0, "available": 12.345678}


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        (0, "greater than 0"),
        (-5, "greater than 0"),
        (1_000_001, "at most 1000000"),
        (0.0000001, "at most six decimals"),
        ("5", "must be a number"),
        (True, "must be a number"),
        (None, "must be a number"),
    ],
)
async def test_wrong_amounts(paid: Api, amount: Any, says: str):
    response = await paid.post("/v1/balance/top-ups", json={"amount": amount})
    assert response.status_code == 400
    [detail] = response.json()["details"]
    assert detail["field"] == "amount"
    assert says in detail["message"]
    assert (await paid.get("/v1/ledger")).json()["data"] == []


async def test_a_top_up_that_is_sent_again_counts_once(paid: Api):
    answers = [
        await paid.post(
            "/v1/balance/top-ups", json={"amount": 5}, headers={"Idempotency-Key": "one"}
        )
        for _ in range(3)
    ]
    assert {response.json()["data"]["id"] for response in answers} == {
        answers[0].json()["data"]["id"]
    }
    assert (await paid.get("/v1/balance")).json()["data"]["balance"] == 5


async def test_the_api_tops_up_only_where_the_operator_allows_it(api: Api):
    response = await api.post("/v1/balance/top-ups", json={"amount": 5})
    assert (response.status_code, response.json()["code"]) == (403, "top_up_not_allowed")
    assert (await api.get("/v1/balance")).json()["data"]["balance"] == 0


async def test_a_key_that_reads_tops_up_nothing(paid: Api):
    client = await paid.another_organization(scopes=("read",))
    assert (await client.post("/v1/balance/top-ups", json={"amount": 5})).status_code == 403
    assert (await client.get("/v1/balance")).json()["data"]["balance"] == 0


async def test_no_money_no_call(paid: Api):
    body = await wish(paid)
    first = FIRST_MINUTE["outbound"] / 1_000_000
    await paid.made("/v1/balance/top-ups", {"amount": round(first - 0.000001, 6)})
    response = await paid.post("/v1/calls", json=body)
    assert response.status_code == 402
    assert response.json()["code"] == "insufficient_funds"
    assert response.json()["error"] == "Insufficient funds. Please top up your balance."
    assert (await paid.get("/v1/calls")).json()["pagination"]["total"] == 0
    await paid.made("/v1/balance/top-ups", {"amount": 0.000001})
    assert (await paid.post("/v1/calls", json=body)).status_code == 201
    balance = (await paid.get("/v1/balance")).json()["data"]
    assert balance["held"] == balance["balance"] == first
    assert balance["available"] == 0


async def test_money_for_one_of_many_at_once(paid: Api):
    body = await wish(paid)
    await paid.made("/v1/balance/top-ups", {"amount": 1.9 * 0.0306})
    answers = await asyncio.gather(*(paid.post("/v1/calls", json=body) for _ in range(6)))
    assert sorted(response.status_code for response in answers) == [201] + [402] * 5


async def test_no_money_no_chat(paid: Api):
    agent = await paid.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{agent['id']}/chat"
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    response = await paid.post(path, json=body)
    assert (response.status_code, response.json()["code"]) == (402, "insufficient_funds")
    await paid.made("/v1/balance/top-ups", {"amount": 1})
    response = await paid.post(path, json=body)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")


async def test_an_inbound_call_is_refused_and_leaves_nothing(paid: Api):
    body = await wish(paid)
    number = body["phoneNumberId"]
    await paid.patch(f"/v1/phone-numbers/{number}", json={"agentId": body["agentId"]})
    switchboard: Switchboard = paid.app.state.switchboard
    async with paid.process.database.reading() as session:
        (route,) = await routing.of_number(session, "twilio", NUMBER["number"], switchboard.secrets)
    declined = await answer(switchboard, route, rings())
    assert isinstance(declined, Declined)
    assert "balance" in declined.reason
    assert (await paid.get("/v1/calls")).json()["pagination"]["total"] == 0
    await paid.made("/v1/balance/top-ups", {"amount": FIRST_MINUTE["inbound"] / 1_000_000})
    taken = [await answer(switchboard, route, rings()) for _ in range(2)]
    # Asked again, it is the same call and the same hold.
    assert all(isinstance(each, Taken) for each in taken)
    assert (await paid.get("/v1/balance")).json()["data"]["available"] == 0


async def test_nobody_is_charged_by_default(api: Api):
    assert (await api.post("/v1/calls", json=await wish(api))).status_code == 201
    balance = (await api.get("/v1/balance")).json()["data"]
    assert balance == {"enabled": False, "balance": 0, "held": 0, "available": 0}


async def test_the_ledger_of_a_call_adds_up_to_its_cost(paid: Api):
    await paid.made("/v1/balance/top-ups", {"amount": 5})
    ids = [await settled(paid) for _ in range(2)]
    for id in ids:
        body = (await paid.get(f"/v1/ledger?callId={id}")).json()
        cost = (await paid.get(f"/v1/calls/{id}")).json()["data"]["cost"]
        assert round(sum(line["amount"] for line in body["data"]), 6) == cost > 0
        assert body["pagination"]["total"] == 8
    [line] = (await paid.get(f"/v1/ledger?callId={ids[0]}&meter=telephony")).json()["data"]
    assert line["kind"] == "charge"
    assert (line["quantity"], line["unit"], line["unitPrice"], line["pricePer"]) == (
        120,
        "second",
        0.014,
        60,
    )
    assert (line["amount"], line["charged"], line["discarded"]) == (0.028, True, False)
    assert (line["priceVersion"], line["engine"], line["sequence"]) == ("test", "twilio", 0)
    everything = (await paid.get("/v1/ledger?limit=100")).json()
    assert everything["pagination"]["total"] == 17
    assert [x["kind"] for x in (await paid.get("/v1/ledger?kind=top_up")).json()["data"]] == [
        "top_up"
    ]
    top_up = everything["data"][-1]
    after = top_up["createdAt"]
    assert (await paid.get(f"/v1/ledger?from={after}")).json()["pagination"]["total"] == 17
    assert (await paid.get(f"/v1/ledger?to={after}")).json()["pagination"]["total"] == 0
    for wrong in ("meter=fax", "from=yesterday", "callId=1", "limit=0", "nothing=1"):
        assert (await paid.get(f"/v1/ledger?{wrong}")).status_code == 400, wrong


async def test_usage(paid: Api):
    await paid.made("/v1/balance/top-ups", {"amount": 5})
    office, organization_id = office_of(paid), await paid.organization_id()
    agents = [await office.agent(organization_id) for _ in range(2)]
    ids = [await settled(paid, agent_id=agent) for agent in (agents[0], *agents)]
    cost = (await paid.get(f"/v1/calls/{ids[0]}")).json()["data"]["cost"]

    async def found(group_by: str, span: str = "from=2025-03-01T00:00:00Z") -> dict[str, Any]:
        response = await paid.get(f"/v1/usage?groupBy={group_by}&{span}")
        assert response.status_code == 200, response.text
        return response.json()["data"]

    by_day = await found("day")
    assert [group["key"] for group in by_day["groups"]] == ["2025-03-31"]
    assert by_day["total"] == {
        "calls": 3,
        "telephonySeconds": 360,
        "transcriptionSeconds": 183,
        "characters": 600,
        "inputTokens": 6000,
        "outputTokens": 300,
        "cost": pytest.approx(3 * cost),
        "discardedCost": pytest.approx(3 * (0.0015 + 0.002 + 0.0004)),
    }
    assert {**by_day["groups"][0], "key": None} == {**by_day["total"], "key": None}
    by_agent = await found("agent")
    assert [(g["key"], g["calls"]) for g in by_agent["groups"]] == [
        (str(agents[0]), 2),
        (str(agents[1]), 1),
    ]
    by_meter = {group["key"]: group for group in (await found("meter"))["groups"]}
    assert set(by_meter) == {
        "telephony",
        "transcription",
        "voice",
        "model_input",
        "model_output",
    }
    assert by_meter["voice"]["calls"] == 3
    assert sum(group["cost"] for group in by_meter.values()) == pytest.approx(3 * cost)
    [no_number] = (await found("phoneNumber"))["groups"]
    assert (no_number["key"], no_number["calls"]) == (None, 3)
    # A call belongs to the moment at which it was answered, whenever it was settled.
    for span, calls in (
        ("from=2025-03-31T23:59:30Z&to=2025-03-31T23:59:31Z", 3),
        ("from=2025-03-01T00:00:00Z&to=2025-03-31T23:59:30Z", 0),
        ("from=2025-04-01T01:59:30%2B02:00&to=2025-04-01T03:00:00%2B02:00", 3),
    ):
        assert (await found("day", span))["total"]["calls"] == calls, span
    assert (await paid.get("/v1/usage")).json()["data"]["groups"] == []
    for wrong in ("groupBy=week", "from=2025-03-02T00:00:00Z&to=2025-03-01T00:00:00Z"):
        assert (await paid.get(f"/v1/usage?{wrong}")).status_code == 400, wrong


async def test_money_is_nobody_elses(paid: Api):
    await paid.made("/v1/balance/top-ups", {"amount": 5})
    id = await settled(paid)
    other = await paid.another_organization()
    assert (await other.get("/v1/balance")).json()["data"]["balance"] == 0
    assert (await other.get(f"/v1/ledger?callId={id}")).json()["data"] == []
    span = "from=2025-03-01T00:00:00Z"
    assert (await other.get(f"/v1/usage?{span}")).json()["data"]["total"]["calls"] == 0


# --- the command line --------------------------------------------------------------------------


@pytest.fixture
async def prepared(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    settings = sqlite_api.process.settings
    monkeypatch.setenv("CHORUS_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("CHORUS_SECRET_KEY", settings.secret_keys[0])
    return sqlite_api


async def chorus(*arguments: str) -> int:
    return await asyncio.to_thread(cli.run, ["billing", *arguments])


async def test_the_operator_tops_up(prepared: Api, capsys: pytest.CaptureFixture[str]):
    assert await chorus("top-up", "50", "--note", "June") == 0
    assert capsys.readouterr().out == "The balance is $50.00 now.\n"
    assert await chorus("top-up", "-49.999999", "--note", "one zero too many") == 0
    assert capsys.readouterr().out == "The balance is $0.000001 now.\n"
    assert await chorus("balance") == 0
    out = capsys.readouterr().out
    assert "available  $0.000001" in out
    assert "CHORUS_BILLING is not 1" in out
    lines = (await prepared.get("/v1/ledger")).json()["data"]
    assert [(line["amount"], line["note"]) for line in lines] == [
        (-49.999999, "one zero too many"),
        (50, "June"),
    ]


@pytest.mark.parametrize("amount", ["0", "fifty", "1e9", "nan", "0.0000001", "1000000.5"])
async def test_the_operator_is_told_of_a_wrong_amount(
    prepared: Api, capsys: pytest.CaptureFixture[str], amount: str
):
    assert await chorus("top-up", amount) == 1
    assert "mount" in capsys.readouterr().err
    assert (await prepared.get("/v1/ledger")).json()["data"] == []


async def test_prices_are_shown_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert await chorus("prices") == 0
    assert "telephony twilio: $0.014 a minute outbound, $0.0085 inbound" in capsys.readouterr().out
    (tmp_path / "p.toml").write_text("x = 1")
    monkeypatch.setenv("CHORUS_PRICES_FILE", str(tmp_path / "p.toml"))
    assert await chorus("prices") == 1
    assert "unknown key: x" in capsys.readouterr().err


async def test_the_price_list_that_is_valid_now_is_shown(tmp_path: Path):
    path = tmp_path / "prices.toml"
    read = 'source = "https://prices.example.com/list"\nread_on = 2025-03-01\n'
    section = "[price_list.telephony.twilio]\n"
    assert section in PRICES
    later = PRICES.replace('"test"', '"later"').replace("2025-01-01", "2999-01-01")
    path.write_text(PRICES.replace(section, section + read) + later)
    async with running(settings_for(tmp_path, prices_file=path)) as api:
        found = (await api.get("/v1/prices")).json()["data"]
        assert (await api.client_with(None).get("/v1/prices")).status_code == 401
    assert (found["version"], found["examples"]) == ("test", False)
    assert found["validFrom"] == "2025-01-01T00:00:00.000Z"
    [outbound, inbound] = [each for each in found["prices"] if each["engine"] == "twilio"]
    assert outbound == {
        "meter": "telephony", "engine": "twilio", "direction": "outbound", "price": 0.014,
        "per": 60, "unit": "second", "stepSeconds": 60,
        "source": "https://prices.example.com/list", "readOn": "2025-03-01",
    }  # fmt: skip
    assert (inbound["direction"], inbound["price"]) == ("inbound", 0.0085)
    large = {each["meter"]: each for each in found["prices"] if each["engine"] == "openai/large"}
    assert large.keys() == {"model_input", "model_output"}
    assert (large["model_input"]["price"], large["model_input"]["per"]) == (2, 1_000_000)
    assert (large["model_input"]["unit"], large["model_input"]["source"]) == ("token", None)


async def test_the_packaged_prices_are_called_examples(sqlite_api: Api):
    found = (await sqlite_api.get("/v1/prices")).json()["data"]
    assert found["examples"] is True
    assert {each["meter"] for each in found["prices"]} == set(METERS)
