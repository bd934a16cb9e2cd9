"""What the carriers ask of the calls: their `Desk`, over this folder's verbs."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from chorus.calls import live, released
from chorus.calls.answer import Taken, answer
from chorus.calls.browser import TOKEN_LASTS, proved_s_ago
from chorus.calls.converse import claim, converse, new_token
from chorus.calls.finish import finish_unanswered
from chorus.calls.recover import no_audio
from chorus.calls.status import advance
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.browser.line import PROVIDER
from chorus.lines.desk import (
    Admitted,
    Connection,
    InboundCall,
    MachineResult,
    Progress,
    Refused,
    RegistrationState,
    Relayed,
    Stage,
)
from chorus.lines.line import Line, LineCause, LineEnded
from chorus.numbers import routing

log = logging.getLogger(__name__)


class CallDesk:
    """Implements `lines.desk.Desk` for one carrier: it sees no other's numbers and calls."""

    def __init__(self, switchboard: Switchboard, provider: str) -> None:
        self._switchboard = switchboard
        self._provider = provider

    async def connections_of_number(self, number: str) -> Sequence[Connection]:
        async with self._switchboard.database.reading() as session:
            routes = await routing.of_number(
                session, self._provider, number, self._switchboard.secrets
            )
        return [route.connection for route in routes]

    async def connection_of_call(self, call_id: str) -> Connection | None:
        call = await self._call(call_id)
        if call is None or call.phone_number_id is None:
            return None
        async with self._switchboard.database.reading() as session:
            route = await routing.by_id(session, call.phone_number_id, self._switchboard.secrets)
        # A number may have moved to another carrier since.
        return route.connection if route and route.provider == self._provider else None

    async def connections(self) -> Sequence[Connection]:
        async with self._switchboard.database.reading() as session:
            routes = await routing.of_provider(session, self._provider, self._switchboard.secrets)
        return [route.connection for route in routes]

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        query = sa.select(CallRow.id).where(
            CallRow.provider == self._provider, CallRow.call_sid == leg_id
        )
        if phone_number_id is not None:
            query = query.where(CallRow.phone_number_id == uuid.UUID(phone_number_id))
        async with self._switchboard.database.reading() as session:
            id = await session.scalar(query.order_by(CallRow.created_at.desc()).limit(1))
        return None if id is None else str(id)

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        async with self._switchboard.database.reading() as session:
            route = await routing.by_id(
                session, uuid.UUID(inbound.phone_number_id), self._switchboard.secrets
            )
        if route is None or route.provider != self._provider:
            return Refused("nobody has this number any more")
        taken = await answer(self._switchboard, route, inbound)
        if isinstance(taken, Taken):
            return Admitted(str(taken.call_id), taken.token)
        return Refused(taken.reason, "busy" if taken.busy else "rejected")

    async def progress(self, progress: Progress) -> None:
        call = await self._call(progress.call_id)
        if call is None:
            return
        if call.call_sid is not None and call.call_sid != progress.leg_id:
            log.warning("call %s: news of another leg was ignored", call.id)
            return
        if progress.stage is Stage.RINGING:
            async with self._switchboard.database.writing() as session:
                await advance(
                    session,
                    call.id,
                    call.organization_id,
                    "ringing",
                    call_sid=progress.leg_id,
                    started_at=call.started_at or utcnow(),
                )
            if (leg := self._switchboard.second_legs.get(call.id)) is not None:
                leg.is_ringing()
        if (ended := progress.ended) is None:
            return
        if call.answered_at is None:
            await self._never_talked(call, progress, ended)
            return
        # A call that was answered is ended by its conversation, which knows who hung up.
        if (line := self._switchboard.line(self._provider, progress.leg_id)) is not None:
            line.ended_at_carrier(ended)
        elif call.lease_owner not in (None, self._switchboard.heartbeat.name):
            over = {"legId": progress.leg_id, "cause": ended.cause, "detail": ended.detail}
            await live.pass_on(self._switchboard, call, "line_over", over)
        if released.maybe(call):
            await released.over(self._switchboard, call, progress)

    async def _never_talked(self, call: CallRow, progress: Progress, ended: LineEnded) -> None:
        only_if: tuple[sa.ColumnElement[bool], ...] = (CallRow.answered_at.is_(None),)
        if progress.answered:
            # Once its audio has shown the token, the conversation is about to begin and ends it.
            only_if += (CallRow.token_hash.is_not(None),)
            detail = no_audio(self._switchboard.settings, progress.answered_s)
            ended = LineEnded(LineCause.FAILED, detail)
        await finish_unanswered(
            self._switchboard, call.id, call.organization_id, ended, only_if=only_if
        )

    async def transferred(self, call_id: str, leg_id: str) -> None:
        call = await self._call(call_id)
        if call is not None and call.call_sid == leg_id:
            await live.pass_on(self._switchboard, call, "line_transferred", {"legId": leg_id})

    async def returns(self, call_id: str, leg_id: str) -> str | None:
        call = await self._call(call_id)
        if call is None or call.call_sid != leg_id:
            return None
        return await new_token(self._switchboard, call.id)

    async def quality(self, call_id: str, quality: Mapping[str, Any]) -> None:
        async with self._switchboard.database.writing() as session:
            call = await session.get(CallRow, uuid.UUID(call_id), with_for_update=True)
            if call is not None and call.provider == self._provider:
                call.timeline = {**(call.timeline or {}), "line": dict(quality)}

    async def registered(self, phone_number_id: str, state: RegistrationState) -> None:
        async with self._switchboard.database.writing() as session:
            await routing.note_registration(session, uuid.UUID(phone_number_id), state)

    async def machine(self, result: MachineResult) -> None:
        """Noted in the timeline, and told to the agent, who may leave a message or hang up. What
        comes before the audio waits for it."""
        call = await self._call(result.call_id)
        if call is None or call.call_sid not in (None, result.leg_id):
            log.warning("call %s: what answered another leg was ignored", result.call_id)
            return
        told = {
            "who": result.heard,
            "found": result.found,
            "messageEnded": result.message_ended,
        }
        await live.pass_on(self._switchboard, call, "answered_by", told)

    async def claim(self, call_id: str, token: str) -> bool:
        within = TOKEN_LASTS if self._provider == PROVIDER else None
        return await claim(self._switchboard, call_id, token, within=within)

    async def way_to(self, call_id: str) -> Relayed | None:
        call = await self._call(call_id)
        if call is None or call.status != "in_progress":
            return None
        return await self._switchboard.relay.to(call.lease_owner)

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return proved_s_ago(self._switchboard.secrets, call_id, origin, proof)

    async def converse(self, line: Line, call_id: str) -> None:
        await converse(self._switchboard, line, uuid.UUID(call_id))

    async def _call(self, call_id: str) -> CallRow | None:
        try:
            id = uuid.UUID(call_id)
        except ValueError:
            return None
        async with self._switchboard.database.reading() as session:
            call = await session.get(CallRow, id)
        return call if call is not None and call.provider == self._provider else None
