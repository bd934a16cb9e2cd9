"""What vectors of documents cost: every answer of the vendor counts, and each reading is charged
once, to whoever the key is of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.http_peer import HttpPeer, respond
from tests.knowledge.shelves import BASES, add, library, read, search
from tests.knowledge.vendor import BREAD, KEY, VAN, Vendor

from chorus.knowledge.charging import account
from chorus.knowledge.embedding import hosted

pytestmark = pytest.mark.usefixtures("read_here")

MODEL = "azure_openai/small"
PRICES = """
[[price_list]]
version = "test"
valid_from = 2025-01-01

[price_list.typical_minute]
characters = 500
input_tokens = 2000
output_tokens = 100

[price_list.model."azure_openai/small"]
per_million_input_tokens = 2
per_million_output_tokens = 0
"""


@dataclass
class Shop:
    """A base whose vectors are made with the operator's key; nothing is on the balance."""

    api: Api
    vendor: Vendor
    peer: HttpPeer
    base_id: str

    async def top_up(self, dollars: float) -> None:
        await self.api.made("/v1/balance/top-ups", {"amount": dollars})

    async def balance(self) -> float:
        return (await self.api.get("/v1/balance")).json()["data"]["balance"]

    async def lines(self) -> list[dict[str, Any]]:
        """The oldest first."""
        answer = await self.api.get("/v1/ledger?kind=embedding")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"][::-1]


@pytest.fixture
async def shop(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Shop, None]:
    monkeypatch.setattr(hosted, "WAITS_S", (0.0,))
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    vendor = Vendor()
    async with HttpPeer(vendor) as peer:
        settings = settings_for(
            tmp_path,
            database_url=database_url,
            allow_private_addresses=True,
            billing=True,
            allow_top_up=True,
            prices_file=prices,
            azure_openai_api_key=KEY,
            azure_openai_base_url=f"{peer.url}/v1",
            azure_openai_models=("small",),
        )
        async with running(settings) as api:
            made = await api.made(BASES, {"name": "Shop", "embeddingModel": MODEL})
            yield Shop(api, vendor, peer, made["id"])


def useless(tokens: int) -> bytes:
    """It counted, and made nothing of it."""
    return respond(200, {"data": [], "usage": {"prompt_tokens": tokens}})


async def test_every_answer_counts_and_a_reading_is_charged_once(shop: Shop):
    await shop.top_up(5)
    shop.vendor.tokens = 600_000
    shop.vendor.answers = [useless(400_000)]
    document = await add(shop.api, shop.base_id, BREAD, "Bread")
    assert (document["status"], document["embeddingTokens"]) == ("ready", 1_000_000)
    assert document["embeddingCost"] == 2.0
    [line] = await shop.lines()
    assert line | {"id": None, "createdAt": None} == {
        "id": None,
        "kind": "embedding",
        "callId": None,
        "documentId": document["id"],
        "meter": "model_input",
        "sequence": None,
        "engine": MODEL,
        "discarded": False,
        "quantity": 1_000_000,
        "unit": "token",
        "unitPrice": 2.0,
        "pricePer": 1_000_000,
        "priceVersion": "test",
        "amount": 2.0,
        "charged": True,
        "agentId": None,
        "phoneNumberId": None,
        "note": None,
        "calledAt": None,
        "createdAt": None,
    }
    assert await shop.balance() == 3.0
    # A reading that fails was paid for, too; what was read before is found.
    shop.vendor.answers = [useless(100_000), useless(100_000)]
    failed = await read(shop.api, shop.base_id, document["id"])
    assert (failed["status"], failed["embeddingTokens"]) == ("failed", 1_200_000)
    assert failed["embeddingCost"] == 2.4
    again = await read(shop.api, shop.base_id, document["id"])
    assert (again["status"], again["embeddingTokens"]) == ("ready", 1_800_000)
    assert [line["amount"] for line in await shop.lines()] == [2.0, 0.4, 1.2]
    # Of the base, that of documents that are gone too; usage sums up calls alone.
    await shop.api.delete(f"{BASES}/{shop.base_id}/documents/{document['id']}")
    base = (await shop.api.get(f"{BASES}/{shop.base_id}")).json()["data"]
    assert base["embeddingCost"] == 3.6
    assert await shop.balance() == pytest.approx(1.4)
    usage = (await shop.api.get("/v1/usage")).json()["data"]
    assert usage["total"]["cost"] == 0


async def test_without_the_money_no_vendor_is_asked(shop: Shop):
    text = "\n\n".join(f"# {number}\n\n{BREAD}" for number in range(3))
    document = await add(shop.api, shop.base_id, text, "Bread")
    assert document["status"] == "failed"
    assert document["problem"].startswith("The balance does not suffice for its vectors: top it up")
    assert (shop.peer.requests, await shop.lines()) == ([], [])
    await shop.top_up(1)
    assert (await read(shop.api, shop.base_id, document["id"]))["status"] == "ready"
    [line] = await shop.lines()
    assert line["quantity"] == shop.vendor.tokens


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_with_a_key_of_its_own_the_organization_pays_the_vendor(shop: Shop):
    url = f"{shop.peer.url}/v1"
    key = {"provider": "azure_openai", "apiKey": f"{KEY}-own", "baseUrl": url, "models": ["small"]}
    made = await shop.api.made("/v1/provider-keys", {**key, "name": "Ours"})
    shop.vendor.tokens = 1_000_000
    document = await add(shop.api, shop.base_id, BREAD, "Bread")
    assert shop.peer.requests[-1].headers["api-key"] == f"{KEY}-own"
    assert (document["embeddingTokens"], document["embeddingCost"]) == (1_000_000, 2.0)
    assert (await shop.lines(), await shop.balance()) == ([], 0.0)
    assert (await shop.api.delete(f"/v1/provider-keys/{made['id']}")).status_code == 200
    await shop.top_up(3)
    await read(shop.api, shop.base_id, document["id"])
    assert await shop.balance() == 1.0
    # A question that belongs to no call is in no line.
    assert "meaning" in (await search(shop.api, shop.base_id, "bread"))["ways"]
    assert (len(await shop.lines()), await shop.balance()) == (1, 1.0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_document_that_is_deleted_while_it_is_read_was_paid_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    await shop.top_up(3)
    shop.vendor.tokens = 1_000_000
    path = f"{BASES}/{shop.base_id}/documents"
    spent: list[Any] = []

    async def deleted_first(database: Any, charging: Any, one: Any) -> None:
        assert (await shop.api.delete(f"{path}/{one.document_id}")).status_code == 200
        spent.append(one)
        await account(database, charging, one)

    monkeypatch.setattr("chorus.knowledge.ingest.account", deleted_first)
    made = await shop.api.made(path, {"name": "Van", "text": VAN})
    with pytest.raises(AssertionError):  # it cannot be shown any more
        await read(shop.api, shop.base_id, made["id"])
    [line] = await shop.lines()
    assert (line["documentId"], line["amount"]) == (made["id"], 2.0)
    # Whoever does not know whether it was written may write it again.
    await account(shop.api.process.database, library(shop.api).charging, spent[0])
    assert (len(await shop.lines()), await shop.balance()) == (1, 1.0)
    base = (await shop.api.get(f"{BASES}/{shop.base_id}")).json()["data"]
    assert base["embeddingCost"] == 2.0
