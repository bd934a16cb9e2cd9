"""A new key for what is encrypted: everything, once, whatever happens meanwhile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.accounts import rotate as rotation
from chorus.accounts.encrypted import Encrypted, columns
from chorus.accounts.rotate import rotate
from chorus.accounts.secrets import Secrets
from chorus.agents.tables import Agent
from chorus.db import scoped
from chorus.migrations.schema import metadata
from chorus.tools.tables import Tool

OLD, NEW = "a key for the tests that is long enough", "n" * 40
DOCS = Path(__file__).parents[2] / "docs" / "accounts.md"
# Names that sound secret, and are hashes of random tokens, of passwords, or no secrets at all.
NOT_ENCRYPTED = {
    "api_keys.hash",
    "calls.token_hash",
    "identities.password_hash",
    "members.invitation_hash",
    "publishable_calls.address_hash",
    "publishable_tokens.token",  # stands in pages for everybody to read
    "sessions.token_hash",
    "sso_flows.browser_hash",
    "sso_flows.state_hash",
    "idempotent_requests.key",
    "idempotent_requests.request_hash",
}


def names() -> set[str]:
    return {f"{column.table.name}.{column.name}" for column in columns(metadata)}


def test_every_column_that_sounds_secret_is_registered():
    sounds = re.compile(r"secret|credential|password|token|hash|(^|\.)key$|api_key", re.I)
    found = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if sounds.search(column.name) and isinstance(column.type, sa.String | Encrypted)
    }
    assert found - names() <= NOT_ENCRYPTED


def test_every_column_that_is_documented_is_registered():
    listed = set(re.findall(r"^- `(\w+\.\w+)`: ", DOCS.read_text(), re.M))
    assert listed == names()


async def made(api: Api, count: int) -> None:
    for n in range(count):
        await api.made("/v1/agents", {"name": f"a{n}", "postCallWebhookSecret": f"hook secret {n}"})
        tool = {"url": "https://a.example", "headers": [{"key": "X-Key", "value": f"header {n}"}]}
        await api.made("/v1/tools", {"name": f"t{n}", "description": "d", "config": tool})
    await api.post(
        "/v1/phone-numbers",
        json={"number": "+14155551234", "twilioAccountSid": "AC", "twilioAuthToken": "token"},
        headers={"Idempotency-Key": "with a composite key"},
    )


def counts(found: list[rotation.Count]) -> dict[str, tuple[int, int, int]]:
    return {
        c.column: (c.renewed, c.newest_already, len(c.unreadable))
        for c in found
        if c.renewed or c.newest_already or c.unreadable
    }


async def test_everything_once_and_again_nothing(api: Api):
    await made(api, 5)
    database, both = api.process.database, Secrets((NEW, OLD))
    async with database.reading() as session:
        before = (await session.scalars(sa.select(Agent.updated_at))).all()
    assert counts(await rotate(database, both, metadata, batch=2)) == {
        "agents.post_call_webhook_secret": (5, 0, 0),
        "tools.headers": (5, 0, 0),
        "phone_numbers.credentials": (1, 0, 0),
        "idempotent_requests.body": (1, 0, 0),
        "seals.sentence": (1, 0, 0),
    }
    again = counts(await rotate(database, both, metadata, batch=2))
    assert {(renewed, lost) for renewed, _, lost in again.values()} == {(0, 0)}
    newest = Secrets((NEW,))
    async with database.reading() as session:
        agents = (await session.scalars(sa.select(Agent).order_by(Agent.name))).all()
        tools = (await session.scalars(sa.select(Tool).order_by(Tool.name))).all()
    assert [newest.decrypt(a.post_call_webhook_secret or "") for a in agents] == [
        f"hook secret {n}" for n in range(5)
    ]
    assert newest.decrypt(tools[3].headers or "")[0]["value"] == "header 3"
    # Nobody changed an agent.
    assert sorted(agent.updated_at for agent in agents) == sorted(before)


async def test_one_that_was_stopped_goes_on(api: Api, monkeypatch: pytest.MonkeyPatch):
    await made(api, 5)
    both, renewals = Secrets((NEW, OLD)), 0

    class Stopped(Exception):
        pass

    really = Secrets.renew

    def stopping(self: Secrets, stored: str) -> str:
        nonlocal renewals
        renewals += 1
        if renewals > 3:
            raise Stopped
        return really(self, stored)

    with monkeypatch.context() as patch:
        patch.setattr(Secrets, "renew", stopping)
        with pytest.raises(Stopped):
            await rotate(api.process.database, both, metadata, batch=2)
    after = counts(await rotate(api.process.database, both, metadata, batch=2))
    renewed = sum(value[0] for value in after.values())
    already = sum(value[1] for value in after.values())
    # The transaction that was stopped is undone, those before it are not.
    assert (renewed, already) == (10, 3)


async def test_what_no_key_reads_is_named_and_left(api: Api):
    await made(api, 2)
    database, organization_id = api.process.database, await api.organization_id()
    foreign = Secrets(("x" * 40,)).encrypt("lost")
    async with database.writing() as session:
        agent = (await session.scalars(scoped(Agent, organization_id).limit(1))).one()
        agent.post_call_webhook_secret = foreign
    [count, *_] = [
        c
        for c in await rotate(database, Secrets((NEW, OLD)), metadata)
        if c.column == "agents.post_call_webhook_secret"
    ]
    assert (count.renewed, count.unreadable) == (1, [str(agent.id)])
    async with database.reading() as session:
        left = await session.scalar(
            sa.select(Agent.post_call_webhook_secret).where(Agent.id == agent.id)
        )
    assert left == foreign


async def test_what_changes_meanwhile_is_not_overwritten(api: Api):
    await made(api, 1)
    database, both = api.process.database, Secrets((NEW, OLD))
    newer = both.encrypt("newer")
    async with database.writing() as session:
        row: Any = (
            await session.execute(sa.select(Agent.id, Agent.post_call_webhook_secret))
        ).one()
        await session.execute(sa.update(Agent).values(post_call_webhook_secret=newer))
        count = rotation.Count("c")
        column = metadata.tables["agents"].c.post_call_webhook_secret
        await rotation._renew(session, both, column, (row.id,), row[1], count)
        assert count.renewed == 0
    async with database.reading() as session:
        assert await session.scalar(sa.select(Agent.post_call_webhook_secret)) == newer


async def test_nothing_is_stored_in_clear_by_mistake(sqlite_api: Api):
    await made(sqlite_api, 1)
    with pytest.raises(sa.exc.StatementError, match="must be encrypted"):
        async with sqlite_api.process.database.writing() as session:
            await session.execute(sa.update(Agent).values(post_call_webhook_secret="in clear"))


def test_a_new_column_registers_itself():
    other = sa.MetaData()
    sa.Table("t", other, sa.Column("id", sa.Uuid, primary_key=True), sa.Column("s", Encrypted))
    assert [column.name for column in columns(other)] == ["s"]
