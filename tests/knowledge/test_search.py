"""Finding passages: by words on both databases, by meaning, together, in time or not at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from bench.knowledge.evaluate import evaluated, recalls
from sqlalchemy.exc import OperationalError
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.knowledge.shelves import add, base, library, read, search, shown, texts
from tests.material import MODELS, needs_model

from chorus.knowledge import words
from chorus.knowledge.embedding.minilm import MiniLM
from chorus.knowledge.ingest import refresh
from chorus.knowledge.search import Search, fused
from chorus.knowledge.vectors import BaseVectors, Block
from chorus.speech.weights.manifest import EMBEDDER

pytestmark = pytest.mark.usefixtures("read_here")

BREAD = "Bread is baked at four in the morning."
CAKE = "Cakes can be ordered until noon; a cake feeds twelve people."
STOLLEN = "The Stollen of Mrs Özdemir costs 24 dollars."


async def shop(api: Api) -> str:
    id = await base(api, "Bakery")
    for name, text in (("Bread", BREAD), ("Cakes", CAKE), ("Christmas", STOLLEN)):
        await add(api, id, text, name)
    return id


# --- words, on both databases -----------------------------------------------------------------


async def test_words_find_by_their_stems_and_without_accents_in_any_case(api: Api):
    id = await shop(api)
    assert await texts(api, id, "ORDERING a Cake") == [CAKE]
    assert (await texts(api, id, "when do you bake bread"))[0] == BREAD
    assert await texts(api, id, "stollen") == [STOLLEN]
    assert await texts(api, id, "zebras play xylophones") == []


@pytest.mark.parametrize(
    "question",
    [
        'bread" OR "',
        "bread) AND (",
        "knowledge_base_id : x",
        "NEAR(bread cake)",
        "bread*",
        "-bread ^cake",
        "'; DROP TABLE knowledge_chunks; --",
        "bread & | ! <-> :*",
        "\\",
        "😀 bread",
        "ﬀ " * 300,
        "_",
    ],
)
async def test_no_question_is_anything_but_words(api: Api, question: str):
    id = await base(api)
    await add(api, id, BREAD)
    found = await search(api, id, question[:1000])
    assert found["ways"] == ["words"]
    assert len(found["passages"]) == (1 if "bread" in question else 0)


async def test_frequent_words_are_left_out_where_there_are_rarer_ones(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(words, "BUDGET", 4)
    id = await base(api)
    lines = [f"The price of article {number} is on its label." for number in range(12)]
    await add(api, id, "\n".join(f"# A{n}\n\n{line}" for n, line in enumerate(lines)))
    await add(api, id, "# Lamp\n\nThe price of the lamp is a secret.")
    [found, *_] = await texts(api, id, "what is the price of the lamp")
    assert found == "The price of the lamp is a secret."
    # With frequent words alone, those that have all of them.
    several = await texts(api, id, "the price of", limit=20)
    assert several


async def test_a_frequent_word_is_not_counted_for_each_question(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(words, "BUDGET", 4)
    counted: list[list[str]] = []
    look_up = words._look_up

    async def watched(session: Any, base_ids: Any, wanted: Any) -> Any:
        counted.append(list(wanted))
        return await look_up(session, base_ids, wanted)

    monkeypatch.setattr(words, "_look_up", watched)
    id, other = await base(api), await base(api)
    lines = [f"The price of article{number} is on its label." for number in range(12)]
    for each in (id, other):
        await add(api, each, "\n".join(f"# A{n}\n\n{line}" for n, line in enumerate(lines)))
    question = "price of article7"
    first = await texts(api, id, question)
    assert first == [lines[7]]
    assert await texts(api, id, question) == first
    # Of another base nothing is known.
    assert await texts(api, other, question) == first
    assert ["price" in each for each in counted] == [True, False, True]
    assert all("article7" in each for each in counted)
    # And it is forgotten: a base changes.
    now = 0.0
    frequent = words.Frequent(lambda: now)
    ids = [uuid.UUID(id), uuid.UUID(other)]
    frequent.note(ids, ["price"])
    assert frequent.among(ids[::-1], ["price", "label"]) == {"price"}
    assert frequent.among(ids[:1], ["price"]) == set()
    now = 601.0
    assert frequent.among(ids, ["price"]) == set()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_words_that_were_there_before_are_found_as_those_that_come(api: Api):
    """The migration makes the same numbers of them, and of each base its own."""
    one, other = await shop(api), await shop(api)
    narrow = import_module("chorus.migrations.versions.0044_narrow_words")
    rows = sa.text(
        "SELECT chunk_id, knowledge_base_id, length, ARRAY(SELECT unnest(keys) ORDER BY 1) "
        "FROM knowledge_words ORDER BY chunk_id"
    )
    async with api.process.database.writing() as session:
        made = (await session.execute(rows)).all()
        for statement in narrow._POSTGRES:
            await session.execute(sa.text(statement))
        assert (await session.execute(rows)).all() == made
    keys: dict[uuid.UUID, set[int]] = {uuid.UUID(one): set(), uuid.UUID(other): set()}
    for _, base_id, _, its in made:
        keys[base_id] |= set(its)
    assert min(map(len, keys.values())) > 10
    assert not set.intersection(*keys.values())
    assert (await texts(api, one, "when do you bake bread"))[0] == BREAD


# --- meaning ------------------------------------------------------------------------------------


@pytest.fixture
async def api_with_model(tmp_path: Path) -> AsyncGenerator[Api, None]:
    async with running(settings_for(tmp_path, models_dir=MODELS)) as api:
        yield api


@needs_model(EMBEDDER)
async def test_what_shares_no_word_is_found_by_its_meaning(api_with_model: Api):
    api = api_with_model
    id = await shop(api)
    [document, *_] = (await api.get(f"/v1/knowledge-bases/{id}/documents")).json()["data"]
    assert document["embeddingModel"] == EMBEDDER
    question = "at what hour do the loaves come out of the oven"
    found = await search(api, id, question)
    assert set(found["ways"]) == {"words", "meaning"}
    assert found["passages"][0]["text"] == BREAD
    assert (await search(api, id, question, ways="words"))["ways"] == ["words"]
    # What is far from everything is not shown for want of better.
    assert await texts(api, id, "quantum chromodynamics lattice") == []
    # Names are what words are for.
    assert (await texts(api, id, "Özdemir"))[0] == STOLLEN


@needs_model(EMBEDDER)
async def test_changes_are_found_at_once_and_what_is_gone_is_not(api_with_model: Api):
    api = api_with_model
    id = await shop(api)
    question = "price of a vehicle"
    assert "Our van is for sale." not in await texts(api, id, question)
    van = await add(api, id, "Our van is for sale.", "Van")
    for _ in range(50):  # what is in memory follows
        if "Our van is for sale." in await texts(api, id, question):
            break
        await asyncio.sleep(0.02)
    assert "Our van is for sale." in await texts(api, id, question)
    await api.delete(f"/v1/knowledge-bases/{id}/documents/{van['id']}")
    assert "Our van is for sale." not in await texts(api, id, question)


@needs_model(EMBEDDER)
async def test_documents_that_were_read_before_the_model_came_are_read_again(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    api = sqlite_api
    id = await base(api)
    document = await add(api, id, BREAD)
    assert document["embeddingModel"] is None
    await refresh(api.app.state.switchboard)
    assert (await shown(api, id, document["id"]))["status"] == "ready"
    threads = api.app.state.switchboard.engines.threads
    here = {EMBEDDER: MiniLM(MODELS / EMBEDDER, threads)}
    monkeypatch.setattr(library(api).embedders, "_local", here)
    await refresh(api.app.state.switchboard)
    assert (await shown(api, id, document["id"]))["status"] == "waiting"
    assert (await read(api, id, document["id"]))["embeddingModel"] == EMBEDDER


@needs_model(EMBEDDER)
@pytest.mark.timeout(120)
async def test_meaning_finds_what_callers_ask_in_their_own_words() -> None:
    """The figures of docs/guides/knowledge.md, with some room."""
    async with evaluated(None, MODELS) as place:
        _, by_words, _ = await recalls(place, by_meaning=False)
        _, both, missed = await recalls(place, by_meaning=True)
    assert both >= 0.66, missed
    assert both - by_words >= 0.25


# --- time and failures --------------------------------------------------------------------------


class _Slow:
    """A model that takes its time."""

    name = EMBEDDER
    floor = 0.25

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def question(self, *_: object) -> Any:
        await asyncio.sleep(self.seconds)
        return np.ones(384, np.float32)


async def test_a_way_that_has_no_answer_in_time_is_left_out(sqlite_api: Api):
    id = await shop(sqlite_api)
    organization_id = await sqlite_api.organization_id()
    finder: Search = library(sqlite_api)._search

    async def find(within_s: float) -> Any:
        slow: Any = _Slow(60.0)

        async def embedders(*_: object) -> Any:
            return slow

        return await finder.find(
            organization_id,
            [uuid.UUID(id)],
            "bread",
            embedders=embedders,
            count=5,
            within_s=within_s,
        )

    for within_s in (0.5, 2.0, 8.0):  # as much as this machine takes for the words
        found = await find(within_s)
        if found.ways:
            break
    assert (found.ways, found.late) == (("words",), True)
    assert [passage.text for passage in found.passages] == [BREAD]
    nothing = await find(0.0)
    assert (nothing.passages, nothing.late) == ((), True)


async def test_a_database_that_is_away_is_a_sentence_and_no_exception(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    id = await shop(sqlite_api)

    async def away(*_: object) -> list[int]:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(words, "ranked", away)
    found = await library(sqlite_api).find(
        await sqlite_api.organization_id(), [uuid.UUID(id)], "bread", within_s=5
    )
    assert found.passages == ()
    assert found.problem == "The documents cannot be searched at the moment."
    answer = await sqlite_api.post(f"/v1/knowledge-bases/{id}/search", json={"query": "bread"})
    assert answer.status_code == 503


async def test_bases_that_cannot_be_read_are_not_bases_with_nothing_in_them(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    id = await shop(sqlite_api)
    finder = library(sqlite_api)
    ready: Any = _Slow(0.0)
    monkeypatch.setattr(finder.embedders, "_local", {EMBEDDER: ready})

    async def away(*_: object) -> Any:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr("chorus.knowledge.search.known", away)
    found = await finder.find(
        await sqlite_api.organization_id(), [uuid.UUID(id)], "bread", within_s=5
    )
    assert (found.passages, found.ways) == ((), ())
    assert found.problem == "The documents cannot be searched at the moment."
    answer = await sqlite_api.post(f"/v1/knowledge-bases/{id}/search", json={"query": "bread"})
    assert answer.status_code == 503


# --- arithmetic ---------------------------------------------------------------------------------


def test_the_nearest_of_many_are_the_nearest_of_all():
    numbers = np.random.default_rng(3)
    centres = numbers.standard_normal((40, 384))
    rows = centres[numbers.integers(0, 40, 6000)] + 0.7 * numbers.standard_normal((6000, 384))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    stored = rows.astype(np.float16)
    half = Block(1, np.arange(3000), stored[:3000]), Block(2, np.arange(3000, 6000), stored[3000:])
    kept = BaseVectors.of(7, {uuid.uuid4(): block for block in half})
    hits = 0
    for row in rows[::600]:
        question = row.astype(np.float32)
        found = [id for id, _ in kept.nearest(question, 10)]
        hits += len({*found} & {*np.argsort(-(rows @ row))[:10].tolist()})
    assert hits >= 90  # of 100
    assert kept.nearest(np.ones(7, np.float32), 10) == []  # of another model
    assert BaseVectors.of(0, {}).nearest(np.ones(384, np.float32), 10) == []


def test_ranks_are_added_and_words_count_half():
    scores = fused({"words": [1, 2], "meaning": [2, 3]})
    assert scores == {1: 0.5 / 61, 2: 0.5 / 62 + 1 / 61, 3: 1 / 62}
