"""Searching calls by words and by a part of the number, and that the index follows the calls."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api
from tests.test_lists import calls

from chorus.calls import search
from chorus.calls.tables import CallRow


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


async def found(api: Api, query: str) -> list[str]:
    answer = await api.get(f"/v1/calls?{query}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["pagination"]["total"] == len(body["data"])
    return [call["id"] for call in body["data"]]


async def change(api: Api, id: str, **values: Any) -> None:
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(CallRow).where(CallRow.id == uuid.UUID(id)).values(**values)
        )


async def test_words(api: Api):
    [first] = await calls(api, 1, transcript=said("I would like an appointment", "on Friday"))
    [second] = await calls(api, 1, transcript=said("Friday is fine"), meta={"order": "A-4711"})
    [third] = await calls(api, 1, meta={"deep": [{"campaign": "Straße"}, 4712]})
    for text, ids in {
        "friday": {first, second},
        "Friday appointment": {first},
        "appoint": set[str](),
        "A-4711": {second},
        "4712": {third},
        "straße": {third},
        "friday 4711": {second},
        "nobody": set[str](),
        "user": set[str](),
        '"': set[str](),
        'fri"day': set[str](),
        "owner : x OR friday": set[str](),
        "friday*": {first, second},
    }.items():
        assert set(await found(api, f"text={text}")) == ids, text
    assert await found(api, "text=friday&status=failed") == []
    assert set(await found(api, "text=friday&direction=inbound")) == {first, second}
    assert await found(api, "text=friday&search=nobody") == []


async def test_the_index_follows_the_call(api: Api):
    [id] = await calls(api, 1)
    assert await found(api, "text=umbrella") == []
    await change(api, id, transcript=said("my umbrella"))
    assert await found(api, "text=umbrella") == [id]
    await change(api, id, meta={"a": "violin"})
    assert await found(api, "text=umbrella violin") == [id]
    assert (await api.delete(f"/v1/calls/{id}/transcript")).status_code == 200
    assert await found(api, "text=umbrella") == []
    assert await found(api, "text=violin") == [id]
    async with api.process.database.writing() as session:
        await session.execute(sa.delete(CallRow).where(CallRow.id == uuid.UUID(id)))
    assert await found(api, "text=violin") == []
    [id] = await calls(api, 1, transcript=said("another violin"))
    assert await found(api, "text=violin") == [id]


async def test_a_part_of_the_number(api: Api):
    [first] = await calls(api, 1, customer_number="+442071838750")
    [second] = await calls(api, 1, customer_number="sip:Alice@example.com")
    [third] = await calls(api, 1, customer_number="+18750875")
    for part, ids in {
        "38750": {first},
        "875": {first, third},
        "8758750": set[str](),  # its pieces are there, in another order
        "alice@": {second},
        "ALICE": {second},
        "+44": {first},
        "%2B44": {first},
        "50": {first, third},
        "e": {second},
        "%25": set[str](),
        "2071838750123": set[str](),
    }.items():
        assert set(await found(api, f"search={part}")) == ids, part


async def test_the_agents_name_and_the_number_together(api: Api):
    agent = await api.made("/v1/agents", {"name": "Line 875"})
    [first] = await calls(api, 1, agent_id=uuid.UUID(agent["id"]))
    [second] = await calls(api, 1, customer_number="+18750000")
    assert await found(api, "search=line 875") == [first]
    assert await found(api, "search=875") == [second, first]
    assert await found(api, "search=75") == [second, first]


async def test_only_the_newest_are_looked_at(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "SEARCHED", 3)
    ids = [(await calls(api, 1, transcript=said("hello")))[0] for _ in range(5)]
    assert await found(api, "text=hello") == ids[:1:-1]


async def test_nothing_of_others_is_found(api: Api):
    await calls(api, 2, transcript=said("secret"))
    async with await api.another_organization() as other:
        for query in ("text=secret", "search=555", "search=55"):
            assert (await other.get(f"/v1/calls?{query}")).json()["data"] == []
