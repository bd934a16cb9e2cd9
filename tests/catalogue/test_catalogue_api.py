"""/v1/voices, /v1/slm-models, /v1/background-sounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running

from chorus.catalogue import espeak
from chorus.catalogue.catalogue import Catalogue


@pytest.mark.parametrize("path", ["voices", "slm-models", "background-sounds"])
async def test_list_and_one(sqlite_api: Api, path: str):
    body = (await sqlite_api.get(f"/v1/{path}?limit=2")).json()
    assert 1 <= len(body["data"]) <= 2
    assert body["pagination"]["total"] >= len(body["data"])
    first = body["data"][0]
    assert (await sqlite_api.get(f"/v1/{path}/{first['id']}")).json() == {"data": first}
    missing = await sqlite_api.get(f"/v1/{path}/00000000-0000-4000-8000-000000000000")
    assert missing.status_code == 404
    beyond = (await sqlite_api.get(f"/v1/{path}?offset=1000")).json()
    assert beyond["data"] == []
    assert beyond["pagination"]["total"] == body["pagination"]["total"]


async def test_search(sqlite_api: Api):
    body = (await sqlite_api.get("/v1/voices?search=AMERICA")).json()
    assert "English (America)" in [voice["name"] for voice in body["data"]]


async def test_only_what_can_be_used(tmp_path: Path):
    plain = Catalogue.of(settings_for(tmp_path))
    assert [model.name for model in plain.models] == ["Script"]
    assert all(voice.engine == "espeak" for voice in plain.voices)
    full = Catalogue.of(
        settings_for(
            tmp_path, openai_api_key="sk-x", openai_models=("gpt-4.1-mini", "own"), simulated=True
        )
    )
    assert [m.name for m in full.models] == ["gpt-4.1-mini", "own", "Script", "Simulated"]
    assert [m.context_window for m in full.models] == [1_047_576, None, None, None]
    local = Catalogue.of(settings_for(tmp_path, openai_base_url="http://127.0.0.1:11434/v1"))
    assert local.models[0].engine == "openai"


async def test_the_default_is_marked(tmp_path: Path):
    async with running(settings_for(tmp_path, openai_api_key="sk-x")) as api:
        for path in ("voices", "slm-models"):
            data = (await api.get(f"/v1/{path}")).json()["data"]
            assert [entry["isDefault"] for entry in data][:2] == [True, False]
            assert sum(entry["isDefault"] for entry in data) == 1


def test_ids_stay_the_same(tmp_path: Path):
    """Agents keep them: a change here breaks what is stored."""
    settings = settings_for(tmp_path, simulated=True)
    first, second = Catalogue.of(settings), Catalogue.of(settings)
    assert [v.id for v in first.voices] == [v.id for v in second.voices]
    ids = [entry.id for entry in (*first.models, *first.voices)]
    assert len(set(ids)) == len(ids)
    assert str(first.voices[0].id) == "b3bc2316-78f1-5630-b79c-8dd192b0fe90"
    assert str(first.models[0].id) == "68c72dc1-bcd2-5772-87cb-23d40a6f9bff"


def test_without_espeak_there_are_no_espeak_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(espeak, "find_spec", lambda _: None)
    espeak.installed_voices.cache_clear()
    try:
        assert Catalogue.of(settings_for(tmp_path)).voices == ()
    finally:
        espeak.installed_voices.cache_clear()


def test_a_voice_knows_its_languages():
    voices = {voice.id: voice for voice in espeak.installed_voices()}
    assert voices["en-us"].languages == ("en-us", "en")
    assert voices["de"].name == "German"
