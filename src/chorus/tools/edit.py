"""Making, changing and deleting tools."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, in_use
from chorus.accounts.secrets import Secrets
from chorus.tools import queries
from chorus.tools.schemas import MASK, HttpConfig, ToolCreate
from chorus.tools.tables import Tool


async def create(
    session: AsyncSession, organization_id: uuid.UUID, wish: ToolCreate, secrets: Secrets
) -> Tool:
    tool = Tool(
        organization_id=organization_id,
        name=wish.name,
        description=wish.description,
        type=wish.type,
    )
    _configure(tool, wish.config, secrets)
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
        _configure(tool, config, secrets)
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


def _configure(tool: Tool, config: HttpConfig, secrets: Secrets) -> None:
    stored = {
        header["key"].lower(): header["value"] for header in queries.headers_of(tool, secrets)
    }
    headers: list[dict[str, str]] = []
    for place, header in enumerate(config.headers):
        value = header.value
        if value == MASK:
            if header.key.lower() not in stored:
                raise errors.invalid_field(
                    f"config.headers.{place}.value", "Value is masked, and no value is stored"
                )
            value = stored[header.key.lower()]
        headers.append({"key": header.key, "value": value})
    tool.headers = secrets.encrypt(headers) if headers else None
    tool.config = config.model_dump(mode="json", by_alias=True, exclude={"headers"})
