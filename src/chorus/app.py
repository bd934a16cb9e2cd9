"""The application: its list of routers is the table of contents.

`create_app` opens nothing. While the server runs, `_life` holds what its calls and its chores
need, and it closes everything when the server stops. The database must have been prepared
(`prepare.py`).
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import WebSocketRoute

import chorus
from chorus import chores, dashboard, errors, ready
from chorus.accounts.audit_export import export_routes as audit_export
from chorus.accounts.member_routes import new_members
from chorus.accounts.member_routes import routes as members
from chorus.accounts.routes import routes as accounts
from chorus.accounts.session_routes import own_sessions, public_sessions
from chorus.accounts.session_routes import routes as sessions
from chorus.accounts.sso import routes as sso
from chorus.accounts.view_routes import view_routes
from chorus.addresses import is_public
from chorus.agents.routes import routes as agents
from chorus.agents.version_routes import routes as agent_versions
from chorus.billing.routes import routes as billing
from chorus.calls.after import AFTER_CALL
from chorus.calls.case_routes import routes as test_cases
from chorus.calls.chat_routes import chat_routes
from chorus.calls.check_routes import check_routes
from chorus.calls.control_routes import control_routes
from chorus.calls.desk import CallDesk
from chorus.calls.export_routes import export_routes
from chorus.calls.live_routes import live_routes
from chorus.calls.lost import END_LEG
from chorus.calls.lost_release import DECIDE
from chorus.calls.number_check import routes as number_checks
from chorus.calls.ongoing_routes import ongoing_routes
from chorus.calls.publishable_routes import page_routes
from chorus.calls.publishable_routes import routes as publishable
from chorus.calls.recover import end_own_calls, let_go
from chorus.calls.released import ASK_OVER, COUNT_RELEASED, OVER_THERE
from chorus.calls.routes import one_call_routes, outbound_routes
from chorus.calls.routes import routes as calls
from chorus.calls.stats_routes import stats_routes
from chorus.calls.supervise import route as supervise_route
from chorus.calls.supervise_routes import supervise_routes
from chorus.calls.switchboard import Switchboard
from chorus.calls.tool_history import routes as tool_history
from chorus.calls.transfer_routes import transfer_routes
from chorus.catalogue.routes import routes as catalogue
from chorus.chores import Running
from chorus.cors import Cors
from chorus.durable.heartbeat import media_urls
from chorus.durable.work import Periodic
from chorus.gate import Gate, address_of
from chorus.knowledge.document_routes import document_routes, upload_routes
from chorus.knowledge.history_routes import history_routes
from chorus.knowledge.ingest import INGEST, REFRESH
from chorus.knowledge.routes import routes as knowledge
from chorus.knowledge.routes import search_routes
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
from chorus.telemetry import routes as telemetry
from chorus.tools.routes import routes as tools
from chorus.tools.routes import test_routes as tool_tests
from chorus.webhooks.routes import routes as webhooks

log = logging.getLogger(__name__)

ROUTERS = (
    ("/v1", agents),
    ("/v1", agent_versions),
    ("/v1", numbers),
    ("/v1", tools),
    ("/v1", tool_tests),
    ("/v1", knowledge),
    ("/v1", search_routes),
    ("/v1", document_routes),
    ("/v1", upload_routes),
    ("/v1", history_routes),
    ("/v1", calls),
    ("/v1", publishable),
    ("/v1", page_routes),
    ("/v1", export_routes),
    ("/v1", audit_export),
    ("/v1", ongoing_routes),
    ("/v1", one_call_routes),
    ("/v1", chat_routes),
    ("/v1", check_routes),
    ("/v1", control_routes),
    ("/v1", live_routes),
    ("/v1", transfer_routes),
    ("/v1", supervise_routes),
    ("/v1", stats_routes),
    ("/v1", recordings),
    ("/v1", catalogue),
    ("/v1", providers),
    ("/v1", provider_tests),
    ("/v1", number_checks),
    ("/v1", tool_history),
    ("/v1", test_cases),
    ("/v1", accounts),
    ("/v1", members),
    ("/v1", new_members),
    ("/v1", sessions),
    ("/v1", public_sessions),
    ("/v1", own_sessions),
    ("/v1", sso.routes),
    ("/v1", sso.asking_routes),
    ("/v1", sso.public_routes),
    ("/v1", view_routes),
    ("/v1", webhooks),
    ("/v1", billing),
    ("/api", outbound_routes),
)

# What is done whatever happens to this process, and what is done by the calendar.
WORKFLOWS = (AFTER_CALL, ASK_OVER, COUNT_RELEASED, DECIDE, END_LEG, INGEST, OVER_THERE)
PERIODIC: tuple[Periodic, ...] = (RETENTION, REFRESH)


def create_app(settings: Settings) -> FastAPI:
    process = Process.of(settings)
    switchboard = Switchboard(settings, process.database, process.catalogues)
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
    _add_carriers(app, switchboard)
    if "api" in settings.roles:
        _add_api(app, settings)
    _add_health(app, switchboard, archive)
    telemetry.add_routes(app, settings, switchboard.telemetry)
    errors.install(app)
    # The last added is the outermost.
    app.add_middleware(Gate, process=process)
    if settings.cors_origins:
        app.add_middleware(Cors, process=process, origins=settings.cors_origins)
    return app


@functools.cache
def _api() -> APIRouter:
    """Of all applications of a process: with the first request FastAPI builds every route, which
    takes 100 to 200 ms."""
    api = APIRouter(redirect_slashes=False)
    for prefix, routes in ROUTERS:
        api.include_router(routes, prefix=prefix)
    # For clients whose base URL ends in /v1, as the examples of the API have it.
    api.include_router(outbound_routes, prefix="/v1/api", include_in_schema=False)
    api.include_router(recording_links)
    return api


def _add_api(app: FastAPI, settings: Settings) -> None:
    app.router.routes.extend(_api().routes)
    served.add_routes(app, settings.url)
    process: Process = app.state.process
    dashboard.add_routes(app, settings, lambda: media_urls(process.database))


def _add_carriers(app: FastAPI, switchboard: Switchboard) -> None:
    """Their sockets where calls are held, their webhooks there and where the API is."""
    roles = switchboard.settings.roles
    for name, carrier in switchboard.carriers.items():
        for route in carrier.routes(CallDesk(switchboard, name)):
            is_socket = isinstance(route, WebSocketRoute)
            if "media" in roles or ("api" in roles and not is_socket):
                app.router.routes.append(route)
    if "media" in roles:
        app.router.routes.append(supervise_route(switchboard))


def _life(
    process: Process, switchboard: Switchboard, archive: Archive
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncGenerator[None, None]:
        try:
            await switchboard.start()
            async with switchboard.heartbeat.beating():
                await end_own_calls(switchboard)
                if "media" in process.settings.roles:
                    for carrier_name, carrier in switchboard.carriers.items():
                        await carrier.start(CallDesk(switchboard, carrier_name))
                    if not process.settings.is_sqlite:  # else there is no other process
                        await switchboard.relay.listen(app)
                if "work" in process.settings.roles:
                    name = switchboard.heartbeat.name
                    await switchboard.durable.launch(name, switchboard, WORKFLOWS, PERIODIC)
                if switchboard.has_siblings:
                    await switchboard.loaded()
            async with asyncio.TaskGroup() as tasks:
                started = chores.start(Running(process, switchboard, archive), tasks)
                yield
                for chore in started:
                    chore.cancel()
            await let_go(switchboard)
            await switchboard.heartbeat.stop()
        finally:
            await archive.aclose()
            await switchboard.close()
            await process.close()

    return life


def _add_health(app: FastAPI, switchboard: Switchboard, archive: Archive) -> None:
    @app.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz(request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]  a route
        if is_public(address_of(request.scope)):
            # Which version to attack, and how busy it is, is nobody's business on the internet.
            return JSONResponse({"status": "ok"})
        return JSONResponse(
            {
                "status": "ok",
                "version": chorus.__version__,
                "calls": len(switchboard.live),
                "tasks": len(asyncio.all_tasks()),
                "loopLagMs": round(switchboard.ticker.lag.p99_ms, 1),
            }
        )

    looks = ready.Looks(switchboard)

    @app.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    async def readyz() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]  a route
        """Whether this process can do its work, and what is missing if it cannot."""
        found = dict(await looks.parts())
        fine = all(state == "ok" for state in found.values())
        status = {"status": "ready" if fine else "unavailable"}
        if archive.tried:
            # No reason to take no calls: their recordings wait on this machine.
            found["storage"] = archive.trouble or "ok"
        if fine:
            return JSONResponse(status | found)
        return JSONResponse(status | found, 503, {"Retry-After": errors.RETRY_AFTER_S})
