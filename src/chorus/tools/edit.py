"""Making, changing and deleting tools."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, in_use
from chorus.accounts.secrets import Secrets
from chorus.tools import queries
from chorus.tools.schemas import MASK, HttpConfig, ToolCreate, ToolHeader
from chorus.tools.tables import Tool


async def create(
    session: AsyncSession, organization_id: uuid.UUID, wish: ToolCreate, secrets: Secrets
) -> Tool:
    tool = Tool(
        organization_id=organization_id,
        name=wish.name,
        description=wish.description,
        type=wish.type,
        config={},
    )
    _configure(tool, wish.config, set(HttpConfig.model_fields), secrets)
    session.add(tool)
    await session.flush()
    return tool


async def change(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    changes: dict[str, Any],
    secrets: Secrets,
) -> Tool:
    tool = await queries.one(session, organization_id, id, lock=True)
    config = changes.pop("config", None)
    if config is not None:
        _configure(tool, config, config.model_fields_set, secrets)
    for name, value in changes.items():
        setattr(tool, name, value)
    await session.flush()
    return tool


async def delete(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    """Raises `Error` 409 while an agent uses the tool."""
    tool = await queries.one(session, organization_id, id, lock=True)
    await in_use.refuse(session, tool, "tool")
    await session.delete(tool)
    await session.flush()


def _configure(tool: Tool, config: HttpConfig, sent: set[str], secrets: Secrets) -> None:
    """Lay what was sent over what is stored."""
    if "headers" in sent:
        headers = _unmasked(config.headers, queries.headers_of(tool, secrets))
        tool.headers = secrets.encrypt(headers) if headers else None
    plain = config.model_dump(mode="json", by_alias=True, include=sent - {"headers"})
    tool.config = {**tool.config, **plain}


def _unmasked(sent: Sequence[ToolHeader], stored: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """`sent`, with the stored values in the place of masks. Headers of one name are told apart by
    their order."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for header in stored:
        values[header["key"].lower()].append(header["value"])
    found: list[dict[str, str]] = []
    for place, header in enumerate(sent):
        of_this_name = values[header.key.lower()]
        value = header.value
        kept = of_this_name.pop(0) if of_this_name else None
        if value == MASK:
            if kept is None:
                raise errors.invalid_field(
                    f"config.headers.{place}.value", "Value is masked, and no value is stored"
                )
            value = kept
        found.append({"key": header.key, "value": value})
    return found
