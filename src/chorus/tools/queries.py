"""Reading tools."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.accounts.secrets import Secrets
from chorus.db import named_like, scoped
from chorus.tools import masks
from chorus.tools.schemas import HttpConfig, ToolOut
from chorus.tools.tables import Tool
from chorus.wire import Found, SearchQuery


async def page(
    session: AsyncSession,
    organization_id: uuid.UUID,
    wanted: SearchQuery,
) -> tuple[list[Tool], Found]:
    query = scoped(Tool, organization_id)
    if search := wanted.wanted:
        query = query.where(named_like(Tool.name, search))
    return await lists.of(session, query, Tool, wanted)


async def one(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> Tool:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(Tool, organization_id).where(Tool.id == id)
    return await lists.one(session, query, "Tool", lock=lock)


def headers_of(tool: Tool, secrets: Secrets) -> list[dict[str, Any]]:
    return secrets.decrypt(tool.headers) if tool.headers else []


def hidden_headers(tool: Tool, secrets: Secrets) -> frozenset[str]:
    """Names, in small letters, of the headers whose values are secret. Of two headers of one name
    both are, if one is."""
    return frozenset(
        header["key"].lower() for header in headers_of(tool, secrets) if header.get("secret", True)
    )


def present(tool: Tool, secrets: Secrets) -> ToolOut:
    """The tool as the API shows it."""
    config = {
        **tool.config,
        "url": masks.masked_url(tool.config["url"]),
        "headers": masks.masked_headers(headers_of(tool, secrets)),
    }
    return ToolOut(
        id=tool.id,
        name=tool.name,
        description=tool.description,
        type=tool.type,
        config=HttpConfig.model_validate(config),
        created_at=tool.created_at,
        updated_at=tool.updated_at,
    )
