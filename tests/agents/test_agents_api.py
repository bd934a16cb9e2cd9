"""/v1/agents on both databases."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running

NOBODY = str(uuid.uuid4())

DEFAULTS: dict[str, Any] = {
    "systemPrompt": "",
    "slmModelId": None,
    "modelOptions": None,
    "voiceId": None,
    "transcriberId": None,
    "slmModelFallbackIds": [],
    "voiceFallbackIds": [],
    "transcriberFallbackIds": [],
    "languages": [],
    "keyterms": [],
    "pronunciations": [],
    "voiceSpeed": 1,
    "voiceStability": 0.5,
    "turnEndpointDelay": 100,
    "minTurnDuration": 50,
    "minInterruptionDuration": 100,
    "frameActivationThreshold": 0.35,
    "postSpeechCooldown": 400,
    "ultravadEotThreshold": None,
    "speculativeSilenceMs": 150,
    "fallbackSilenceMs": 3000,
    "allowEndCall": True,
    "allowPressKeys": False,
    "keyInputs": [],
    "answering": None,
    "isActive": True,
    "postCallSummaryEnabled": False,
    "postCallExtractionSchema": [],
    "postCallWebhookUrl": None,
    "hasPostCallWebhookSecret": False,
    "firstSpeaker": "user",
    "agentGreeting": None,
    "agentGreetingEnabled": False,
    "firstMessageUninterruptible": False,
    "firstMessageDelay": 0,
    "maxCallDurationSeconds": 600,
    "silenceTimeoutSeconds": 30,
    "silenceReminders": 2,
    "latencyTargetMs": None,
    "hedging": None,
    "fillerAfterMs": None,
    "fillers": [],
    "languageHint": None,
    "knowledgeSearchInstructions": None,
    "backgroundSoundId": None,
    "backgroundSoundVolume": 0.15,
    "holdMessage": None,
    "holdMusicUrl": None,
    "toolIds": [],
    "knowledgeBaseIds": [],
    "transferTargets": [],
}
RANGES = [
    ("voiceSpeed", 0.6, 1.5),
    ("voiceStability", 0, 1),
    ("turnEndpointDelay", 50, 2000),
    ("minTurnDuration", 0, 2000),
    ("minInterruptionDuration", 0, 2000),
    ("frameActivationThreshold", 0, 1),
    ("postSpeechCooldown", 0, 5000),
    ("ultravadEotThreshold", 0, 1),
    ("speculativeSilenceMs", 0, 5000),
    ("fallbackSilenceMs", 0, 10000),
    ("firstMessageDelay", 0, 10000),
    ("maxCallDurationSeconds", 30, 3600),
    ("silenceTimeoutSeconds", 5, 3600),
    ("silenceReminders", 0, 10),
    ("latencyTargetMs", 100, 60_000),
    ("fillerAfterMs", 200, 5000),
    ("backgroundSoundVolume", 0, 1),
]
LENGTHS = [
    ("name", 255),
    ("systemPrompt", 32000),
    ("agentGreeting", 1000),
    ("knowledgeSearchInstructions", 2000),
    ("holdMessage", 500),
]
LISTS = {
    *("postCallExtractionSchema", "toolIds", "knowledgeBaseIds", "transferTargets"),
    *("slmModelFallbackIds", "voiceFallbackIds", "transcriberFallbackIds"),
    *("languages", "keyterms", "pronunciations", "keyInputs", "fillers"),
}
NOT_NULL = {
    *("name", "systemPrompt", "voiceSpeed", "voiceStability", "allowEndCall", "isActive"),
    *("postCallSummaryEnabled", "postCallExtractionSchema", "firstSpeaker"),
    *("agentGreetingEnabled", "firstMessageUninterruptible", "firstMessageDelay"),
    *("allowPressKeys", "keyInputs"),
    *("silenceReminders", "maxCallDurationSeconds", "backgroundSoundVolume"),
    *("toolIds", "knowledgeBaseIds", "transferTargets"),
}


async def test_options_of_its_model(api: Api):
    options = {"temperature": 0.3, "maxTokens": 200, "extraBody": {"top_p": 0.5}}
    made = (await api.post("/v1/agents", json={"name": "a", "modelOptions": options})).json()
    assert made["data"]["modelOptions"].items() >= options.items()
    path = f"/v1/agents/{made['data']['id']}"
    await api.patch(path, json={"modelOptions": {"reasoningEffort": "low"}})
    shown = (await api.get(path)).json()["data"]["modelOptions"]
    assert (shown["reasoningEffort"], shown["temperature"]) == ("low", None)
    await api.patch(path, json={"modelOptions": None})
    assert (await api.get(path)).json()["data"]["modelOptions"] is None
    for wrong, field in (
        ({"temperature": 3}, "modelOptions.temperature"),
        ({"heat": 1}, "modelOptions.heat"),
        ({"extraBody": {"models": ["dearer"]}}, "modelOptions.extraBody"),
        ({"extraBody": {"a": "x" * 9000}}, "modelOptions.extraBody"),
    ):
        refused = await api.patch(path, json={"modelOptions": wrong})
        assert refused.status_code == 400
        assert [detail["field"] for detail in refused.json()["details"]] == [field]


async def test_a_new_agent_has_the_defaults(api: Api):
    made = await api.made("/v1/agents", {"name": "Ada"})
    id, created, updated = made.pop("id"), made.pop("createdAt"), made.pop("updatedAt")
    assert uuid.UUID(id).version == 4
    assert created.endswith("Z")
    assert updated.endswith("Z")
    assert made == {"name": "Ada", "version": 1, **DEFAULTS}
    got = (await api.get(f"/v1/agents/{id}")).json()["data"]
    assert got == {**made, "id": id, "createdAt": created, "updatedAt": updated}


async def test_every_field_is_stored(api: Api):
    voice = (await api.get("/v1/voices")).json()["data"][0]["id"]
    model = (await api.get("/v1/slm-models")).json()["data"][0]["id"]
    sound = (await api.get("/v1/background-sounds")).json()["data"][0]["id"]
    config = {"url": "https://a.example/x"}
    tools = [
        (await api.made("/v1/tools", {"name": n, "description": "d", "config": config}))["id"]
        for n in "ba"
    ]
    wish: dict[str, Any] = {
        "name": "Zoë",
        "systemPrompt": 'You are {{who}}.\n"Quotes" and 日本語 🎉',
        "slmModelId": model,
        "voiceId": voice,
        "voiceSpeed": 1.25,
        "voiceStability": 0,
        "turnEndpointDelay": 2000,
        "minTurnDuration": 0,
        "minInterruptionDuration": 7,
        "frameActivationThreshold": 1,
        "postSpeechCooldown": 0,
        "ultravadEotThreshold": 0.1,
        "speculativeSilenceMs": 0,
        "fallbackSilenceMs": 0,
        "allowEndCall": False,
        "allowPressKeys": True,
        "answering": {"mailbox": "hang_up", "menu": "navigate", "menuGoal": "A person"},
        "keyInputs": [{"name": "pin", "minLength": 4, "maxLength": 4, "secret": True}],
        "isActive": False,
        "postCallSummaryEnabled": True,
        "postCallExtractionSchema": [
            {"name": "mood", "type": "string", "description": "How", "enum": ["good", "bad"]},
            {"name": "size", "type": "number", "description": "", "required": True},
        ],
        "postCallWebhookUrl": "https://hooks.example.com/a?b=c",
        "firstSpeaker": "agent",
        "agentGreeting": "Hi {{name}}",
        "agentGreetingEnabled": True,
        "firstMessageUninterruptible": True,
        "firstMessageDelay": 10000,
        "maxCallDurationSeconds": 30,
        "silenceTimeoutSeconds": 5,
        "silenceReminders": 0,
        "languageHint": "pt-BR",
        "knowledgeSearchInstructions": "When asked",
        "backgroundSoundId": sound,
        "backgroundSoundVolume": 1,
        "holdMessage": "Hold on",
        "holdMusicUrl": "https://a.example/music.mp3",
        "toolIds": tools,
        "transferTargets": [{"name": "Desk", "number": "+14155551234", "description": "Sales"}],
    }
    made = await api.made("/v1/agents", wish)
    shown = (await api.get(f"/v1/agents/{made['id']}")).json()["data"]
    wish["postCallExtractionSchema"] = [
        {"required": False, **wish["postCallExtractionSchema"][0]},
        {"enum": None, **wish["postCallExtractionSchema"][1]},
    ]
    wish["transferTargets"][0] |= {
        "type": "cold",
        "merge": "bridge",
        "briefing": None,
        "ringTimeoutSeconds": 30,
        "postDialDigits": None,
        "headers": [],
        "callerId": "own",
        "transcribe": False,
        "whenUnavailable": None,
    }
    wish["answering"] |= {
        "message": None,
        "beepWaitSeconds": 30,
        "unavailable": "hang_up",
        "menuLimitSeconds": 120,
        "screening": "say_who_calls",
        "introduction": None,
        "screeningWaitSeconds": 45,
        "silence": "talk",
    }
    wish["keyInputs"][0] |= {
        "description": "",
        "terminator": "#",
        "timeoutSeconds": 10,
        "gapSeconds": 3,
    }
    assert {name: shown[name] for name in wish} == wish


@pytest.mark.parametrize(("field", "low", "high"), RANGES)
async def test_ranges(sqlite_api: Api, field: str, low: float, high: float):
    agent = await sqlite_api.made("/v1/agents", {"name": "a"})
    step = 1 if isinstance(high, int) and high > 1 else 0.01
    for value, status in ((low, 200), (high, 200), (low - step, 400), (high + step, 400)):
        response = await sqlite_api.patch(f"/v1/agents/{agent['id']}", json={field: value})
        assert response.status_code == status, (field, value, response.text)
        if status == 400:
            assert [d["field"] for d in response.json()["details"]] == [field]


@pytest.mark.parametrize(("field", "most"), LENGTHS)
async def test_lengths(sqlite_api: Api, field: str, most: int):
    for length, status in ((most, 201), (most + 1, 400)):
        body = {"name": "a", field: "é" * length}
        assert (await sqlite_api.post("/v1/agents", json=body)).status_code == status


@pytest.mark.parametrize("field", ["name", *DEFAULTS])
async def test_null_where_it_is_allowed_and_nowhere_else(sqlite_api: Api, field: str):
    agent = await sqlite_api.made("/v1/agents", {"name": "a"})
    if field == "hasPostCallWebhookSecret":
        field = "postCallWebhookSecret"
    response = await sqlite_api.patch(f"/v1/agents/{agent['id']}", json={field: None})
    if field in LISTS:  # null is an empty one
        assert response.json()["data"][field] == []
    elif field in NOT_NULL:
        assert response.status_code == 400
        assert response.json()["details"][0]["field"] == field
    else:
        assert response.status_code == 200
        assert response.json()["data"].get(field) is None


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"name": "  "}, "name", "must not be blank"),
        ({"slmModelId": NOBODY}, "slmModelId", "SLM model not found"),
        ({"voiceId": NOBODY}, "voiceId", "Voice not found"),
        ({"backgroundSoundId": NOBODY}, "backgroundSoundId", "Background sound not found"),
        ({"toolIds": [NOBODY]}, "toolIds.0", "Tool not found"),
        ({"toolIds": [NOBODY, NOBODY]}, "toolIds", "twice"),
        ({"knowledgeBaseIds": [NOBODY]}, "knowledgeBaseIds.0", "Knowledge base not found"),
        ({"postCallWebhookUrl": "ftp://a.example"}, "postCallWebhookUrl", "https://"),
        ({"postCallWebhookUrl": "http://a.example"}, "postCallWebhookUrl", "begin with https://"),
        ({"postCallWebhookUrl": "HTTP://a.example"}, "postCallWebhookUrl", "begin with https://"),
        ({"postCallWebhookUrl": "https://"}, "postCallWebhookUrl", "URL"),
        ({"postCallWebhookUrl": "https://a b"}, "postCallWebhookUrl", "spaces"),
        ({"postCallWebhookUrl": "https://u:p@a.example"}, "postCallWebhookUrl", "user name"),
        ({"postCallWebhookUrl": "https://a.example:0x"}, "postCallWebhookUrl", "valid URL"),
        ({"languageHint": "english!"}, "languageHint", "language code"),
        (
            {"keyInputs": [{"name": "a", "minLength": 5, "maxLength": 4}]},
            "keyInputs.0",
            "maxLength must not be less",
        ),
        ({"answering": {"mailbox": "shout"}}, "answering.mailbox", "must be"),
        ({"answering": {"beepWaitSeconds": 1}}, "answering.beepWaitSeconds", "5"),
        ({"keyInputs": [{"name": "a b"}]}, "keyInputs.0.name", "letters, digits or underscores"),
        ({"keyInputs": [{"name": "a"}, {"name": "a"}]}, "keyInputs", "same name twice"),
        (
            {"transferTargets": [{"name": "a", "number": "5551"}]},
            "transferTargets.0.number",
            "E.164",
        ),
        (
            {
                "postCallExtractionSchema": [
                    {"name": "a", "type": "string", "description": ""},
                    {"name": "a", "type": "number", "description": ""},
                ]
            },
            "postCallExtractionSchema",
            "twice",
        ),
        ({"organizationId": NOBODY}, "organizationId", "not a known field"),
        ({"id": NOBODY}, "id", "not a known field"),
        ({"system_prompt": "x"}, "system_prompt", "not a known field"),
    ],
)
async def test_what_is_refused(sqlite_api: Api, body: dict[str, Any], field: str, says: str):
    response = await sqlite_api.post("/v1/agents", json={"name": "a", **body})
    assert response.status_code == 400
    details = response.json()["details"]
    assert details[0]["field"] == field
    assert says in details[0]["message"]


async def test_plain_http_where_the_operator_allows_it(tmp_path: Any):
    async with running(settings_for(tmp_path, allow_private_addresses=True)) as api:
        made = await api.made(
            "/v1/agents", {"name": "a", "postCallWebhookUrl": "http://127.0.0.1:9/hook"}
        )
        assert made["postCallWebhookUrl"] == "http://127.0.0.1:9/hook"


async def test_the_webhook_secret_is_never_shown(api: Api):
    secret = "whsec_a-very-secret-word"
    made = await api.made("/v1/agents", {"name": "a", "postCallWebhookSecret": secret})
    assert made["hasPostCallWebhookSecret"] is True
    shown = await api.get(f"/v1/agents/{made['id']}")
    listed = await api.get("/v1/agents")
    changed = await api.patch(f"/v1/agents/{made['id']}", json={"name": "b"})
    assert changed.json()["data"]["hasPostCallWebhookSecret"] is True
    for response in (shown, listed, changed):
        assert secret not in response.text
    async with api.process.database.reading() as session:
        from chorus.agents import queries

        row = await queries.one(session, await api.organization_id(), uuid.UUID(made["id"]))
        assert row.post_call_webhook_secret is not None
        assert secret not in row.post_call_webhook_secret
        assert api.process.secrets.decrypt(row.post_call_webhook_secret) == secret


async def test_patch_changes_only_what_is_sent(api: Api):
    made = await api.made("/v1/agents", {"name": "a", "voiceSpeed": 1.2, "isActive": False})
    response = await api.patch(f"/v1/agents/{made['id']}", json={"agentGreeting": "Hi"})
    changed = response.json()["data"]
    assert changed.pop("updatedAt") > made.pop("updatedAt")
    assert changed == {**made, "agentGreeting": "Hi", "version": 2}


async def test_an_empty_patch_changes_nothing(api: Api):
    made = await api.made("/v1/agents", {"name": "a"})
    response = await api.patch(f"/v1/agents/{made['id']}", json={})
    assert response.json()["data"] == made


async def test_concurrent_patches_of_different_fields_all_hold(api: Api):
    made = await api.made("/v1/agents", {"name": "a"})
    wishes = [
        {"name": "b"},
        {"systemPrompt": "p"},
        {"voiceSpeed": 1.1},
        {"isActive": False},
        {"fallbackSilenceMs": None},
        {"agentGreeting": "Hi"},
    ]
    answers = await asyncio.gather(
        *(api.patch(f"/v1/agents/{made['id']}", json=wish) for wish in wishes)
    )
    assert {answer.status_code for answer in answers} == {200}
    shown = (await api.get(f"/v1/agents/{made['id']}")).json()["data"]
    for wish in wishes:
        assert shown == {**shown, **wish}


async def test_the_tools_of_an_agent(api: Api):
    config = {"url": "https://a.example"}
    tool = {"name": "t", "description": "d", "config": config}
    ids = [(await api.made("/v1/tools", tool))["id"] for _ in range(3)]
    agent = await api.made("/v1/agents", {"name": "a", "toolIds": ids[:2]})
    for wanted in (ids[::-1], ids[1:], []):
        response = await api.patch(f"/v1/agents/{agent['id']}", json={"toolIds": wanted})
        assert response.json()["data"]["toolIds"] == wanted
    stranger = await api.another_organization()
    theirs = (await stranger.post("/v1/tools", json=tool)).json()["data"]["id"]
    response = await api.patch(f"/v1/agents/{agent['id']}", json={"toolIds": [theirs]})
    assert response.status_code == 400


async def test_delete(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    response = await api.delete(f"/v1/agents/{agent['id']}")
    assert response.status_code == 200
    assert response.json() == {"data": {"id": agent["id"], "deleted": True}}
    for again in (
        await api.get(f"/v1/agents/{agent['id']}"),
        await api.delete(f"/v1/agents/{agent['id']}"),
        await api.patch(f"/v1/agents/{agent['id']}", json={"name": "b"}),
    ):
        assert again.status_code == 404
        assert again.json()["error"] == "Agent not found"
        assert again.json()["code"] == "agent_not_found"


async def test_lists_page_newest_first_and_search_by_name(api: Api):
    for name in ("Support", "sales 100%", "Ämter", "support two", "SUPPORT_3"):
        await api.made("/v1/agents", {"name": name})

    async def names(query: str) -> tuple[list[str], dict[str, int]]:
        body = (await api.get(f"/v1/agents?{query}")).json()
        pagination = body["pagination"]
        assert pagination.pop("totalIsExact") is True
        assert (pagination.pop("nextCursor") is None) == ("limit=2" not in query)
        return [agent["name"] for agent in body["data"]], pagination

    assert await names("") == (
        ["SUPPORT_3", "support two", "Ämter", "sales 100%", "Support"],
        {"total": 5, "limit": 50, "offset": 0},
    )
    page = await names("limit=2&offset=1")
    assert page == (["support two", "Ämter"], {"total": 5, "limit": 2, "offset": 1})
    assert await names("offset=9") == ([], {"total": 5, "limit": 50, "offset": 9})
    assert (await names("search=support"))[0] == ["SUPPORT_3", "support two", "Support"]
    assert (await names("search=ämt"))[0] == ["Ämter"]
    assert (await names("search=100%25"))[0] == ["sales 100%"]
    assert (await names("search=_"))[0] == ["SUPPORT_3"]
    assert await names("search=nobody") == ([], {"total": 0, "limit": 50, "offset": 0})


def _desk(**fields: str) -> dict[str, str]:
    return {"name": "Desk", "number": "+14155550177", "type": "warm", **fields}


async def test_texts_that_cannot_be_right_are_refused_when_saved(sqlite_api: Api) -> None:
    """A name that is none, and a script that cannot be read, with its line and a sentence."""
    models = (await sqlite_api.get("/v1/slm-models")).json()["data"]
    script = next(model["id"] for model in models if model["name"] == "Script")
    wish = {"name": "a", "agentGreeting": "Hello {{first-name}}", "slmModelId": script}
    refused = await sqlite_api.post("/v1/agents", json=wish)
    assert refused.status_code == 400
    assert "{{first-name}}" in refused.text
    unheard, unread = _desk(whenUnavailable="{{a-b}}"), _desk(briefing="{{a-b}}")
    for field, wish in (
        ("holdMessage", {"holdMessage": "One moment {{first-name}}"}),
        ("transferTargets.0.whenUnavailable", {"transferTargets": [unheard]}),
        ("transferTargets.0.briefing", {"transferTargets": [unread]}),
    ):
        refused = await sqlite_api.post("/v1/agents", json={"name": "a", **wish})
        assert refused.status_code == 400
        assert f'"{field}"' in refused.text
    wrong = {"name": "a", "slmModelId": script, "systemPrompt": 'script:\nat start say "hi\n'}
    refused = await sqlite_api.post("/v1/agents", json=wrong)
    assert refused.status_code == 400
    assert "Line 2 of the script" in refused.text
    right = {**wrong, "systemPrompt": 'script:\nat start: say "Hi {{नाम}}"\n'}
    made = await sqlite_api.post("/v1/agents", json=right)
    assert made.status_code == 201, made.text
    id = made.json()["data"]["id"]
    refused = await sqlite_api.patch(f"/v1/agents/{id}", json={"systemPrompt": "script:\nwhy"})
    assert refused.status_code == 400
