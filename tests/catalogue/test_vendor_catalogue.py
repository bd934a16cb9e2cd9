"""What an organization's keys add to its catalogue, and what calls get of it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.http_peer import Asked, HttpPeer, respond

from chorus.agents import queries
from chorus.agents.snapshot import choice_of
from chorus.billing.prices import PACKAGED, Prices
from chorus.catalogue import lists
from chorus.catalogue.engines import EngineRoom
from chorus.providers.models import KNOWN
from chorus.talk.spec import Engines

MODELS = {
    "tts": [
        {"name": "thalia", "canonical_name": "aura-2-thalia-en", "languages": ["en"]},
        {"name": "viktoria", "canonical_name": "aura-2-viktoria-de", "languages": ["de"]},
    ]
}


@pytest.fixture
async def open_api(tmp_path: Path) -> AsyncGenerator[Api, None]:
    settings = settings_for(tmp_path, allow_private_addresses=True, simulated=True)
    async with running(settings) as found:
        yield found


def deepgram(_: Asked) -> bytes:
    return respond(200, MODELS)


async def key(api: Api, provider: str, url: str | None = None, **more: Any) -> dict[str, Any]:
    wish = {"provider": provider, "apiKey": f"key-of-{provider}", "baseUrl": url, **more}
    return await api.made("/v1/provider-keys", wish)


async def slugs(api: Api, path: str) -> list[str]:
    return [each["slug"] for each in (await api.get(path)).json()["data"]]


async def engines_of(api: Api, agent: dict[str, Any]) -> Engines:
    """As a call gets them."""
    organization_id = await api.organization_id()
    async with api.process.database.reading() as session:
        row = await queries.one(session, organization_id, uuid.UUID(agent["id"]))
        catalogue = await api.process.catalogues.of(session, organization_id)
    engines = EngineRoom(api.process.settings, api.process.catalogue)
    try:
        return engines.select(choice_of(row, catalogue))
    finally:
        await engines.aclose()


async def test_a_key_opens_ears_and_voices_for_its_organization_alone(open_api: Api):
    before = await slugs(open_api, "/v1/transcribers")
    assert "deepgram-nova-3" not in before
    async with HttpPeer(deepgram) as vendor:
        made = await key(open_api, "deepgram", vendor.url)
        ears = await slugs(open_api, "/v1/transcribers")
        voices = await slugs(open_api, "/v1/voices")
        assert len(vendor.requests) == 1  # the second list was still fresh
    assert ears[0] == "deepgram-nova-3"
    assert voices[:3] == [
        *("deepgram-default", "deepgram-aura-2-thalia-en", "deepgram-aura-2-viktoria-de"),
    ]
    nova = (await open_api.get("/v1/transcribers/deepgram-nova-3")).json()["data"]
    assert 0 < nova["pricePerMinute"] < 0.02  # the price list's
    assert nova["isDefault"]
    async with await open_api.another_organization() as other:
        assert "deepgram" not in (await other.get("/v1/voices")).text
        refused = await other.post(
            "/v1/agents", json={"name": "a", "voiceId": "deepgram-aura-2-thalia-en"}
        )
        assert refused.json()["details"][0]["field"] == "voiceId"
    await open_api.delete(f"/v1/provider-keys/{made['id']}")
    assert await slugs(open_api, "/v1/transcribers") == before


async def test_the_last_good_list_stays_while_the_vendor_is_away(
    open_api: Api, monkeypatch: pytest.MonkeyPatch
):
    async with HttpPeer(deepgram) as vendor:
        await key(open_api, "deepgram", vendor.url)
        # Named without having been listed: the list is fetched before the agent is saved.
        wish = {"name": "a", "voiceId": "deepgram-aura-2-thalia-en"}
        agent = await open_api.made("/v1/agents", wish)
    monkeypatch.setattr(lists, "FRESH_FOR", lists.FRESH_FOR * 0)
    open_api.process.catalogues._lists._known.clear()  # pyright: ignore[reportPrivateUsage]  as after a restart
    assert "deepgram-aura-2-thalia-en" in await slugs(open_api, "/v1/voices")
    engines = await engines_of(open_api, agent)
    assert engines.voice.name == "deepgram/aura-2"


async def test_what_is_published_or_restored_may_name_what_was_not_listed_yet(open_api: Api):
    wish = {"name": "a", "voiceId": "deepgram-aura-2-thalia-en"}
    other = {"agent": {"voiceId": "deepgram-aura-2-viktoria-de"}}
    async with HttpPeer(deepgram) as vendor:
        made = await key(open_api, "deepgram", vendor.url)
        agent = await open_api.made("/v1/agents", wish)
        path = f"/v1/agents/{agent['id']}"
        for changes, body, asks in (
            ("versions", other, 1),
            ("versions/1/restore", {}, 1),
            ("versions", {"name": "As it is"}, 0),
        ):
            # Another key, of which there is no list.
            await open_api.delete(f"/v1/provider-keys/{made['id']}")
            made = await key(open_api, "deepgram", vendor.url, apiKey=f"another-for-{changes}")
            vendor.requests.clear()
            changed = await open_api.post(f"{path}/{changes}", json=body)
            assert changed.status_code == 201, changed.text
            assert len(vendor.requests) == asks, changes
        # A draft is held to nothing yet, and must not wait for a vendor.
        drafted = await open_api.put(f"{path}/draft", json={**other, "base": 3})
        assert (drafted.status_code, len(vendor.requests)) == (200, 0)
    assert changed.json()["data"]["agent"]["voiceId"] == agent["voiceId"]


async def test_models_are_known_by_name_or_named_by_their_server(open_api: Api):
    await key(open_api, "groq")
    listed = {"data": [{"id": "llama-of-ours"}, {"id": "another"}]}
    async with HttpPeer(lambda _: respond(200, listed)) as server:
        await key(open_api, "custom", f"{server.url}/v1", name="Ours")
        found = (await open_api.get("/v1/slm-models")).json()["data"]
    first = found[0]
    assert (first["slug"], first["contextWindow"]) == ("groq-openai-gpt-oss-120b", 131_072)
    assert (first["pricePerMillionInputTokens"], first["isDefault"]) == (0.15, True)
    assert [each["name"] for each in found if each["provider"] == "custom"] == [
        *("llama-of-ours", "another"),
    ]


async def test_an_agent_without_a_choice_uses_what_there_are_keys_of(open_api: Api):
    await key(open_api, "mistral")
    async with HttpPeer(deepgram) as vendor:
        await key(open_api, "deepgram", vendor.url)
        await slugs(open_api, "/v1/voices")
    english = await engines_of(open_api, await open_api.made("/v1/agents", {"name": "a"}))
    assert english.transcriber.name == "deepgram/nova-3"
    assert english.voice.name == "deepgram/aura-2"
    assert english.model.name == "mistral/mistral-small-latest"
    assert english.stand_ins.transcribers  # what hears on this machine


async def test_what_takes_over_is_in_the_agents_order(open_api: Api):
    for provider in ("deepgram", "elevenlabs", "groq", "mistral"):
        await key(open_api, provider)
    agent = await open_api.made(
        "/v1/agents",
        {
            "name": "a",
            "transcriberId": "elevenlabs-scribe_v2_realtime",
            "transcriberFallbackIds": ["deepgram-flux-general-en", "deepgram-nova-3"],
            "slmModelId": "mistral-small-latest",
            "slmModelFallbackIds": ["groq-openai-gpt-oss-20b"],
            "voiceId": "elevenlabs-default",
            "voiceFallbackIds": ["deepgram-default"],
            "keyterms": ["Chorus"],
        },
    )
    engines = await engines_of(open_api, agent)
    ears = [each.name for each in engines.transcribers.engines]
    assert ears[:3] == [
        "elevenlabs/scribe_v2_realtime",
        "deepgram/flux-general-en",
        "deepgram/nova-3",
    ]
    assert [each.name for each in engines.models.engines] == [
        *("mistral/mistral-small-latest", "groq/openai/gpt-oss-20b"),
    ]
    assert engines.voice.name.startswith("elevenlabs/")
    assert engines.stand_ins.voices[0][0].name == "deepgram/aura-2"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"transcriberId": "nobody"}, "transcriberId"),
        ({"voiceFallbackIds": ["script", "nobody"]}, "voiceFallbackIds.0"),
        ({"slmModelFallbackIds": ["script", "nobody"]}, "slmModelFallbackIds.1"),
        ({"keyterms": ["a", "a"]}, "keyterms"),
        ({"pronunciations": [{"text": "A", "spoken": "b"}, {"text": "a", "spoken": "c"}]}, "pro"),
        ({"languages": ["english"]}, "languages.0"),
    ],
)
async def test_what_an_agent_cannot_choose(open_api: Api, wish: dict[str, Any], field: str):
    answer = await open_api.post("/v1/agents", json={"name": "a", **wish})
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"].startswith(field)


async def test_a_key_that_leads_to_a_private_address_is_not_followed(tmp_path: Path):
    async with running(settings_for(tmp_path)) as api:
        await key(api, "custom", "https://127.0.0.1/v1", models=["m"])
        agent = await api.made("/v1/agents", {"name": "a", "slmModelId": "m"})
        answer = await api.post(
            f"/v1/agents/{agent['id']}/chat",
            json={"messages": [{"role": "user", "content": "Hello"}]},
        )
    assert "no connection" in answer.text


def test_every_known_model_has_a_price():
    [prices] = Prices.read(PACKAGED).lists
    for vendor, models in KNOWN.items():
        for model in models:
            name = f"{vendor}/{model.id}"
            assert name in prices.engines["model_input"], name
            assert name in prices.engines["model_output"], name
