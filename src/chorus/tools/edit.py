"""Making, changing and deleting tools."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, in_use
from chorus.accounts.secrets import Secrets
from chorus.tools import masks, queries
from chorus.tools.schemas import HttpConfig, ToolCreate
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
    tool = await queries.one(session, organization_id, id, lock="change")
    config = changes.pop("config", None)
    if config is not None:
        _configure(tool, config, config.model_fields_set, secrets)
    for name, value in changes.items():
        setattr(tool, name, value)
    await session.flush()
    return tool


async def delete(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    """Raises `Error` 409 while an agent uses the tool."""
    tool = await queries.one(session, organization_id, id, lock="delete")
    await in_use.refuse(session, tool, "tool")
    await session.delete(tool)
    await session.flush()


def _configure(tool: Tool, config: HttpConfig, sent: set[str], secrets: Secrets) -> None:
    """Lay what was sent over what is stored. Raises `Error` 400 for a mask that stands for nothing,
    and where secrets that are stored would go to another server."""
    stored = queries.headers_of(tool, secrets)
    before: str = tool.config.get("url", "")
    if "url" in sent:
        config.url = masks.unmasked_url(config.url, before)
        if before and not masks.is_same_server(config.url, before):
            _require_anew(config, sent, stored)
    if "headers" in sent:
        given = [header.model_dump() for header in config.headers]
        headers = masks.unmasked_headers(given, stored)
        tool.headers = secrets.encrypt(headers) if headers else None
    plain = config.model_dump(mode="json", by_alias=True, include=sent - {"headers"})
    tool.config = {**tool.config, **plain}


def _require_anew(config: HttpConfig, sent: set[str], stored: list[dict[str, Any]]) -> None:
    secret = any(header.get("secret", True) for header in stored)
    kept = "headers" not in sent or any(each.value == masks.MASK for each in config.headers)
    if secret and kept:
        raise errors.invalid_field(
            "config.headers",
            "Headers must be sent again with their values: the URL is of another server",
        )
