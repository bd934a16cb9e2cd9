"""Deliveries on their way: look what is due, try it, write down what came of it.

`Deliveries.run` looks when something was announced here, when a try has ended and more may wait,
and once in `LOOK_EVERY_S` for what became due or was announced by another process. What waits
is a row and nothing else: no task, no timer, so it may be thousands for a day.

A try: where it goes and what signs it (`target.py`) → one POST that must be answered, whole, in
`TIMEOUT_MS` → the result (`record.py`). Redirects are not followed: whoever moves says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

import chorus
from chorus.accounts.secrets import SecretsUnreadable
from chorus.outbound import OutboundFailed, OutboundRefused
from chorus.webhooks import due, record, target
from chorus.webhooks.due import Now, Taken
from chorus.webhooks.record import Result
from chorus.webhooks.schedule import asked_s
from chorus.webhooks.sign import signed
from chorus.webhooks.tables import WebhookDelivery

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
TIMEOUT_MS = 15_000
KEPT_BYTES = 4096
_STEP_S = 2.0
_STOP_S = 5.0
_MARGIN_S = 2.0
_RECORD_WAITS_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Deliveries:
    """`owner` is this process's name: no other living one has it."""

    def __init__(self, switchboard: Switchboard, owner: str, now: Now = due.database_now) -> None:
        self._switchboard = switchboard
        self._owner = owner
        self._now = now
        self._under_way: dict[asyncio.Task[None], Taken] = {}
        self._more = False
        self._ahead_s: float | None = None
        """Of the clock that says what is due, before the monotonic one."""

    async def run(self) -> None:
        """For ever; started once by the application. Cancelled, it lets what is under way end
        within `_STOP_S` and gives the rest back."""
        announced, failing, fresh = self._switchboard.announced, False, True
        try:
            while True:
                announced.clear()
                try:
                    if fresh:
                        await self._take_back()
                        fresh = False
                    await self.look()
                    failing = False
                except (SQLAlchemyError, OSError) as failure:
                    if not failing:
                        log.error("webhooks wait for the database: %s", failure)
                    failing = True
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await announced.wait()
                except TimeoutError:
                    continue
        finally:
            await self._stop()

    async def look(self) -> int:
        """Start whatever is due and has room; returns how many."""
        free = due.AT_ONCE - len(self._under_way)
        database, under_way = self._switchboard.database, list(self._under_way.values())
        # First without the right to write, which on SQLite only one may have at a time.
        async with database.reading() as session:
            now = await self._now(session)
        await self._heed(now)
        async with database.reading() as session:
            if free <= 0 or not await due.waiting(session, now, under_way, 1):
                return 0
        async with database.writing() as session:
            now = await self._now(session)
            found = await due.take(session, now, under_way, self._owner, free)
        for taken in found:
            task = asyncio.create_task(self._deliver(taken), name="webhook")
            self._under_way[task] = taken
            task.add_done_callback(self._ended)
        self._more = bool(found)
        return len(found)

    async def _heed(self, now: datetime) -> None:
        """Whether the clock was set back, since the last look or while no process looked."""
        ahead_s = now.timestamp() - time.monotonic()
        if self._ahead_s is None or ahead_s < self._ahead_s - _STEP_S:
            async with self._switchboard.database.writing() as session:
                await due.set_back(session, now)
        self._ahead_s = ahead_s

    async def settled(self) -> None:
        """Until nothing is under way here."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        if not task.cancelled() and (failure := task.exception()) is not None:
            # The lease runs out and it is tried again.
            log.error("a webhook's try broke", exc_info=failure)
        if self._more:
            self._switchboard.announced.set()

    async def _deliver(self, taken: Taken) -> None:
        result = await self._try(taken)
        for wait_s in (*_RECORD_WAITS_S, None):
            try:
                async with self._switchboard.database.writing() as session:
                    now = await self._now(session)
                    announced_at = None
                    if result is None:
                        await due.give_back(session, now, taken)
                    else:
                        announced_at = await record.record(session, now, taken, result)
            except (SQLAlchemyError, OSError):
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
            else:
                if announced_at is not None:
                    self._switchboard.telemetry.delivered(announced_at, now)
                return

    async def _try(self, taken: Taken) -> Result | None:
        """None: it began so late that another process might soon take it for lost."""
        async with self._switchboard.database.reading() as session:
            delivery = await session.get(WebhookDelivery, taken.delivery_id)
            if delivery is None:
                return Result(cancelled="call_deleted")
            if not delivery.body:
                return Result(cancelled="body_deleted")
            now = await self._now(session)
            try:
                found = await target.find(session, delivery, self._switchboard.secrets, now)
            except target.NoTarget as nobody:
                return Result(cancelled=nobody.reason)
            except SecretsUnreadable as failure:
                log.error("webhook %s: %s", delivery.id, failure)
                return Result(error="the signing secret cannot be read")
        started = time.monotonic()
        if started - taken.at > due.LEASE_S - TIMEOUT_MS / 1000 - _MARGIN_S:
            return None
        watch = self._switchboard.telemetry.webhook_began(
            delivery.call_id, delivery.event, delivery.tries
        )
        headers = [
            ("content-type", "application/json"),
            ("user-agent", f"Chorus-Webhooks/{chorus.__version__}"),
            *signed(str(delivery.id), delivery.body, found.secrets, int(time.time())),
            *watch.headers,
        ]
        told = dict(headers)
        try:
            answer = await self._switchboard.outbound.send(
                "POST",
                found.url,
                headers=headers,
                content=delivery.body.encode(),
                timeout_ms=TIMEOUT_MS,
                max_bytes=KEPT_BYTES,
                truncate=True,
                max_redirects=0,
                https_only=not self._switchboard.settings.allow_private_addresses,
            )
        except (OutboundRefused, OutboundFailed) as failure:
            took_ms = round((time.monotonic() - started) * 1000)
            watch.ended(None, failure, took_ms / 1000)
            return Result(found.url, told, error=str(failure), duration_ms=took_ms)
        watch.ended(answer.status, None, answer.elapsed_ms / 1000)
        return Result(
            found.url,
            told,
            status=answer.status,
            body=answer.body.decode("utf-8", "replace").replace("\0", "\ufffd"),
            duration_ms=answer.elapsed_ms,
            asked_s=asked_s(answer.status, answer.header("retry-after"), now),
        )

    async def _take_back(self) -> None:
        async with self._switchboard.database.writing() as session:
            await due.take_back(session, await self._now(session), self._owner)

    async def _stop(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_STOP_S)
        left = dict(self._under_way)
        for task in left:
            task.cancel()
        if not left:
            return
        await asyncio.wait(left)
        try:
            async with self._switchboard.database.writing() as session:
                now = await self._now(session)
                for taken in left.values():
                    await due.give_back(session, now, taken)
        except (SQLAlchemyError, OSError) as failure:
            log.warning("tries are given up for lost in a while: %s", failure)
