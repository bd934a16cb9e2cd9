"""What runs beside the requests for as long as a process does, by its roles: one table.

Each chore runs for ever and keeps itself alive: what goes wrong in a round is logged, and the next
round tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chorus.accounts import audit_export, idempotency, leases, throttle
from chorus.accounts.leases import GIVE_BACK_EVERY_S
from chorus.accounts.sso import flows
from chorus.billing.watch import Watch
from chorus.calls import latency_watch
from chorus.calls.dispatch import Dispatch
from chorus.calls.live import Commands
from chorus.calls.live import sweep as sweep_commands
from chorus.calls.recover import Keeper
from chorus.calls.switchboard import Switchboard
from chorus.db import utcnow
from chorus.process import Process
from chorus.recordings.archive import Archive
from chorus.roles import ROLES, Role
from chorus.webhooks import queries as webhook_log
from chorus.webhooks.deliver import Deliveries

log = logging.getLogger(__name__)

_FLUSH_EVERY_S = 30
_READS_EVERY_S = 3
_SWEEP_EVERY_S = 3600


@dataclass(frozen=True, slots=True)
class Running:
    """What the chores of a process work on."""

    process: Process
    switchboard: Switchboard
    archive: Archive


@dataclass(frozen=True, slots=True)
class Chore:
    """Runs in a process that has any of `roles`."""

    name: str
    roles: tuple[Role, ...]
    run: Callable[[Running], Awaitable[None]]


async def _note_use(running: Running) -> None:
    await _every(_FLUSH_EVERY_S, running.process.flush)


async def _note_reads(running: Running) -> None:
    await _every(_READS_EVERY_S, running.process.reads.flush)


async def _give_back(running: Running) -> None:
    await _every(GIVE_BACK_EVERY_S, running.process.limits.give_back)


async def _deliver(running: Running) -> None:
    await Deliveries(running.switchboard, running.switchboard.heartbeat.name).run()


async def _watch_money(running: Running) -> None:
    if running.process.settings.billing:
        await Watch(running.switchboard).run()


async def _judge_latency(running: Running) -> None:
    async def judge() -> None:
        await latency_watch.judge(running.switchboard, utcnow())

    await _every(latency_watch.JUDGE_EVERY_S, judge)


async def _sweep(running: Running) -> None:
    process = running.process

    async def sweep() -> None:
        await idempotency.sweep(process.database)
        await sweep_commands(process.database)
        await process.sessions.sweep()
        await audit_export.purge(process.database, process.clock.utcnow())
        await throttle.sweep(process.database, process.clock.utcnow())
        await flows.sweep(process.database, process.clock.utcnow())
        await leases.sweep(process.database)
        await webhook_log.sweep(process.database)
        await process.database.optimize()

    await _every(_SWEEP_EVERY_S, sweep)


async def _forget_access(running: Running) -> None:
    told = running.switchboard.news.events["access"]
    while True:
        await told.wait()
        told.clear()
        running.process.keys.forget_all()
        running.process.sessions.forget_all()


CHORES: tuple[Chore, ...] = (
    # That it lives, and what others left that do not.
    Chore("news of other processes", ROLES, lambda running: running.switchboard.news.run()),
    Chore("changes of keys and sessions", ROLES, _forget_access),
    Chore("lease", ROLES, lambda running: Keeper(running.switchboard).run()),
    Chore("queues for export", ROLES, lambda running: running.switchboard.telemetry.run()),
    Chore("use of keys and sessions", ("api",), _note_use),
    Chore("reads, for the audit log", ("api",), _note_reads),
    Chore("requests that were not sent", ("api",), _give_back),
    Chore("event streams", ("api",), lambda running: running.switchboard.streams.run()),
    Chore("streams of live calls", ("api",), lambda running: running.switchboard.ongoing.run()),
    Chore("dispatch", ("media",), lambda running: Dispatch(running.switchboard).run()),
    Chore("commands to calls", ("media",), lambda running: Commands(running.switchboard).run()),
    Chore("timelines of calls", ("media",), lambda running: running.switchboard.journals.run()),
    Chore("money of calls", ("media",), _watch_money),
    # Of what is on this machine's disk.
    Chore("recordings", ("media",), lambda running: running.archive.run()),
    Chore("webhooks", ("work",), _deliver),
    Chore("targets of latency", ("work",), _judge_latency),
    Chore("sweep", ("work",), _sweep),
)


def start(running: Running, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """Those of this process's roles, as tasks that its end has to cancel."""
    roles = running.process.settings.roles
    return [
        group.create_task(_run(chore, running), name=chore.name)
        for chore in CHORES
        if any(role in roles for role in chore.roles)
    ]


async def _run(chore: Chore, running: Running) -> None:
    await chore.run(running)


async def _every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Exception:
            # The database may be away for a while; the next round tries again.
            log.exception("a chore failed")
