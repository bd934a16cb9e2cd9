"""Reading tools."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.db import listed, named_like, scoped
from chorus.errors import not_found
from chorus.talk.spec import HttpTool, HttpToolField
from chorus.tools.schemas import MASK, HttpConfig, ToolOut, is_secret
from chorus.tools.tables import Tool


async def page(
    session: AsyncSession,
    organization_id: uuid.UUID,
    *,
    limit: int,
    offset: int,
    search: str | None = None,
) -> tuple[list[Tool], int]:
    query = scoped(Tool, organization_id)
    if search:
        query = query.where(named_like(Tool.name, search))
    return await listed(session, query, Tool, limit, offset)


async def one(
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, *, lock: bool = False
) -> Tool:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(Tool, organization_id).where(Tool.id == id)
    tool = await session.scalar(query.with_for_update() if lock else query)
    if tool is None:
        raise not_found("Tool")
    return tool


async def missing(
    session: AsyncSession, organization_id: uuid.UUID, ids: Iterable[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of `ids` that the organization has no tool for."""
    wanted = set(ids)
    if not wanted:
        return wanted
    mine = scoped(Tool, organization_id).where(Tool.id.in_(wanted)).with_only_columns(Tool.id)
    return wanted - set((await session.scalars(mine)).all())


def headers_of(tool: Tool, secrets: Secrets) -> list[dict[str, str]]:
    return secrets.decrypt(tool.headers) if tool.headers else []


def present(tool: Tool, secrets: Secrets) -> ToolOut:
    """The tool as the API shows it."""
    headers = [
        {"key": header["key"], "value": MASK if is_secret(header["key"]) else header["value"]}
        for header in headers_of(tool, secrets)
    ]
    return ToolOut(
        id=tool.id,
        name=tool.name,
        description=tool.description,
        type=tool.type,
        config=HttpConfig.model_validate({**tool.config, "headers": headers}),
        created_at=tool.created_at,
        updated_at=tool.updated_at,
    )


async def http_tools(
    session: AsyncSession, organization_id: uuid.UUID, ids: list[uuid.UUID], secrets: Secrets
) -> tuple[HttpTool, ...]:
    """The tools of a call, in the order of `ids`, each under a name that language models take
    and that no other of them has. Holds secrets: for the call only."""
    rows = await session.scalars(scoped(Tool, organization_id).where(Tool.id.in_(ids)))
    by_id = {tool.id: tool for tool in rows}
    taken: set[str] = set()
    return tuple(_http_tool(by_id[id], taken, secrets) for id in ids if id in by_id)


def _http_tool(tool: Tool, taken: set[str], secrets: Secrets) -> HttpTool:
    config = HttpConfig.model_validate(tool.config)
    return HttpTool(
        name=_function_name(tool.name, taken),
        description=tool.description,
        url=config.url,
        method=config.method,
        timeout_ms=config.timeout,
        headers=tuple((h["key"], h["value"]) for h in headers_of(tool, secrets)),
        fields=tuple(
            HttpToolField(field.name, field.type, field.description, field.required)
            for field in config.body
        ),
    )


def _function_name(name: str, taken: set[str]) -> str:
    """Vendors allow 64 letters, digits, underscores and hyphens."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60] or "tool"
    found, count = plain, 1
    while found in taken:
        count += 1
        found = f"{plain}_{count}"
    taken.add(found)
    return found
