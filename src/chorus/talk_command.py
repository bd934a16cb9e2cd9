"""`chorus talk AGENT`: write to an agent in the terminal, and see its answers, tools and timings.

It answers as in a call and by the same code, in this process and on the database of the settings;
a server may run beside it. Nothing of it is kept. What is not a terminal may write to it too: one
line is one turn, and its end ends the conversation.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from contextlib import aclosing
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.command import Refused, organization
from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.agents.snapshot import Snapshot, snapshot
from chorus.agents.tables import Agent
from chorus.catalogue.catalogue import Catalogue
from chorus.catalogue.catalogues import Catalogues
from chorus.catalogue.engines import EngineRoom, NoEngine
from chorus.db import Database, scoped
from chorus.durable.durable import Durable
from chorus.knowledge.library import Library, OpenBases
from chorus.llm.model import Message
from chorus.outbound import Outbound
from chorus.settings import Settings
from chorus.speech.engines import EngineFailed
from chorus.talk.chat import Chat

_RESULT_CHARS = 300


def talk(settings: Settings, options: argparse.Namespace) -> int:
    try:
        variables = dict(_variable(given) for given in options.var)
        return asyncio.run(_talk(settings, options.agent, options.organization, variables))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 2
    except (NoEngine, EngineFailed, SecretsUnreadable) as failure:
        print(failure, file=sys.stderr)
    except (SQLAlchemyError, OSError) as failure:
        print(f"The database cannot be used: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        print()
        return 0
    return 1


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise Refused(f"--var must be NAME=VALUE, not {given!r}")
    return name, value


async def _talk(
    settings: Settings, name: str, organization_id: str | None, variables: dict[str, str]
) -> int:
    database = Database(settings)
    secrets = Secrets.of(settings)
    catalogues = Catalogues(settings, database, lambda: secrets, Catalogue.of(settings))
    engines = EngineRoom(settings, catalogues.base)
    outbound = Outbound(allow_private=settings.allow_private_addresses)
    library = Library(
        settings, database, outbound, Durable(settings), lambda: engines.threads, catalogues.keys
    )
    try:
        taken, knowledge = await _agent(
            database, secrets, catalogues, library, name, organization_id
        )
        models = engines.thinking(taken.choice)
        await outbound.open()
        print(f"{taken.spec.name}, {models.engines[0].name}. An empty line or Ctrl-D ends it.")
        await _converse(Chat(taken.spec, models, outbound, variables, knowledge))
    finally:
        await library.aclose()
        await outbound.aclose()
        await engines.aclose()
        await database.close()
    return 0


async def _agent(
    database: Database,
    secrets: Secrets,
    catalogues: Catalogues,
    library: Library,
    name: str,
    organization_id: str | None,
) -> tuple[Snapshot, OpenBases | None]:
    """The agent of that id or name, and what it may look into. Raises `Refused`."""
    async with database.reading() as session:
        owner = await organization(session, organization_id)
        try:
            ids = [uuid.UUID(name)]
        except ValueError:
            found = await session.scalars(
                scoped(Agent, owner).where(Agent.name == name).with_only_columns(Agent.id)
            )
            ids = list(found.all())
        if len(ids) > 1:
            each = ", ".join(map(str, ids))
            raise Refused(f"There are {len(ids)} agents of that name: {each}")
        taken = None
        if ids:
            catalogue = await catalogues.of(session, owner)
            taken = await snapshot(session, owner, ids[0], secrets, catalogue)
        if taken is None:
            names = await session.scalars(
                sa.select(Agent.name).where(Agent.organization_id == owner).order_by(Agent.name)
            )
            known = ", ".join(names.all()[:20]) or "none yet"
            raise Refused(f"There is no agent {name!r}. Agents: {known}.")
        spec = taken.spec
        knowledge = await library.open(
            session, owner, spec.knowledge_base_ids, spec.knowledge_instructions
        )
        return taken, knowledge


async def _converse(chat: Chat) -> None:
    messages: tuple[Message, ...] = ()
    while True:
        messages, over = await _answer(chat, messages)
        if over:
            print("(the agent hangs up)")
            return
        print("you: ", end="", flush=True)
        text = await asyncio.to_thread(sys.stdin.readline)
        if not sys.stdin.isatty():
            print(text.rstrip("\n"))
        if not text.strip():
            return
        messages = (*messages, Message("user", text.strip()))


async def _answer(chat: Chat, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], bool]:
    """Print one answer as it comes; the history with it, and whether the call is over."""
    told: tuple[Message, ...] = ()
    over = speaking = False
    async with aclosing(chat.answer(messages)) as events:
        async for event in events:
            data = event.data
            if event.kind == "text":
                print(data["delta"] if speaking else f"agent: {data['delta']}", end="", flush=True)
                speaking = True
                continue
            if speaking:
                print()
                speaking = False
            if event.kind == "done":
                told, over = chat.last, data["endsCall"]
                if data["model"]:
                    print(_timing(data))
            else:
                print(_line(event.kind, data))
    return (*messages, *told), over


def _timing(data: dict[str, Any]) -> str:
    first = data["firstTextMs"]
    begun = f"first words after {first} ms, " if first is not None else ""
    tokens = f", {data['inputTokens']} + {data['outputTokens']} tokens"
    return f"  ({begun}{data['totalMs']} ms in all{tokens if data['inputTokens'] else ''})"


def _line(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "tool_call":
            return f"  tool {data['name']} {data['arguments']}"
        case "tool_result":
            result = data["result"]
            if len(result) > _RESULT_CHARS:
                result = f"{result[:_RESULT_CHARS]}…"
            status = f"HTTP {data['status']}, " if data["status"] else ""
            return f"  -> {status}{data['elapsedMs']} ms: {result}"
        case "knowledge":
            where = "; ".join(passage["document"] for passage in data["passages"]) or "nothing"
            return f"  found in {data['elapsedMs']} ms: {where}"
        case "variables":
            return f"  (no value for {', '.join(data['missing'])}; see --var)"
        case "replaced":
            return f"  ({data['model']} failed: {data['detail']})"
        case _:
            return f"  (failed: {data['detail']}; a caller hears: {data['spoken']})"
