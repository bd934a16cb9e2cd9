"""Known secrets, put in everywhere; then every response, the log and the database are searched."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.accounts.people import browser, filled, log_in, member, prepared, routes, stranger
from tests.conftest import settings_for
from tests.fakes.api import KEY, Api, running

from chorus import logs

MARK = "hush-a1b2"


def secret(what: str) -> str:
    return f"{MARK}-{what}-0123456789"


async def put_in_everything(api: Api) -> tuple[dict[str, str], list[str]]:
    """Ids by resource, and the secrets that the server made and showed once."""
    shown_once: list[str] = []
    hook = {"postCallWebhookUrl": "https://a.example", "postCallWebhookSecret": secret("webhook")}
    agent = await api.made("/v1/agents", {"name": "a", **hook})
    header = {"key": "Authorization", "value": f"Bearer {secret('header')}"}
    config = {"url": "https://a.example", "headers": [header]}
    tool = await api.made("/v1/tools", {"name": "t", "description": "d", "config": config})
    ids = {"agents": agent["id"], "tools": tool["id"]}
    numbers: list[dict[str, Any]] = [
        {"twilioAccountSid": "AC1", "twilioAuthToken": secret("twilio")},
        {
            "provider": "sip",
            "sipUsername": "u",
            "sipPassword": secret("sip"),
            "sipProxy": "pbx.example",
        },
        {
            "provider": "jambonz",
            "jambonzAccountSid": "j",
            "jambonzApiKey": secret("jambonz"),
            "jambonzBaseUrl": "https://j.example",
            "jambonzWebhookSecret": secret("jambonz-hook"),
        },
        {
            "provider": "voximplant",
            "voximplantAccountId": "1",
            "voximplantApiKey": secret("voximplant"),
            "voximplantRuleId": "2",
            "voximplantScenarioSecret": secret("voximplant-scenario"),
        },
        {
            "provider": "telnyx",
            "telnyxApiKey": secret("telnyx"),
            "telnyxConnectionId": "3",
            "telnyxPublicKey": "k",
        },
    ]
    for place, number in enumerate(numbers):
        body = {"number": f"+1415555123{place}", **number}
        ids["phone-numbers"] = (await api.made("/v1/phone-numbers", body))["id"]
    key = await api.made("/v1/api-keys", {"name": "k"})
    endpoint = await api.made("/v1/webhook-endpoints", {"url": "https://a.example"})
    person = {"email": "p@example.com", "role": "owner", "password": secret("password")}
    invited = await api.made("/v1/members", {"email": "i@example.com", "role": "viewer"})
    added = await api.made("/v1/members", {**person, "role": "admin"})
    ids |= {"api-keys": key["id"], "webhook-endpoints": endpoint["id"], "members": added["id"]}
    shown_once += [key["key"], endpoint["secret"], invited["invitationToken"]]
    return ids, shown_once


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_secret_comes_out_again(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    settings = settings_for(tmp_path, log_format=form, log_level="debug")
    async with running(settings) as api:
        logs.configure(settings)
        prepared(api)
        ids, shown_once = await put_in_everything(api)
        texts: list[str] = []
        person = await member(api.process, await api.organization_id(), "owner")
        logged_in = await browser(api, person)
        token = next(iter(logged_in.cookies.jar)).value or ""
        for client in (api.client, logged_in):
            for method, path, _ in routes(api):
                # Its look is the secret itself, which is what it is for.
                if method != "GET" or path == "/v1/webhook-secret":
                    continue
                id = ids.get(path.split("/")[2], uuid.uuid4())
                texts.append((await client.get(filled(path, id))).text)
        texts += await errors(api, ids)
        texts += [str(dict(api.process.__dict__))]
        logging.getLogger().handlers[0].flush()
    written = capsys.readouterr()
    everything = "\n".join([*texts, written.err, written.out])
    assert "request" in written.err
    assert MARK not in everything
    for made in (*shown_once, token, KEY):
        assert made not in everything
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("chorus.db*"))
    assert b"pbx.example" in stored
    assert MARK.encode() not in stored
    for made in (*shown_once, token, KEY):
        assert made.encode() not in stored


async def errors(api: Api, ids: dict[str, str]) -> list[str]:
    """What is said of requests with secrets in them that are refused, or fail inside."""
    client = stranger(api)
    answers = [
        await log_in(client, "p@example.com", secret("password") + "x"),
        await client.post("/v1/sessions", json={"email": "p", "password": secret("password")}),
        await client.post("/v1/sessions", json={"password": [secret("password")]}),
        await client.post(
            "/v1/invitations", json={"token": secret("invitation"), "password": secret("password")}
        ),
        await client.get("/v1/agents", headers={"Authorization": f"Bearer {secret('key')}"}),
        await api.post(
            "/v1/members", json={"email": "x", "role": "viewer", "password": secret("p") * 20}
        ),
        await api.patch(
            f"/v1/phone-numbers/{ids['phone-numbers']}", json={"sipPassword": secret("sip")}
        ),
        await api.post("/v1/phone-numbers", json={"twilioAuthToken": secret("twilio")}),
        await api.patch(
            f"/v1/agents/{ids['agents']}", json={"postCallWebhookSecret": secret("w") * 40}
        ),
        await api.post("/v1/tools", json={"config": {"headers": [secret("header")]}}),
        await api.post(
            "/v1/agents",
            content=b'{"postCallWebhookSecret": "' + secret("broken").encode() + b'", ',
            headers={"content-type": "application/json"},
        ),
    ]
    with pytest.MonkeyPatch.context() as patch:

        async def broken(*values: object) -> None:
            raise RuntimeError("inside")

        patch.setattr("chorus.agents.edit._give_tools", broken)
        body = {"name": "a", "postCallWebhookSecret": secret("failing")}
        answers.append(await api.post("/v1/agents", json=body))
        patch.setattr("chorus.agents.edit.checked", broken)
        answers.append(await api.post("/v1/agents", json=body))
    assert {answer.status_code for answer in answers} == {400, 401, 404, 500}
    return [answer.text for answer in answers]


async def test_a_failing_statement_is_logged_without_its_values(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """SQLAlchemy puts the parameters of a statement that fails into its message."""
    async with running(settings_for(tmp_path)) as api:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("chorus.accounts.keys.new_key", lambda: "sk_live_" + "z" * 32)
            for _ in range(2):
                last = await api.post("/v1/api-keys", json={"name": secret("name")})
        assert last.status_code == 500
    assert "UNIQUE constraint failed" in caplog.text
    assert MARK not in caplog.text
