"""Outbound calls that wait, dialled in order.

`Dispatch.run` looks for queued calls when it is told that there is one, and now and then in case
it was not told. Before a call is dialled a fence is written (`dialled_at`), by whoever writes it
first: after a crash a call behind its fence may have rung, so it is ended as lost and never
dialled again. The carrier's callbacks carry the call on from here.
"""

from __future__ import annotations

import asyncio
import logging
import secrets as random
import uuid

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.secrets import SecretsUnreadable, digest
from chorus.agents.snapshot import is_active
from chorus.calls.finish import finish_unanswered
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import Call
from chorus.db import utcnow
from chorus.lines.line import Dial, DialFailed, LineCause, LineEnded
from chorus.lines.twilio.links import Links
from chorus.numbers import routing

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
AT_ONCE = 20


class Dispatch:
    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._links = Links(switchboard.settings.url)

    async def run(self) -> None:
        """For ever; started once by the application."""
        queued = self._switchboard.queued
        async with asyncio.TaskGroup() as tasks:
            room = asyncio.Semaphore(AT_ONCE)
            while True:
                queued.clear()
                try:
                    for call_id in await self._waiting():
                        await room.acquire()
                        task = tasks.create_task(self._place(call_id), name="dial")
                        task.add_done_callback(lambda _: room.release())
                except (SQLAlchemyError, OSError) as failure:
                    log.error("dispatch waits for the database: %s", failure)
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await queued.wait()
                except TimeoutError:
                    continue

    async def _waiting(self) -> list[uuid.UUID]:
        if self._switchboard.draining:
            return []
        async with self._switchboard.database.reading() as session:
            found = await session.scalars(
                sa.select(Call.id)
                .where(
                    Call.status == "queued",
                    Call.direction == "outbound",
                    Call.dialled_at.is_(None),
                    Call.ended_at.is_(None),
                )
                .order_by(Call.created_at)
                .limit(AT_ONCE)
            )
            return list(found)

    async def _place(self, call_id: uuid.UUID) -> None:
        try:
            await self._dial(call_id)
        except (SQLAlchemyError, OSError) as failure:
            log.error("call %s: dispatch failed: %s", call_id, failure)

    async def _dial(self, call_id: uuid.UUID) -> None:
        switchboard = self._switchboard
        token = random.token_urlsafe(32)

        async def issue_token(_: str) -> str:
            return token

        async with switchboard.database.writing() as session:
            fenced = await session.execute(
                sa.update(Call)
                .where(Call.id == call_id, Call.status == "queued", Call.dialled_at.is_(None))
                .values(dialled_at=utcnow(), token_hash=digest(token))
            )
            if fenced.rowcount != 1:  # type: ignore[attr-defined] # an UPDATE yields a CursorResult
                return
            call = await session.get_one(Call, call_id)
            assert call.phone_number_id is not None  # place() requires it
            active = await is_active(session, call.agent_id)
            try:
                route = await routing.by_id(session, call.phone_number_id, switchboard.secrets)
            except SecretsUnreadable as failure:
                log.error("call %s: %s", call_id, failure)
                route = None
        try:
            if route is None:
                raise DialFailed(LineCause.FAILED, "the phone number cannot be used any more")
            if not active:
                raise DialFailed(LineCause.FAILED, "the agent is not active any more")
            account = route.twilio(switchboard.settings.twilio_api_url)
            if account is None:
                raise DialFailed(LineCause.FAILED, f"{route.provider} cannot place calls yet")
            dialler = switchboard.twilio.dialler(account, self._links, issue_token)
            sid = await dialler.dial(
                Dial(call_id=str(call_id), to=call.customer_number, from_=route.number)
            )
        except DialFailed as failure:
            ended = LineEnded(failure.cause, failure.detail)
            await finish_unanswered(switchboard.database, call.id, call.organization_id, ended)
            return
        async with switchboard.database.writing() as session:
            await session.execute(
                sa.update(Call)
                .where(Call.id == call_id, Call.call_sid.is_(None))
                .values(call_sid=sid)
            )
