"""/v1/agents/{id}/versions and /draft on both databases."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.agents import versions
from chorus.agents.tables import Agent, AgentVersion

TARGET = {"name": "Desk", "number": "+14155551234", "type": "warm", "briefing": "A caller"}


async def numbers(api: Api, path: str) -> list[int]:
    return [each["number"] for each in (await api.get(f"{path}/versions")).json()["data"]]


async def test_each_change_is_a_version_and_what_changes_nothing_is_none(api: Api):
    agent = await api.made("/v1/agents", {"name": "a", "systemPrompt": "One."})
    path = f"/v1/agents/{agent['id']}"
    assert agent["version"] == 1
    for body, number in (
        ({"systemPrompt": "Two."}, 2),
        ({"systemPrompt": "Two."}, 2),
        ({}, 2),
        # Whether it takes calls is no part of what it is, and a secret is kept once.
        ({"isActive": False, "postCallWebhookSecret": "hush-hush"}, 2),
        ({"transferTargets": [TARGET], "modelOptions": {"temperature": 0.5}}, 3),
    ):
        changed = (await api.patch(path, json=body)).json()["data"]
        assert changed["version"] == number, body
    listed = (await api.get(f"{path}/versions")).json()
    assert listed["pagination"]["total"] == 3
    assert [each["number"] for each in listed["data"]] == [3, 2, 1]
    assert [each["isCurrent"] for each in listed["data"]] == [True, False, False]
    assert {(each["authorKind"], each["author"]) for each in listed["data"]} == {
        ("key", "First key (sk_live_tttt…)")
    }
    assert "agent" not in listed["data"][0]
    whole = (await api.get(f"{path}/versions/3")).json()["data"]["agent"]
    now = (await api.get(path)).json()["data"]
    left_out = {"id", "version", "isActive", "hasPostCallWebhookSecret", "createdAt", "updatedAt"}
    assert whole == {name: value for name, value in now.items() if name not in left_out}
    assert "hush" not in (await api.get(f"{path}/versions/3")).text


async def test_what_is_published_has_a_name_and_drops_the_draft(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{agent['id']}"
    draft = {"agent": {"voiceSpeed": 1.1}, "base": 1}
    assert (await api.put(f"{path}/draft", json=draft)).status_code == 200
    wish = {"agent": {"voiceSpeed": 1.2}, "base": 1, "name": "Faster", "note": "They asked."}
    made = await api.post(f"{path}/versions", json=wish)
    assert made.status_code == 201, made.text
    version = made.json()["data"]
    assert (version["number"], version["name"], version["note"]) == (2, "Faster", "They asked.")
    assert version["agent"]["voiceSpeed"] == 1.2
    assert (await api.get(path)).json()["data"]["voiceSpeed"] == 1.2
    assert (await api.get(f"{path}/draft")).json()["data"]["agent"] == {}
    # Nothing is changed: the present version gets the name.
    named = await api.post(f"{path}/versions", json={"name": "Fast"})
    assert (named.json()["data"]["number"], named.json()["data"]["name"]) == (2, "Fast")
    renamed = await api.patch(f"{path}/versions/1", json={"name": "First", "note": None})
    assert (renamed.json()["data"]["name"], renamed.json()["data"]["note"]) == ("First", None)
    # Somebody else was quicker.
    late = await api.post(f"{path}/versions", json={**wish, "agent": {"voiceSpeed": 1.3}})
    assert (late.status_code, late.json()["code"]) == (409, "agent_changed")
    wrong = await api.post(f"{path}/versions", json={"agent": {"voiceSpeed": 9}})
    assert wrong.json()["details"][0]["field"] == "agent.voiceSpeed"
    assert await numbers(api, path) == [2, 1]


async def test_versions_are_compared_by_field(api: Api):
    agent = await api.made("/v1/agents", {"name": "a", "systemPrompt": "One."})
    path = f"/v1/agents/{agent['id']}"
    await api.patch(path, json={"systemPrompt": "Two.", "transferTargets": [TARGET]})
    await api.patch(path, json={"voiceSpeed": 1.1})
    first = (await api.get(f"{path}/versions/1/diff")).json()["data"]
    assert first == {"number": 1, "against": None, "changes": []}
    second = (await api.get(f"{path}/versions/2/diff")).json()["data"]
    changed = {each["field"]: (each["before"], each["after"]) for each in second["changes"]}
    assert second["against"] == 1
    assert changed.keys() == {"systemPrompt", "transferTargets"}
    assert changed["systemPrompt"] == ("One.", "Two.")
    back = (await api.get(f"{path}/versions/1/diff", params={"against": 3})).json()["data"]
    assert {each["field"] for each in back["changes"]} == {
        "systemPrompt",
        "transferTargets",
        "voiceSpeed",
    }
    for path_of_none in (
        f"{path}/versions/9",
        f"{path}/versions/1/diff?against=9",
        f"{path}/versions/first",
        f"{path}/versions/0",
    ):
        answer = await api.get(path_of_none)
        assert (answer.status_code, answer.json()["error"]) == (404, "Agent version not found")


async def test_a_version_is_restored_as_a_new_one(api: Api):
    config = {"url": "https://a.example/x"}
    tool = await api.made("/v1/tools", {"name": "t", "description": "d", "config": config})
    agent = await api.made("/v1/agents", {"name": "a", "toolIds": [tool["id"]]})
    path = f"/v1/agents/{agent['id']}"
    secret = {"postCallWebhookSecret": "hush-hush", "isActive": False}
    await api.patch(path, json={"name": "b", "toolIds": [], "transferTargets": [TARGET], **secret})
    made = await api.post(f"{path}/versions/1/restore", json={"note": "It was better."})
    assert made.status_code == 201, made.text
    version = made.json()["data"]
    assert (version["number"], version["restoredFrom"]) == (3, 1)
    assert version["note"] == "It was better."
    now = (await api.get(path)).json()["data"]
    assert (now["name"], now["toolIds"], now["transferTargets"]) == ("a", [tool["id"]], [])
    assert (now["isActive"], now["hasPostCallWebhookSecret"]) == (False, True)
    first = (await api.get(f"{path}/versions/1")).json()["data"]["agent"]
    assert version["agent"] == first
    # What it names has to be there still.
    await api.patch(path, json={"toolIds": []})
    assert (await api.delete(f"/v1/tools/{tool['id']}")).status_code == 200
    gone = await api.post(f"{path}/versions/1/restore", json={})
    assert gone.status_code == 400
    assert gone.json()["details"][0] == {"field": "toolIds.0", "message": "Tool not found"}
    assert await numbers(api, path) == [4, 3, 2, 1]


async def test_what_was_kept_by_an_older_server_is_restored_as_far_as_it_goes(sqlite_api: Api):
    api = sqlite_api
    agent = await api.made("/v1/agents", {"name": "a", "voiceSpeed": 1.1})
    path = f"/v1/agents/{agent['id']}"
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(AgentVersion).values(
                settings={"name": "old", "gone": 1, "transferTargets": [{**TARGET}]}
            )
        )
    await api.patch(path, json={"voiceSpeed": 1.2})
    restored = (await api.post(f"{path}/versions/1/restore", json={})).json()["data"]["agent"]
    assert (restored["name"], restored["voiceSpeed"]) == ("old", 1)
    assert restored["transferTargets"][0]["ringTimeoutSeconds"] == 30
    async with api.process.database.writing() as session:
        await session.execute(sa.update(AgentVersion).values(settings={"voiceSpeed": 1}))
    broken = await api.post(f"{path}/versions/1/restore", json={})
    assert (broken.status_code, broken.json()["code"]) == (409, "version_outdated")


async def test_the_draft_is_one_and_whoever_is_late_is_told(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{agent['id']}/draft"
    none = await api.get(path)
    assert none.json()["data"] == {
        "agent": {},
        "base": None,
        "author": None,
        "authorKind": None,
        "updatedAt": None,
    }
    # What does not count is not checked, but for what it is called.
    body: dict[str, Any] = {"agent": {"voiceSpeed": 99, "transferTargets": [{"name": ""}]}}
    first = await api.put(
        path, json={**body, "base": 1}, headers={"If-Match": none.headers["etag"]}
    )
    assert first.status_code == 200, first.text
    assert first.json()["data"]["agent"] == body["agent"]
    assert first.headers["etag"] == (await api.get(path)).headers["etag"]
    assert first.json()["data"]["author"] == "First key (sk_live_tttt…)"
    late = await api.put(
        path, json={"agent": {"name": "b"}, "base": 1}, headers={"If-Match": none.headers["etag"]}
    )
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    tag = (await api.get(path)).headers["etag"]
    again = {"agent": {"name": "b"}, "base": 1}
    assert (await api.put(path, json=again, headers={"If-Match": tag})).status_code == 200
    for agent_fields, says in (
        ({"noSuch": 1}, "noSuch is not"),
        ({"postCallWebhookSecret": "s"}, "postCallWebhookSecret"),
        ({"systemPrompt": "x" * 300_000}, "262144 bytes"),
    ):
        refused = await api.put(path, json={"agent": agent_fields, "base": 1})
        assert refused.status_code == 400
        assert says in refused.json()["details"][0]["message"]
        assert refused.json()["details"][0]["field"] == "agent"
    assert (await api.delete(path, headers={"If-Match": tag})).status_code == 412
    assert (await api.delete(path)).status_code == 200
    assert (await api.delete(path)).status_code == 200
    assert (await api.get(path)).headers["etag"] == none.headers["etag"]


async def test_the_latest_versions_are_kept_and_those_with_a_name(api: Api, monkeypatch: Any):
    monkeypatch.setattr(versions, "MOST_UNNAMED", 3)
    agent = await api.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{agent['id']}"
    await api.post(f"{path}/versions", json={"agent": {"name": "b"}, "name": "Good"})
    for n in range(5):
        await api.patch(path, json={"name": f"c{n}"})
    assert await numbers(api, path) == [7, 6, 5, 2]
    assert (await api.get(f"{path}/versions/5/diff")).json()["data"]["against"] == 2


async def test_an_agent_that_came_without_versions_keeps_what_it_was(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{agent['id']}"
    async with api.process.database.writing() as session:
        await session.execute(sa.delete(AgentVersion))
    await api.patch(path, json={"name": "b"})
    assert await numbers(api, path) == [2, 1]
    assert (await api.get(f"{path}/versions/1")).json()["data"]["agent"]["name"] == "a"
    assert (await api.delete(path)).status_code == 200
    async with api.process.database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Agent)) == 0
        assert await session.scalar(sa.select(sa.func.count()).select_from(AgentVersion)) == 0
    assert (await api.get(f"/v1/agents/{uuid.uuid4()}/versions")).status_code == 404
