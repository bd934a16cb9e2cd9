"""What the API is measured beside: `python -m bench.api_peers PORT [DATABASE_URL]`.

Without a database: a FastAPI route that answers at once, the most that this stack can do. With
Chorus's database: agents read and made by hand-written SQL through SQLAlchemy Core, the same
queries as the API's, in one function each: no audit log, no validation but the framework's, no
limits, a key that is compared with a constant.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import Any, cast

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response
from orjson import dumps, loads
from pydantic.alias_generators import to_camel

from chorus.accounts.tables import AuditEntry, Organization
from chorus.agents.schemas import AgentCreate
from chorus.agents.tables import Agent, AgentTool
from chorus.db import Database, utcnow
from chorus.settings import Settings

KEY = b"Bearer sk_live_" + b"b" * 32
_agents = cast("sa.Table", Agent.__table__)
_tools = cast("sa.Table", AgentTool.__table__)
_audit = cast("sa.Table", AuditEntry.__table__)
_NAMES = {column.name: to_camel(column.name) for column in _agents.columns}


def bare() -> FastAPI:
    app = FastAPI()

    @app.get("/v1/agents/{id}")
    async def get(id: str) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]  a route
        return {"id": id}

    @app.get("/v1/agents")
    async def page() -> dict[str, list[str]]:  # pyright: ignore[reportUnusedFunction]  a route
        return {"data": []}

    @app.post("/v1/agents", status_code=201)
    async def make(body: dict[str, Any]) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]  a route
        return body

    return app


def by_hand(database: Database, organization_id: uuid.UUID) -> FastAPI:
    app = FastAPI()
    mine = _agents.c.organization_id == organization_id

    def shown(row: Any, tools: list[uuid.UUID]) -> dict[str, Any]:
        found = {_NAMES[name]: value for name, value in row.items() if name in _NAMES}
        found["hasPostCallWebhookSecret"] = found.pop("postCallWebhookSecret") is not None
        found["toolIds"] = tools
        return found

    async def tools_of(connection: Any, ids: list[uuid.UUID]) -> dict[uuid.UUID, list[uuid.UUID]]:
        found: dict[uuid.UUID, list[uuid.UUID]] = {}
        query = sa.select(_tools.c.agent_id, _tools.c.tool_id).where(_tools.c.agent_id.in_(ids))
        for agent_id, tool_id in await connection.execute(query):
            found.setdefault(agent_id, []).append(tool_id)
        return found

    def known(request: Request) -> bool:
        return request.headers["authorization"].encode() == KEY

    def answer(value: Any, status: int = 200) -> Response:
        return Response(dumps(value), status, media_type="application/json")

    @app.get("/v1/agents/{id}")
    async def get(request: Request, id: uuid.UUID) -> Response:  # pyright: ignore[reportUnusedFunction]  a route
        if not known(request):
            return answer({}, 401)
        async with database.engine.connect() as connection:
            found = await connection.execute(sa.select(_agents).where(mine, _agents.c.id == id))
            row = found.mappings().one_or_none()
            if row is None:
                return answer({}, 404)
            tools = await tools_of(connection, [id])
        return answer({"data": shown(row, tools.get(id, []))})

    @app.get("/v1/agents")
    async def page(request: Request, limit: int = 50, offset: int = 0) -> Response:  # pyright: ignore[reportUnusedFunction]  a route
        if not known(request):
            return answer({}, 401)
        total = sa.select(sa.func.count()).select_from(_agents).where(mine).scalar_subquery()
        newest = (
            sa.select(_agents, total.label("total"))
            .where(mine)
            .order_by(_agents.c.created_at.desc(), _agents.c.id.desc())
            .limit(limit)
            .offset(offset)
        )
        async with database.engine.connect() as connection:
            rows = (await connection.execute(newest)).mappings().all()
            tools = await tools_of(connection, [row["id"] for row in rows])
        pagination = {"total": rows[0]["total"], "limit": limit, "offset": offset}
        data = [shown(row, tools.get(row["id"], [])) for row in rows]
        return answer({"data": data, "pagination": pagination})

    @app.post("/v1/agents")
    async def make(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]  a route
        if not known(request):
            return answer({}, 401)
        wish = AgentCreate.model_validate(loads(await request.body()))
        values = {n: v for n, v in wish.model_dump().items() if n in _agents.c}
        now = utcnow()
        row = {
            **values,
            "id": uuid.uuid4(),
            "organization_id": organization_id,
            "created_at": now,
            "updated_at": now,
        }
        entry = {
            "organization_id": organization_id,
            "actor": "key",
            "actor_name": "bench",
            "action": "createAgent",
            "resource": "agents",
            "resource_id": row["id"],
            "fields": list(wish.model_fields_set),
        }
        async with database._turn():  # pyright: ignore[reportPrivateUsage]  SQLite's one writer
            options = {"chorus_writes": True}
            engine = database.engine.execution_options(**options)
            async with engine.begin() as connection:
                await connection.execute(sa.insert(_agents).values(row))
                await connection.execute(sa.insert(_audit).values(entry))
        return answer({"data": shown(row, [])}, 201)

    return app


async def _organization(database: Database) -> uuid.UUID:
    async with database.reading() as session:
        found = await session.scalar(sa.select(Organization.id))
    await database.engine.dispose()
    assert found is not None
    return found


def main(port: str, database_url: str | None = None) -> None:
    if database_url is None:
        app = bare()
    else:
        database = Database(Settings.read({"CHORUS_DATABASE_URL": database_url}))
        app = by_hand(database, asyncio.run(_organization(database)))
    uvicorn.run(
        app,
        port=int(port),
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
