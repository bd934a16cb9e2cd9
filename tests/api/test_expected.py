"""What clients expect of a JSON API, without its saying so."""

from __future__ import annotations

import gzip
import uuid

import pytest
from tests.calls.test_calls_api import parties
from tests.fakes.api import Api

TOOL = {
    "name": "t",
    "description": "d",
    "config": {"url": "https://example.com", "headers": [{"key": "X-Auth", "value": "s"}]},
}


async def test_what_was_read_can_be_sent_back(api: Api):
    agent = await api.made("/v1/agents", {"name": "a", "postCallWebhookSecret": "s"})
    number = {"number": "+14155550100", "twilioAccountSid": "AC1", "twilioAuthToken": "t"}
    made = [
        f"/v1/agents/{agent['id']}",
        f"/v1/phone-numbers/{(await api.made('/v1/phone-numbers', number))['id']}",
        f"/v1/tools/{(await api.made('/v1/tools', TOOL))['id']}",
        f"/v1/api-keys/{(await api.made('/v1/api-keys', {'name': 'k'}))['id']}",
        "/v1/organization",
    ]
    for path in made:
        read = (await api.get(path)).json()["data"]
        answer = await api.patch(path, json={**read, "name": "another"})
        assert answer.status_code == 200, answer.text
        changed = answer.json()["data"]
        own = {"name": "", "updatedAt": "", **({"version": 2} if "version" in read else {})}
        assert {**changed, **own} == {**read, **own}
        assert changed["name"] == "another"
        # What cannot be changed is not silently left as it is.
        refused = await api.patch(path, json={"id": str(uuid.uuid4()), "createdAt": "x"})
        assert refused.status_code == 400
        assert {detail["field"] for detail in refused.json()["details"]} == {"id", "createdAt"}
        assert (await api.patch(path, json={"nonsense": 1})).status_code == 400


async def test_forms_send_an_empty_text_for_nothing(sqlite_api: Api):
    empty = {"postCallWebhookUrl": "", "languageHint": "", "voiceId": "", "agentGreeting": ""}
    none = {"postCallExtractionSchema": None}
    made = await sqlite_api.made("/v1/agents", {"name": "a", **empty, **none})
    assert all(made[name] is None for name in empty)
    assert made["postCallExtractionSchema"] == []
    refused = await sqlite_api.post("/v1/agents", json={"name": ""})
    assert refused.json()["details"][0]["field"] == "name"
    wish = {**await parties(sqlite_api), "metadata": None, "contextVariables": None}
    call = await sqlite_api.made("/v1/calls", wish)
    assert (call["metadata"], call["contextVariables"]) == ({}, {})


async def test_the_same_json_is_the_same_request(api: Api):
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    one = await api.post("/v1/agents", content=b'{"name":"a","voiceSpeed":1}', headers=headers)
    two = await api.post(
        "/v1/agents", content=b'{ "voiceSpeed": 1,\n "name": "a" }', headers=headers
    )
    assert one.status_code == two.status_code == 201
    assert one.json() == two.json()
    other = await api.post("/v1/agents", content=b'{"name":"b"}', headers=headers)
    assert other.status_code == 409


async def test_all_names_of_placing_a_call_are_one(sqlite_api: Api):
    wish = await parties(sqlite_api)
    headers = {"Idempotency-Key": "k"}
    paths = ("/v1/calls", "/api/calls/outbound", "/v1/api/calls/outbound")
    answers = [await sqlite_api.post(path, json=wish, headers=headers) for path in paths]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1


@pytest.mark.parametrize("id", ["agent-uuid", "1"])
async def test_an_id_that_is_none_is_not_found(sqlite_api: Api, id: str):
    for method in ("get", "delete"):
        answer = await getattr(sqlite_api, method)(f"/v1/agents/{id}")
        assert (answer.status_code, answer.json()["error"]) == (404, "Agent not found")


async def test_a_slash_at_the_end_and_head(sqlite_api: Api):
    await sqlite_api.made("/v1/agents", {"name": "a"})
    assert (await sqlite_api.get("/v1/agents/")).json() == (
        await sqlite_api.get("/v1/agents")
    ).json()
    answer = await sqlite_api.client.head("/v1/agents")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 10
    assert (await sqlite_api.client_with(None).head("/v1/agents")).status_code == 401


async def test_head_of_a_stream_comes_to_an_end(sqlite_api: Api):
    call = await sqlite_api.made("/v1/calls", await parties(sqlite_api))
    streams = {"Accept": "text/event-stream"}
    path = f"/v1/calls/{call['id']}/events"
    answer = await sqlite_api.client.head(path, headers=streams, timeout=5)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_what_somebody_has_already_is_not_sent_again(sqlite_api: Api):
    made = await sqlite_api.made("/v1/agents", {"name": "a"})
    path = f"/v1/agents/{made['id']}"
    plain = {"Accept-Encoding": "identity"}
    tag = (await sqlite_api.get(path, headers=plain)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}'):
        again = await sqlite_api.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b""), known
    # Two who change the same thing: the second is told.
    first = await sqlite_api.patch(path, json={"name": "b"}, headers={"If-Match": tag})
    assert first.status_code == 200
    second = await sqlite_api.patch(path, json={"name": "c"}, headers={"If-Match": tag})
    assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
    assert (await sqlite_api.delete(path, headers={"If-Match": tag})).status_code == 412
    new = (await sqlite_api.get(path)).headers["etag"]  # of a compressed answer
    assert (await sqlite_api.delete(path, headers={"If-Match": new})).status_code == 200


async def test_large_answers_are_compressed_for_those_who_take_it(sqlite_api: Api):
    for n in range(5):
        await sqlite_api.made("/v1/agents", {"name": f"a{n}"})
    packed = await sqlite_api.get("/v1/agents", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) < len(packed.content)
    for accepted in ("identity", "gzip;q=0"):
        plain = await sqlite_api.get("/v1/agents", headers={"Accept-Encoding": accepted})
        assert "content-encoding" not in plain.headers
        assert plain.json() == packed.json()
    assert gzip.decompress(gzip.compress(plain.content)) == packed.content


async def test_nothing_is_kept_by_caches(sqlite_api: Api):
    for path in ("/v1/agents", "/v1/webhook-secret", "/v1/calls", "/v1/no"):
        assert (await sqlite_api.get(path)).headers["cache-control"] == "no-store", path
    assert (await sqlite_api.get("/v1/voices")).headers["cache-control"] == "private, no-cache"


async def test_a_header_that_chorus_sets_itself(sqlite_api: Api):
    for name in ("Accept-Encoding", "Expect", "TE", "Upgrade", "Trailer", "Proxy-Authorization"):
        config = {**TOOL["config"], "headers": [{"key": name, "value": "x"}]}  # type: ignore[dict-item]  a dict
        answer = await sqlite_api.post("/v1/tools", json={**TOOL, "config": config})
        assert answer.status_code == 400, name
