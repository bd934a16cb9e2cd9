"""Vectors by a vendor's key, against a server that answers as OpenAI's and Google's are documented;
and the multilingual model of this machine, with weights of chance."""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.http_peer import HttpPeer, respond
from tests.knowledge.shelves import BASES, add, library, read, search, shown
from tests.knowledge.vendor import BREAD, BROKEN, KEY, SMALL, VAN, Vendor

from chorus.billing.prices import PACKAGED, Prices
from chorus.knowledge.embedding import hosted, minilm_graph
from chorus.knowledge.ingest import refresh
from chorus.knowledge.tables import KnowledgeBase
from chorus.outbound import Outbound
from chorus.providers.in_force import KeyInForce
from chorus.providers.vendors import BY_NAME
from chorus.speech.engines import EngineFailed
from chorus.speech.onnx import open_session_of
from chorus.talk.knowledge import Embedded

pytestmark = pytest.mark.usefixtures("read_here")


@pytest.fixture
async def open_api(tmp_path: Path, database_url: str) -> AsyncGenerator[Api, None]:
    changes = {"allow_private_addresses": True, "database_url": database_url}
    async with running(settings_for(tmp_path, **changes)) as api:
        yield api


async def bring(api: Api, provider: str, url: str, **more: Any) -> None:
    await api.made(
        "/v1/provider-keys", {"provider": provider, "apiKey": KEY, "baseUrl": url} | more
    )


async def base_of(api: Api, model: str) -> str:
    return (await api.made(BASES, {"name": "Shop", "embeddingModel": model}))["id"]


async def test_a_vendor_makes_the_vectors_and_another_makes_them_anew(open_api: Api):
    api, vendor = open_api, Vendor()
    async with HttpPeer(vendor) as peer:
        await bring(api, "openai", f"{peer.url}/v1")
        await bring(api, "google", peer.url)
        id = await base_of(api, SMALL)
        await add(api, id, VAN, "Van")
        document = await add(api, id, f"# A\n\n{BREAD}\n\n# B\n\n{VAN}", "Bread")
        assert (document["embeddingModel"], document["embeddingDimensions"]) == (SMALL, 3)
        assert document["embeddingTokens"] == 7
        assert document["embeddingCost"] == 0.0  # less than half a millionth of a dollar
        vendor.tokens = 1_000_000
        await api.post(f"{BASES}/{id}/documents/{document['id']}/ingest")
        paid = await read(api, id, document["id"])
        assert paid["embeddingTokens"] == 1_000_007
        price = Prices.read(PACKAGED).lists[-1].price("model_input", SMALL)
        assert price is not None
        cost = price.micros / 1_000_000
        assert paid["embeddingCost"] == cost > 0
        told = await api.get(f"{BASES}/{id}/history", params={"documentId": document["id"]})
        again, first = told.json()["data"]["readings"]
        assert (first["embeddingTokens"], first["embeddingCost"]) == (7, 0.0)
        assert (again["embeddingTokens"], again["embeddingCost"]) == (1_000_000, cost)
        assert (again["status"], again["embeddingModel"]) == ("ready", SMALL)
        vendor.tokens = 7
        gone = await add(api, id, VAN, "Gone")
        vendor.tokens = 500_000
        await read(api, id, gone["id"])
        await api.delete(f"{BASES}/{id}/documents/{gone['id']}")
        vendor.tokens = 7
        # Of the base, that of documents that are gone too.
        of_base = (await api.get(f"{BASES}/{id}")).json()["data"]
        assert of_base["embeddingCost"] == pytest.approx(1.5 * cost)
        document = await read(api, id, document["id"])
        asked = peer.requests[-1]
        assert (asked.method, asked.target) == ("POST", "/v1/embeddings")
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert asked.json["model"] == "text-embedding-3-small"
        assert asked.json["dimensions"] == 512
        assert asked.json["input"] == [f"A\n{BREAD}", f"B\n{VAN}"]
        found = await search(api, id, "fresh bread?")
        assert set(found["ways"]) == {"words", "meaning"}
        assert found["passages"][0]["text"] == BREAD
        # Another model: what is there by the old one is not compared with its vectors.
        changed = await api.patch(
            f"{BASES}/{id}", json={"embeddingModel": "google/gemini-embedding-001"}
        )
        assert changed.status_code == 200, changed.text
        assert (await shown(api, id, document["id"]))["status"] == "waiting"
        anew = await read(api, id, document["id"])
        assert anew["embeddingModel"] == "google/gemini-embedding-001"
        assert anew["embeddingTokens"] > document["embeddingTokens"]
        assert cost < anew["embeddingCost"] < cost + 0.00001
        asked = peer.requests[-1]
        assert asked.target == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
        assert asked.headers["x-goog-api-key"] == KEY
        [one, _] = asked.json["requests"]
        assert one == {
            "model": "models/gemini-embedding-001",
            "content": {"parts": [{"text": f"A\n{BREAD}"}]},
            "taskType": "RETRIEVAL_DOCUMENT",
            "outputDimensionality": 768,
        }
        assert (await search(api, id, "vehicle"))["passages"][0]["text"] == VAN
        assert peer.requests[-1].json["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
        # What was changed by another way than the API is found by the chore.
        await api.patch(f"{BASES}/{id}", json={"embeddingModel": SMALL})
        await read(api, id, document["id"])
        async with api.process.database.writing() as session:
            await session.execute(
                sa.update(KnowledgeBase)
                .where(KnowledgeBase.id == uuid.UUID(id))
                .values(embedding_model="google/gemini-embedding-001")
            )
        await refresh(api.app.state.switchboard)
        assert (await shown(api, id, document["id"]))["status"] == "waiting"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_vendor_that_fails_leaves_the_words_and_says_so(
    open_api: Api, monkeypatch: pytest.MonkeyPatch
):
    api, vendor = open_api, Vendor()
    monkeypatch.setattr(hosted, "WAITS_S", (0.0, 0.0))
    async with HttpPeer(vendor) as peer:
        for model, says in (
            (SMALL, "there is no key of this vendor"),
            ("nobody/model", "there is no key of this vendor"),
            ("all-minilm-l6-v2", "it is not installed: chorus models pull all-minilm-l6-v2"),
            ("no such model", "Embedding model"),
        ):
            answer = await api.post(BASES, json={"name": "Shop", "embeddingModel": model})
            assert answer.status_code == 400, model
            [wrong] = answer.json()["details"]
            assert wrong["field"] == "embeddingModel"
            assert says in wrong["message"]
        await bring(api, "custom", f"{peer.url}/v1?api-version=3", name="Ours")
        model = "custom/bge-m3"
        id = await base_of(api, model)
        # Busy, then broken, then well.
        vendor.answers = [
            respond(429, {"error": {"message": "slow down"}}),
            respond(200, {"data": 1}),
        ]
        document = await add(api, id, BREAD, "Bread")
        assert document["status"] == "ready"
        assert len(peer.requests) == 3
        assert peer.requests[0].target == "/v1/embeddings?api-version=3"
        assert "dimensions" not in peer.requests[0].json

        told: list[Embedded] = []
        organization_id = await api.organization_id()

        async def ask(question: str) -> Any:
            return await library(api).find(
                organization_id, [uuid.UUID(id)], question, within_s=20, told=told.append
            )

        assert set((await ask("bread")).ways) == {"words", "meaning"}
        assert told == [Embedded(model, 7, own_key=True)]
        await ask("bread")
        assert told == [Embedded(model, 7, own_key=True)]  # remembered, and not paid for again
        vendor.refuses = respond(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
        found = await ask("oven loaves")
        assert (found.ways, found.problem, found.late) == (("words",), None, False)
        assert [passage.text for passage in found.passages] == [BREAD]
        failure = told[-1].failure
        assert failure is not None
        assert "HTTP 401: Incorrect API key provided: [key]" in failure
        shown_now = await search(api, id, "loaves")
        assert shown_now["ways"] == ["words"]
        # A document cannot be read anew, and says why; what was read before is found.
        again = await api.post(f"{BASES}/{id}/documents/{document['id']}/ingest")
        assert again.status_code < 300
        broken = await read(api, id, document["id"])
        assert broken["status"] == "failed"
        assert "HTTP 401" in broken["problem"]
        assert KEY not in json.dumps(broken)
        assert [passage.text for passage in (await ask("oven")).passages] == [BREAD]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_documents_of_another_width_are_found_as_soon_as_theirs_is_the_usual_one(
    open_api: Api,
):
    api, vendor = open_api, Vendor()
    async with HttpPeer(vendor) as peer:
        await bring(api, "openai", f"{peer.url}/v1")
        id = await base_of(api, SMALL)
        shelf = library(api)._search._shelf

        async def loaded() -> set[str]:
            """Of the documents whose vectors are in memory: their ids."""
            await search(api, id, "bread")
            while shelf._loading:
                await asyncio.wait(tuple(shelf._loading.values()))
            await search(api, id, "bread")
            return {str(each) for each in shelf._bases[uuid.UUID(id), SMALL].blocks}

        narrow = [(await add(api, id, f"# A\n\n{VAN}\n\n# B\n\n{VAN}", "Van"))["id"]]
        vendor.more = [0.0, 0.0]  # the server has changed
        wide = [(await add(api, id, BREAD, "Bread"))["id"]]
        assert await loaded() == {*narrow}
        text = "\n\n".join(f"# {part}\n\n{BREAD}" for part in "ABC")
        wide.append((await add(api, id, text, "Bread again"))["id"])
        assert await loaded() == {*wide}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_connection_that_breaks_is_tried_again_but_not_for_ever(
    open_api: Api, monkeypatch: pytest.MonkeyPatch
):
    api, vendor = open_api, Vendor()
    monkeypatch.setattr(hosted, "WAITS_S", (0.0, 0.0))
    async with HttpPeer(vendor) as peer:
        await bring(api, "openai", f"{peer.url}/v1")
        id = await base_of(api, SMALL)
        vendor.answers = [BROKEN, BROKEN]
        document = await add(api, id, BREAD, "Bread")
        assert (document["status"], len(peer.requests)) == ("ready", 3)
        vendor.refuses = BROKEN
        again = await add(api, id, VAN, "Van")
        assert (again["status"], len(peer.requests)) == ("failed", 6)
        assert "The model failed" in again["problem"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_who_holds_a_session_asks_for_no_second_one(open_api: Api):
    """Many who did would wait for each other until the pool gave up."""
    api, vendor = open_api, Vendor()
    holders: dict[Any, Any] = {}  # tasks by connection: chores of the process take theirs, too
    most = 0

    def taken(_connection: object, record: object, _proxy: object) -> None:
        nonlocal most
        holders[record] = asyncio.current_task()
        most = max(most, list(holders.values()).count(holders[record]))

    def given(_connection: object, record: object) -> None:
        holders.pop(record, None)

    async with HttpPeer(vendor) as peer:
        await bring(api, "openai", f"{peer.url}/v1")
        pool = api.process.database.engine.sync_engine.pool
        sa.event.listen(pool, "checkout", taken)
        sa.event.listen(pool, "checkin", given)
        id = await base_of(api, SMALL)
        await api.patch(f"{BASES}/{id}", json={"embeddingModel": "openai/text-embedding-3-large"})
        await add(api, id, BREAD)
        assert most == 1
        assert asyncio.current_task() not in holders.values()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_model_that_no_base_uses_does_not_fail(open_api: Api):
    api, vendor = open_api, Vendor()
    async with HttpPeer(vendor) as peer:
        await bring(api, "openai", f"{peer.url}/v1")
        id = await base_of(api, SMALL)
        await add(api, id, BREAD)
        told: list[Embedded] = []

        async def embedders(organization_id: uuid.UUID, model: str | None) -> Any:
            if model is None:
                raise EngineFailed("all-minilm-l6-v2", "embedding", "its file is broken")
            return await library(api).embedders.of(organization_id, model)

        async def ask(*ids: str) -> Any:
            return await library(api)._search.find(
                await api.organization_id(),
                [uuid.UUID(id) for id in ids],
                "bread",
                embedders=embedders,
                count=5,
                within_s=20,
                told=told.append,
            )

        assert set((await ask(id)).ways) == {"words", "meaning"}
        assert told == [Embedded(SMALL, 7, own_key=True)]
        # Where a base has it, it does.
        other = (await api.made(BASES, {"name": "Other"}))["id"]
        assert set((await ask(id, other)).ways) == {"words", "meaning"}
        assert [one.failure for one in told] == [None, "its file is broken"]


@pytest.mark.parametrize(
    "answer",
    [
        b"not http at all\r\n\r\n",
        respond(200, "[" * 100_000),
        respond(200, {"data": []}),
        respond(200, {"data": [{"index": 7, "embedding": [1.0]}]}),
        respond(200, {"data": [{"index": 0, "embedding": []}]}),
        respond(200, {"data": [{"index": 0, "embedding": ["x"]}]}),
        respond(200, {"data": [{"index": 0, "embedding": [float("nan")]}]}),
        respond(200, {"data": [{"index": 0, "embedding": [0.5] * 5000}]}),
        respond(302, location="http://127.0.0.1:1/"),
    ],
)
async def test_no_answer_of_a_vendor_is_taken_for_vectors_that_is_none(answer: bytes):
    net = Outbound(allow_private=True)
    try:
        async with HttpPeer(lambda _: answer) as peer:
            key = KeyInForce(BY_NAME["custom"], KEY, peer.url)
            with pytest.raises(EngineFailed) as failed:
                await hosted.HostedEmbedder(key, "m", net).question("bread")
            assert KEY not in str(failed.value)
    finally:
        await net.aclose()


def weights_of(layers: int, words: int) -> Mapping[str, Any]:
    """Of a model as `BertModel` names its parts."""
    numbers = np.random.default_rng(1)
    wide = minilm_graph.WIDTH

    def some(*shape: int) -> Any:
        return (numbers.standard_normal(shape) * 0.05).astype(np.float32)

    found: dict[str, Any] = {
        "embeddings.word_embeddings.weight": some(words, wide),
        "embeddings.position_embeddings.weight": some(16, wide),
        "embeddings.token_type_embeddings.weight": some(2, wide),
    }
    dense = {"attention.output.dense": (wide, wide)}
    dense |= {f"attention.self.{part}": (wide, wide) for part in ("query", "key", "value")}
    dense |= {"intermediate.dense": (4 * wide, wide), "output.dense": (wide, 4 * wide)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
        for name, shape in dense.items():
            found |= {f"{at}.{name}.weight": some(*shape), f"{at}.{name}.bias": some(shape[0])}
    for name in norms:
        found |= {f"{name}.weight": 1 + some(wide), f"{name}.bias": some(wide)}
    return found


def test_a_model_has_as_many_layers_as_its_weights(tmp_path: Path):
    """Written and read as safetensors; each layer more changes what comes out."""
    came: list[Any] = []
    for layers in (1, 2):
        weights = weights_of(layers, 30)
        header: dict[str, Any] = {}
        body = b""
        for name, rows in weights.items():
            end = len(body) + rows.nbytes
            header[name] = {"dtype": "F32", "shape": rows.shape, "data_offsets": [len(body), end]}
            body += rows.tobytes()
        told = json.dumps(header).encode()
        path = tmp_path / f"{layers}.safetensors"
        path.write_bytes(struct.pack("<Q", len(told)) + told + body)
        loaded = minilm_graph.read_weights(path)
        session = open_session_of(minilm_graph.model_of(loaded), "test")
        given = {
            "ids": np.array([[1, 2, 3]], np.int64),
            "places": minilm_graph.places(loaded, 16)[np.newaxis, :3],
            "mask": np.zeros((1, 1, 1, 3), np.float32),
        }
        [tokens] = session.run(None, given)
        assert tokens.shape == (1, 3, minilm_graph.WIDTH)
        assert np.isfinite(tokens).all()
        came.append(tokens)
    assert not np.allclose(came[0], came[1], atol=1e-2)
