"""Outbound calls that wait, dialled in order.

The rows of calls are the queue: a call waits that is `queued`, due, and not behind its fence.
`Dispatch.run` looks for such calls when it is told that there is one or that there is room again,
and once in `LOOK_EVERY_S`, for calls whose time has come and for those of other processes.

In one transaction a call takes its organization's room and gets its fence (`dialled_at`); one
that finds no room stays in line, and so does everything behind it of the same organization. Only
then is the carrier asked to ring. After a crash a call behind its fence may have rung, so it is
ended as lost (`recover.py`) and never dialled again; that is why dialling is no durable workflow,
which would do the interrupted step once more. The carrier's callbacks carry the call on from here.
"""

from __future__ import annotations

import asyncio
import logging
import secrets as random
import uuid
from dataclasses import dataclass
from enum import Enum, auto

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.organizations import is_suspended
from chorus.accounts.secrets import SecretsUnreadable, digest
from chorus.agents.snapshot import is_active
from chorus.calls.finish import finish_unanswered, persist
from chorus.calls.room import WAITS, due, look
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.line import Dial, DialFailed, LineCause, LineEnded
from chorus.numbers import routing
from chorus.numbers.routing import Route

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
AT_ONCE = 20


class _Stays(Enum):
    """Why a call is not dialled now."""

    FULL = auto()
    TAKEN = auto()


@dataclass(frozen=True, slots=True)
class _Fenced:
    """A call that is this process's to dial, and what it takes. `route` None: it cannot be."""

    call: CallRow
    token: str
    route: Route | None
    active: bool


class Dispatch:
    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """For ever; started once by the application."""
        queued = self._switchboard.queued
        await self._switchboard.loaded()  # nobody is rung up to wait for the engines
        async with asyncio.TaskGroup() as tasks:
            while True:
                queued.clear()
                try:
                    await self._look(tasks)
                except (SQLAlchemyError, OSError) as failure:
                    log.error("dispatch waits for the database: %s", failure)
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await queued.wait()
                except TimeoutError:
                    continue

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        """Dial whatever may be dialled now."""
        full: set[uuid.UUID] = set()
        while not self._switchboard.draining and (waiting := await self._waiting(full)):
            for call_id, organization_id in waiting:
                if organization_id in full:
                    continue
                await self._room.acquire()
                try:
                    fenced = await self._fence(call_id, organization_id)
                except BaseException:
                    self._room.release()
                    raise
                if isinstance(fenced, _Fenced):
                    task = tasks.create_task(self._dial(fenced), name="dial")
                    task.add_done_callback(lambda _: self._room.release())
                    continue
                self._room.release()
                if fenced is _Stays.FULL:
                    full.add(organization_id)

    async def _waiting(self, full: set[uuid.UUID]) -> list[tuple[uuid.UUID, uuid.UUID]]:
        async with self._switchboard.database.reading() as session:
            found = await session.execute(
                sa.select(CallRow.id, CallRow.organization_id)
                .where(
                    WAITS, due(), CallRow.status == "queued", CallRow.organization_id.not_in(full)
                )
                .order_by(
                    sa.func.coalesce(CallRow.scheduled_at, CallRow.created_at), CallRow.created_at
                )
                .limit(AT_ONCE)
            )
            return [(call_id, organization_id) for call_id, organization_id in found]

    async def _fence(self, call_id: uuid.UUID, organization_id: uuid.UUID) -> _Fenced | _Stays:
        switchboard = self._switchboard
        token = random.token_urlsafe(32)
        async with switchboard.database.writing() as session:
            room = await look(session, organization_id, switchboard.settings)
            if not room.for_a_call:
                return _Stays.FULL
            fenced = await session.execute(
                sa.update(CallRow)
                .where(
                    CallRow.id == call_id, CallRow.status == "queued", CallRow.dialled_at.is_(None)
                )
                .values(
                    dialled_at=utcnow(),
                    token_hash=digest(token),
                    lease_owner=switchboard.heartbeat.name,
                )
            )
            if fenced.rowcount != 1:  # type: ignore[attr-defined] # an UPDATE yields a CursorResult
                return _Stays.TAKEN
            call = await session.get_one(CallRow, call_id)
            assert call.phone_number_id is not None  # place() requires it
            suspended = await is_suspended(session, organization_id)
            active = not suspended and await is_active(session, call.agent_id)
            try:
                route = await routing.by_id(session, call.phone_number_id, switchboard.secrets)
            except SecretsUnreadable as failure:
                log.error("call %s: %s", call_id, failure)
                route = None
            return _Fenced(call, token, route, active)

    async def _dial(self, fenced: _Fenced) -> None:
        try:
            await self._dial_and_note(fenced)
        except Exception:
            # One call must not stop the others. Its row is ended when nobody says anything of it.
            log.exception("call %s: dialling broke", fenced.call.id)

    async def _dial_and_note(self, fenced: _Fenced) -> None:
        call = fenced.call
        try:
            sid = await self._ask(fenced)
        except DialFailed as failed:
            ended = LineEnded(failed.cause, failed.detail)

            async def write() -> None:
                await finish_unanswered(self._switchboard, call.id, call.organization_id, ended)

        else:

            async def write() -> None:
                await self._keep_sid(call.id, sid)

        await persist(f"what came of dialling call {call.id}", write)

    async def _keep_sid(self, call_id: uuid.UUID, sid: str) -> None:
        async with self._switchboard.database.writing() as session:
            await session.execute(
                sa.update(CallRow)
                .where(CallRow.id == call_id, CallRow.call_sid.is_(None))
                .values(call_sid=sid)
            )

    async def _ask(self, fenced: _Fenced) -> str:
        """The carrier's id of the call. Raises `DialFailed`."""
        switchboard, call, route = self._switchboard, fenced.call, fenced.route
        if route is None:
            raise DialFailed(LineCause.FAILED, "the phone number cannot be used any more")
        if not fenced.active:
            raise DialFailed(LineCause.FAILED, "agent or organization is not active any more")
        carrier = switchboard.carriers.get(route.provider)
        if carrier is None:
            raise DialFailed(LineCause.FAILED, f"{route.provider} cannot place calls yet")
        dialler = carrier.dialler(route.connection, fenced.token)
        return await dialler.dial(
            Dial(
                call_id=str(call.id),
                to=call.customer_number,
                from_=route.number,
                variables=call.context_variables,
                detect_machine=call.detect_machine,
            )
        )
