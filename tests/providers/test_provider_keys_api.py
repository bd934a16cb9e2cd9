"""/v1/provider-keys: stored encrypted, never shown, and tried against servers that answer as the
vendors document."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.fakes.vendors.google import KEY_ID, is_signed, key_file, private_lines, refusal

from chorus.outbound import Outbound
from chorus.providers import trial, trial_embeddings
from chorus.providers.in_force import KeyInForce
from chorus.providers.tables import ProviderKey
from chorus.providers.vendors import BY_NAME, VENDORS
from chorus.settings import Settings

KEYS = "/v1/provider-keys"
SECRET = "dg-0123456789abcdef-hush"
DEEPGRAM = {"provider": "deepgram", "apiKey": SECRET}


@pytest.fixture
async def open_api(tmp_path: Path) -> AsyncGenerator[Api, None]:
    """One that may reach loopback, where the stand-ins are."""
    async with running(settings_for(tmp_path, allow_private_addresses=True)) as found:
        yield found


async def test_a_key_is_kept_encrypted_and_never_shown(api: Api, caplog: pytest.LogCaptureFixture):
    made = await api.made(KEYS, DEEPGRAM)
    one = f"{KEYS}/{made['id']}"
    assert made["name"] == "Deepgram"
    assert made["keyHint"] == "…hush"
    assert made["usedFor"] == ["transcriber", "voice"]
    assert made["lastTest"] is None
    second = "another-key-0123456789-hush2"
    answers = [
        await api.get(one),
        await api.get(KEYS),
        await api.patch(one, json={"name": "Ours"}),
        await api.post(KEYS, json=DEEPGRAM),
        await api.post(f"{one}/rotate", json={"apiKey": second}),
        await api.get("/v1/audit-log"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 409, 200, 200]
    for answer in answers:
        assert SECRET not in answer.text
        assert second not in answer.text
    assert SECRET not in caplog.text
    rotated = answers[4].json()["data"]
    assert (rotated["name"], rotated["keyHint"]) == ("Ours", "…ush2")
    assert rotated["rotatedAt"] is not None
    async with api.process.database.reading() as session:
        row = (await session.execute(sa.select(ProviderKey.__table__))).one()
    assert second not in str(row)
    assert api.process.secrets.decrypt(row.secret) == second
    assert (await api.delete(one)).status_code == 200
    assert (await api.get(one)).status_code == 404
    actions = [entry["action"] for entry in answers[5].json()["data"]]
    assert actions == ["rotateProviderKey", "updateProviderKey", "createProviderKey"]


async def test_one_key_of_a_vendor_but_several_servers(api: Api):
    server = {"provider": "custom", "apiKey": "k", "baseUrl": "https://a.example/v1/"}
    first = await api.made(KEYS, {**server, "name": "one"})
    assert first["baseUrl"] == "https://a.example/v1"
    assert first["keyHint"] == "…"  # so short a key is not shown in part
    second = await api.made(KEYS, {**server, "name": "two"})
    taken = await api.patch(f"{KEYS}/{second['id']}", json={"name": "one"})
    assert taken.status_code == 409
    assert taken.json()["details"][0]["field"] == "name"
    await api.made(KEYS, DEEPGRAM)
    again = await api.post(KEYS, json={**DEEPGRAM, "name": "another"})
    assert again.json()["details"][0] == {
        "field": "provider",
        "message": "There is a key of this provider: rotate it instead",
    }
    other = await api.another_organization()
    assert (await other.post(KEYS, json=DEEPGRAM)).status_code == 201


@pytest.mark.parametrize(
    ("wish", "field", "says"),
    [
        ({"provider": "acme", "apiKey": "k"}, "provider", "must be one of openai"),
        ({"provider": "openai"}, "apiKey", "is required"),
        ({"provider": "openai", "apiKey": "a b"}, "apiKey", "no spaces"),
        ({"provider": "openai", "apiKey": "k" * 513}, "apiKey", "at most 512"),
        ({"provider": "custom", "apiKey": "k"}, "baseUrl", "is required with provider custom"),
        (
            {"provider": "azure_openai", "apiKey": "k", "baseUrl": "https://a.example"},
            *("models", "is required with provider azure_openai"),
        ),
        (
            {"provider": "custom", "apiKey": "k", "baseUrl": "http://a.example"},
            *("baseUrl", "must begin with https://"),
        ),
        ({"provider": "openai", "apiKey": "k", "models": ["a", "a"]}, "models", "twice"),
        ({"provider": "openai", "apiKey": '{"a": 1}'}, "apiKey", "no spaces"),
        ({"provider": "google_speech", "apiKey": "k"}, "apiKey", "must be the JSON key file"),
        (
            {"provider": "google_speech", "apiKey": key_file(), "baseUrl": "https://a.example"},
            *("baseUrl", "such as https://eu-speech.googleapis.com"),
        ),
    ],
)
async def test_what_is_refused(sqlite_api: Api, wish: dict[str, Any], field: str, says: str):
    answer = await sqlite_api.post(KEYS, json=wish)
    assert answer.status_code == 400
    [detail] = answer.json()["details"]
    assert detail["field"] == field
    assert says in detail["message"]


async def test_the_address_does_not_change_without_the_key(sqlite_api: Api):
    made = await sqlite_api.made(KEYS, DEEPGRAM)
    moved = await sqlite_api.patch(f"{KEYS}/{made['id']}", json={"baseUrl": "https://b.example"})
    assert moved.status_code == 400
    rotated = await sqlite_api.post(
        f"{KEYS}/{made['id']}/rotate", json={"apiKey": "k2", "baseUrl": "https://b.example"}
    )
    assert rotated.json()["data"]["baseUrl"] == "https://b.example"


# Vendor, what a server that plays it answers, and the verdict. The bodies are as documented.
CASES: list[tuple[str, int, Any, str | None, str]] = [
    ("openai", 200, {"choices": []}, None, "OpenAI takes the key."),
    (
        *("openai", 401),
        {"error": {"message": f"Incorrect API key provided: {SECRET}.", "code": "invalid_api_key"}},
        *("bad_key", "Incorrect API key provided: [key]."),
    ),
    (
        *("openai", 429),
        {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
        *("no_quota", "exceeded your current quota"),
    ),
    (
        *("openai", 429, {"error": {"message": "Rate limit reached", "code": "rate_limit"}}),
        *("rate_limited", "no more requests"),
    ),
    (
        *("openai", 404, {"error": {"message": "The model does not exist"}}),
        *(None, "has no gpt-6-luna to try it with"),
    ),
    ("anthropic", 200, {"content": []}, None, "takes the key"),
    (
        *("anthropic", 400),
        {"error": {"message": "Your credit balance is too low", "type": "invalid_request_error"}},
        *("no_quota", "credit balance"),
    ),
    (
        *("anthropic", 401, {"error": {"message": "invalid x-api-key"}}),
        *("bad_key", "invalid x-api-key"),
    ),
    (
        *("google", 400),
        {"error": {"message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}},
        *("bad_key", "API key not valid"),
    ),
    ("google", 503, {"error": {"message": "overloaded"}}, "vendor_error", "HTTP 503: overloaded"),
    ("groq", 403, {"error": {"message": "Forbidden"}}, "no_permission", "does not allow"),
    (
        *("openrouter", 200, {"data": {"limit_remaining": 0}}),
        *("no_quota", "credit limit is used up"),
    ),
    ("openrouter", 200, {"data": {"limit_remaining": None}}, None, "takes the key"),
    (
        *("deepgram", 402, {"err_code": "ASR_PAYMENT_REQUIRED", "err_msg": "Not enough credits"}),
        *("no_quota", "Not enough credits"),
    ),
    ("deepgram", 401, {"err_code": "INVALID_AUTH", "err_msg": "Bad"}, "bad_key", "HTTP 401"),
    (
        *("elevenlabs", 200, {"character_count": 10_000, "character_limit": 10_000}),
        *("no_quota", "10000 characters"),
    ),
    (
        *("elevenlabs", 401, {"detail": {"status": "missing_permissions", "message": "user_read"}}),
        *(None, "may not look"),
    ),
    ("cartesia", 402, {"title": "No credits"}, "no_quota", "No credits"),
    ("assemblyai", 401, {"error": "Authentication error"}, "bad_key", "Authentication error"),
    ("soniox", 200, {"models": []}, None, "takes the key"),
    ("azure_speech", 200, [], None, "takes the key"),
    ("azure_speech", 401, {"error": {"message": "invalid subscription key"}}, "bad_key", "key"),
    ("faseeh", 402, {"errorMessage": "balance"}, "no_quota", "balance"),
    ("custom", 404, {"detail": "Not Found"}, "wrong_address", "no such API"),
    ("custom", 302, "", "wrong_address", "redirected"),
    ("custom", 200, "no JSON at all", None, "takes the key"),
]


@pytest.mark.parametrize(("provider", "status", "body", "problem", "says"), CASES)
async def test_what_a_vendor_answers(
    open_api: Api, provider: str, status: int, body: Any, problem: str | None, says: str
):
    headers = {"location": "https://else.example"} if status == 302 else {}
    async with HttpPeer(lambda _: respond(status, body, **headers)) as vendor:
        wish = {"provider": provider, "apiKey": SECRET, "baseUrl": vendor.url}
        made = await open_api.made(KEYS, wish)
        answer = await open_api.post(f"{KEYS}/{made['id']}/test")
        assert answer.status_code == 200, answer.text
        found = answer.json()["data"]
        assert (found["ok"], found["problem"]) == (problem is None, problem)
        assert says in found["message"]
        assert SECRET not in answer.text
        [asked] = vendor.requests
        assert SECRET in str(asked.headers)
        assert SECRET not in asked.target
    shown = (await open_api.get(f"{KEYS}/{made['id']}")).json()["data"]
    assert shown["lastTest"] == found
    assert shown["updatedAt"] == made["updatedAt"]


async def test_a_key_that_is_a_file_signs_and_is_never_shown(open_api: Api):
    """Google's: kept whole, known again by the name that Google gave it."""
    answers = [
        respond(200, {"metadata": {}}),
        respond(403, refusal(403, "PERMISSION_DENIED", "Cloud Speech-to-Text API is disabled")),
    ]
    async with HttpPeer(lambda _: answers.pop(0)) as vendor:
        wish = {"provider": "google_speech", "apiKey": key_file(), "baseUrl": vendor.url}
        made = await open_api.made(KEYS, wish)
        assert made["keyHint"] == f"…{KEY_ID[-4:]}"
        test = f"{KEYS}/{made['id']}/test"
        good, bad = await open_api.post(test), await open_api.post(test)
        for asked in vendor.requests:
            assert is_signed(asked.headers["authorization"])
            assert asked.target.endswith("/locations/global/recognizers/_:recognize")
    assert good.json()["data"]["ok"]
    assert bad.json()["data"]["problem"] == "no_permission"
    assert "API is disabled" in bad.json()["data"]["message"]
    worse = await open_api.post(f"{KEYS}/{made['id']}/rotate", json={"apiKey": "k"})
    assert worse.json()["details"][0]["field"] == "apiKey"
    for answer in (good, bad, worse, await open_api.get(KEYS)):
        assert not any(line in answer.text for line in private_lines())
    async with open_api.process.database.reading() as session:
        row = (await session.execute(sa.select(ProviderKey.__table__))).one()
    assert open_api.process.secrets.decrypt(row.secret) == key_file().strip()


async def test_the_models_that_were_named_are_asked(open_api: Api):
    def answer(asked: Asked) -> bytes:
        return respond(404, {"error": {"message": f"no model {asked.json['model']}"}})

    async with HttpPeer(answer) as vendor:
        wish = {
            "provider": "azure_openai",
            "apiKey": SECRET,
            "baseUrl": f"{vendor.url}/openai/v1?api-version=preview",
            "models": ["ours"],
        }
        made = await open_api.made(KEYS, wish)
        found = (await open_api.post(f"{KEYS}/{made['id']}/test")).json()["data"]
        assert found["problem"] == "no_model"
        assert "no model ours" in found["message"]
        [asked] = vendor.requests
        assert asked.target == "/openai/v1/chat/completions?api-version=preview"
        assert asked.headers["api-key"] == SECRET
        assert json.loads(asked.body)["model"] == "ours"


async def test_bedrock_is_reached_by_the_two_protocols_that_it_speaks(open_api: Api):
    """Claude by Anthropic's, its open models by OpenAI's, each below a path of its own."""
    async with HttpPeer(lambda _: respond(200, {})) as vendor:
        for provider, path, model in (
            ("anthropic", "/anthropic", "anthropic.claude-haiku-4-5"),
            ("custom", "/openai/v1", "openai.gpt-oss-120b-1:0"),
        ):
            wish = {"provider": provider, "apiKey": SECRET, "baseUrl": vendor.url + path}
            made = await open_api.made(KEYS, {**wish, "models": [model]})
            assert (await open_api.post(f"{KEYS}/{made['id']}/test")).json()["data"]["ok"]
        claude, open_model = vendor.requests
    assert claude.target == "/anthropic/v1/messages"
    assert claude.headers["x-api-key"] == SECRET
    assert claude.headers["anthropic-version"] == "2023-06-01"
    assert open_model.target == "/openai/v1/chat/completions"
    assert open_model.headers["authorization"] == f"Bearer {SECRET}"


async def test_the_models_that_make_vectors_are_asked_too(open_api: Api):
    said: dict[str, tuple[int, Any]] = {
        "/v1/chat/completions": (200, {}),
        "/v1/embeddings": (200, {"data": [{"index": 0, "embedding": [0.6, 0.8]}]}),
    }

    async with HttpPeer(lambda asked: respond(*said[asked.target])) as vendor:

        async def tested(id: str) -> tuple[bool, str | None, str]:
            vendor.requests.clear()
            found = (await open_api.post(f"{KEYS}/{id}/test")).json()["data"]
            return found["ok"], found["problem"], found["message"]

        wish = {"provider": "custom", "apiKey": SECRET, "baseUrl": f"{vendor.url}/v1"}
        key = await open_api.made(KEYS, {**wish, "models": ["bge-m3", "ours"]})
        base = {"name": "Handbook", "embeddingModel": "custom/bge-m3"}
        await open_api.made("/v1/knowledge-bases", base)
        ok, _, message = await tested(key["id"])
        assert ok
        assert "vectors by bge-m3" in message
        assert [asked.json["model"] for asked in vendor.requests] == ["ours", "bge-m3"]

        said["/v1/embeddings"] = (404, {"error": {"message": f"no model bge-m3 for {SECRET}"}})
        ok, problem, message = await tested(key["id"])
        assert (ok, problem) == (False, "no_model")
        assert "a knowledge base needs" in message
        assert SECRET not in message
        said["/v1/embeddings"] = (429, {"error": {"message": "quota exceeded"}})
        assert (await tested(key["id"]))[1] == "no_quota"

        # A server that has nothing else is not asked for words.
        change = {"models": ["bge-m3"]}
        assert (await open_api.patch(f"{KEYS}/{key['id']}", json=change)).status_code == 200
        said["/v1/embeddings"] = (200, {"data": [{"embedding": [1.0]}]})
        ok, _, message = await tested(key["id"])
        assert ok
        assert message.endswith("takes the key, for vectors by bge-m3.")
        assert [asked.target for asked in vendor.requests] == ["/v1/embeddings"]

        # What was found out before it is said too, and its time counts.
        net = Outbound(allow_private=True)
        used = KeyInForce(BY_NAME["custom"], SECRET, f"{vendor.url}/v1")
        before = trial.Verdict(None, "It takes the key, which may not look.", 5000)
        both = await trial_embeddings.test(net, used, ["bge-m3"], before)
        assert both.message == f"{before.message} It makes vectors by bge-m3, too."
        assert 5000 <= both.elapsed_ms < 15_000
        said["/v1/embeddings"] = (401, {})
        assert (await trial_embeddings.test(net, used, ["bge-m3"], before)).elapsed_ms >= 5000
        await net.aclose()


async def test_a_vendor_that_is_slow_or_gone(open_api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trial, "TIMEOUT_MS", 100)

    async def never(_: Asked) -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    async with HttpPeer(never) as vendor:
        wish = {"provider": "custom", "apiKey": "k", "baseUrl": vendor.url, "name": "slow"}
        slow = await open_api.made(KEYS, wish)
        found = (await open_api.post(f"{KEYS}/{slow['id']}/test")).json()["data"]
        assert found["problem"] == "timeout"
        assert "did not answer within 100 ms" in found["message"]
    found = (await open_api.post(f"{KEYS}/{slow['id']}/test")).json()["data"]
    assert (found["problem"], found["ok"]) == ("unreachable", False)


async def test_a_private_address_is_refused(sqlite_api: Api):
    wish = {"provider": "custom", "apiKey": "k", "baseUrl": "https://127.0.0.1/v1"}
    made = await sqlite_api.made(KEYS, wish)
    found = (await sqlite_api.post(f"{KEYS}/{made['id']}/test")).json()["data"]
    assert found["problem"] == "refused"
    assert "not allowed" in found["message"]
    # Of a key that is for vectors alone, too.
    change = {"models": ["bge-m3"]}
    await sqlite_api.patch(f"{KEYS}/{made['id']}", json=change)
    await sqlite_api.made(
        "/v1/knowledge-bases", {"name": "Handbook", "embeddingModel": "custom/bge-m3"}
    )
    found = (await sqlite_api.post(f"{KEYS}/{made['id']}/test")).json()["data"]
    assert found["problem"] == "refused"
    assert found["message"].startswith("The request was not sent: ")


async def test_a_test_does_not_hold_the_database(open_api: Api):
    """And what it finds of a key that was rotated meanwhile is not kept."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def waits(_: Asked) -> AsyncIterator[bytes]:
        asked.set()
        await go_on.wait()
        yield respond(401, {"error": "Authentication error"})

    async with HttpPeer(waits) as vendor:
        wish = {"provider": "assemblyai", "apiKey": "old", "baseUrl": vendor.url}
        made = await open_api.made(KEYS, wish)
        test = asyncio.create_task(open_api.post(f"{KEYS}/{made['id']}/test"))
        await asked.wait()
        rotated = await open_api.post(f"{KEYS}/{made['id']}/rotate", json={"apiKey": "new"})
        assert rotated.status_code == 200
        go_on.set()
        assert (await test).json()["data"]["problem"] == "bad_key"
    assert (await open_api.get(f"{KEYS}/{made['id']}")).json()["data"]["lastTest"] is None


async def test_a_test_of_nothing(sqlite_api: Api):
    assert (await sqlite_api.post(f"{KEYS}/{uuid.uuid4()}/test")).status_code == 404


def test_every_vendor_has_the_operators_variable():
    keys = {
        vendor.name: f'{{"key-of": "{vendor.name}"}}'
        if vendor.key_is_file
        else f"key-of-{vendor.name}"
        for vendor in VENDORS
        if vendor.base_url
    }
    environ = {vendor.variable: keys[vendor.name] for vendor in VENDORS if vendor.base_url}
    settings = Settings.read(environ)
    assert settings.unknown == ()
    for vendor in VENDORS:
        if vendor.base_url:
            assert getattr(settings, f"{vendor.name}_api_key") == keys[vendor.name]
    assert "key-of" not in repr(settings)
