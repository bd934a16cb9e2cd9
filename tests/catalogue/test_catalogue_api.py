"""/v1/voices, /v1/slm-models, /v1/background-sounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running

from chorus.catalogue import espeak
from chorus.catalogue.catalogue import Catalogue, SlmModelEntry


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


async def test_a_slug_stands_for_an_id(tmp_path: Path):
    settings = settings_for(
        tmp_path, openai_api_key="sk-x", openai_models=("gpt-4o", "meta/Llama 3")
    )
    async with running(settings) as api:
        slugs = {m["slug"]: m["id"] for m in (await api.get("/v1/slm-models")).json()["data"]}
        assert list(slugs) == ["openai-gpt-4o", "openai-meta-llama-3", "script"]
        for name, slug in (("GPT-4o", "openai-gpt-4o"), ("script", "script")):
            found = await api.get(f"/v1/slm-models/{name}")
            assert found.json()["data"]["slug"] == slug
        assert (await api.get("/v1/voices/espeak-en-us")).json()["data"]["languages"][0] == "en-us"
        assert (await api.get("/v1/voices/nobody")).json()["error"] == "Voice not found"

        wish = {"name": "A", "slmModelId": "gpt-4o", "voiceId": "espeak-de"}
        agent = await api.made("/v1/agents", wish)
        assert agent["slmModelId"] == slugs["openai-gpt-4o"]
        voice = (await api.get("/v1/voices/espeak-de")).json()["data"]
        assert agent["voiceId"] == voice["id"]
        path = f"/v1/agents/{agent['id']}"
        changed = (await api.patch(path, json={"slmModelId": "script", "voiceId": None})).json()
        assert changed["data"]["slmModelId"] == slugs["script"]
        assert changed["data"]["voiceId"] is None
        refused = await api.patch(path, json={"slmModelId": "gpt-9", "voiceId": "nobody"})
        assert {d["field"]: d["message"] for d in refused.json()["details"]} == {
            "slmModelId": "SLM model not found: "
            "GET /v1/slm-models lists the ids and slugs there are",
            "voiceId": "Voice not found: GET /v1/voices lists the ids and slugs there are",
        }
        # The script is read as one, though the model is named by its slug.
        bad = {"slmModelId": "script", "systemPrompt": "script:\nwhen caller says hi: say hi"}
        refused = await api.patch(path, json=bad)
        assert [d["field"] for d in refused.json()["details"]] == ["systemPrompt"]


def test_a_name_that_two_engines_have_is_no_name():
    def model(engine: str) -> SlmModelEntry:
        return SlmModelEntry(engine=engine, engine_id="m", name="M", provider=engine)

    both = Catalogue((), (model("one"), model("two")))
    assert both.model_named("m") is None
    assert both.model_named("TWO-m") is both.models[1]
    assert Catalogue((), (model("one"),)).model_named("m") is not None


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
    slugs = [entry.slug for entry in first.voices]
    assert len(set(slugs)) == len(slugs)
    assert str(first.voices[0].id) == "b3bc2316-78f1-5630-b79c-8dd192b0fe90"
    assert str(first.models[0].id) == "68c72dc1-bcd2-5772-87cb-23d40a6f9bff"


def test_without_espeak_there_are_no_espeak_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def nothing(_: str) -> None: ...

    monkeypatch.setattr(espeak, "find_spec", nothing)
    espeak.installed_voices.cache_clear()
    try:
        assert Catalogue.of(settings_for(tmp_path)).voices == ()
    finally:
        espeak.installed_voices.cache_clear()


def test_a_voice_knows_its_languages():
    voices = {voice.id: voice for voice in espeak.installed_voices()}
    assert voices["en-us"].languages == ("en-us", "en")
    assert voices["de"].name == "German"
