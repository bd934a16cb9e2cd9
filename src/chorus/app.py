"""The application: its list of routers is the table of contents.

`create_app` opens nothing. While the server runs, `_life` holds what its calls and its chores
need, and it closes everything when the server stops. The database must have been prepared
(`prepare.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse

import chorus
from chorus import dashboard, errors, ready
from chorus.accounts import idempotency, throttle
from chorus.accounts.member_routes import new_members
from chorus.accounts.member_routes import routes as members
from chorus.accounts.routes import routes as accounts
from chorus.accounts.session_routes import own_sessions, public_sessions
from chorus.accounts.session_routes import routes as sessions
from chorus.agents.routes import routes as agents
from chorus.billing.routes import routes as billing
from chorus.billing.watch import Watch
from chorus.calls.after import AFTER_CALL
from chorus.calls.chat_routes import chat_routes
from chorus.calls.check_routes import check_routes
from chorus.calls.control_routes import control_routes
from chorus.calls.desk import CallDesk
from chorus.calls.dispatch import Dispatch
from chorus.calls.live import Commands
from chorus.calls.live import sweep as sweep_commands
from chorus.calls.live_routes import live_routes
from chorus.calls.recover import Keeper, end_own_calls, let_go
from chorus.calls.routes import one_call_routes, outbound_routes
from chorus.calls.routes import routes as calls
from chorus.calls.stats_routes import stats_routes
from chorus.calls.switchboard import Switchboard
from chorus.calls.transfer_routes import transfer_routes
from chorus.catalogue.routes import routes as catalogue
from chorus.cors import Cors
from chorus.durable.work import Periodic
from chorus.gate import Gate
from chorus.numbers.routes import routes as numbers
from chorus.openapi import served
from chorus.process import Process
from chorus.providers.routes import routes as providers
from chorus.providers.routes import test_routes as provider_tests
from chorus.recordings.archive import Archive
from chorus.recordings.retention import RETENTION
from chorus.recordings.routes import links as recording_links
from chorus.recordings.routes import routes as recordings
from chorus.settings import Settings
from chorus.tools.routes import routes as tools
from chorus.webhooks import queries as webhook_log
from chorus.webhooks.deliver import Deliveries
from chorus.webhooks.routes import routes as webhooks

log = logging.getLogger(__name__)

ROUTERS = (
    ("/v1", agents),
    ("/v1", numbers),
    ("/v1", tools),
    ("/v1", calls),
    ("/v1", one_call_routes),
    ("/v1", chat_routes),
    ("/v1", check_routes),
    ("/v1", control_routes),
    ("/v1", live_routes),
    ("/v1", transfer_routes),
    ("/v1", stats_routes),
    ("/v1", recordings),
    ("/v1", catalogue),
    ("/v1", providers),
    ("/v1", provider_tests),
    ("/v1", accounts),
    ("/v1", members),
    ("/v1", new_members),
    ("/v1", sessions),
    ("/v1", public_sessions),
    ("/v1", own_sessions),
    ("/v1", webhooks),
    ("/v1", billing),
    ("/api", outbound_routes),
)

# What is done whatever happens to this process, and what is done by the calendar.
WORKFLOWS = (AFTER_CALL,)
PERIODIC: tuple[Periodic, ...] = (RETENTION,)

_FLUSH_EVERY_S = 30
_SWEEP_EVERY_S = 3600


def create_app(settings: Settings) -> FastAPI:
    process = Process.of(settings)
    switchboard = Switchboard(settings, process.database, process.catalogue)
    archive = Archive(settings, process.database)
    app = FastAPI(
        title="Chorus",
        version=chorus.__version__,
        summary=chorus.__doc__,
        lifespan=_life(process, switchboard, archive),
        openapi_url=None,  # ours is 3.0
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.process = process
    app.state.switchboard = switchboard
    app.state.archive = archive
    for prefix, routes in ROUTERS:
        app.include_router(routes, prefix=prefix)
    # For clients whose base URL ends in /v1, as the examples of the API have it.
    app.include_router(outbound_routes, prefix="/v1/api", include_in_schema=False)
    for name, carrier in switchboard.carriers.items():
        app.router.routes.extend(carrier.routes(CallDesk(switchboard, name)))
    app.include_router(recording_links)
    served.add_routes(app, settings.url)
    dashboard.add_routes(app, settings)
    _add_health(app, process, switchboard)
    errors.install(app)
    # The last added is the outermost.
    app.add_middleware(Gate, process=process)
    if settings.cors_origins:
        app.add_middleware(Cors, process=process, origins=settings.cors_origins)
    return app


def _life(
    process: Process, switchboard: Switchboard, archive: Archive
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncGenerator[None, None]:
        try:
            await switchboard.start()
            await end_own_calls(switchboard)
            for carrier_name, carrier in switchboard.carriers.items():
                await carrier.start(CallDesk(switchboard, carrier_name))
            name = switchboard.heartbeat.name
            await switchboard.durable.launch(name, switchboard, WORKFLOWS, PERIODIC)
            async with asyncio.TaskGroup() as tasks:
                chores = [
                    tasks.create_task(_every(_FLUSH_EVERY_S, process.flush)),
                    tasks.create_task(_every(_SWEEP_EVERY_S, lambda: _sweep(process))),
                    tasks.create_task(switchboard.journals.run()),
                    tasks.create_task(switchboard.streams.run()),
                    tasks.create_task(Commands(switchboard).run()),
                    tasks.create_task(Dispatch(switchboard).run()),
                    tasks.create_task(Deliveries(switchboard, name).run()),
                    tasks.create_task(Keeper(switchboard).run()),
                    tasks.create_task(archive.run()),
                ]
                if process.settings.billing:
                    chores.append(tasks.create_task(Watch(switchboard).run()))
                yield
                for chore in chores:
                    chore.cancel()
            await let_go(switchboard)
            await switchboard.heartbeat.stop()
        finally:
            await archive.aclose()
            await switchboard.close()
            await process.close()

    return life


async def _every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Exception:
            # The database may be away for a while; the next round tries again.
            log.exception("a chore failed")


async def _sweep(process: Process) -> None:
    await idempotency.sweep(process.database)
    await sweep_commands(process.database)
    await process.sessions.sweep()
    await throttle.sweep(process.database, process.clock.utcnow())
    await webhook_log.sweep(process.database)
    await process.database.optimize()


def _add_health(app: FastAPI, process: Process, switchboard: Switchboard) -> None:
    @app.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]  a route
        return JSONResponse(
            {
                "status": "ok",
                "version": chorus.__version__,
                "calls": len(switchboard.live),
                "tasks": len(asyncio.all_tasks()),
                "loopLagMs": round(switchboard.ticker.lag.p99_ms, 1),
            }
        )

    @app.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    async def readyz() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]  a route
        """Whether this process can do its work, and what is missing if it cannot."""
        found = await ready.parts(switchboard)
        fine = all(state == "ok" for state in found.values())
        status = {"status": "ready" if fine else "unavailable"}
        return JSONResponse(status | found, 200 if fine else 503)
