"""What Twilio's routes ask of the calls: their `Desk`, over this folder's verbs."""

from __future__ import annotations

import logging
import uuid

from chorus.calls.answer import Taken, answer
from chorus.calls.finish import finish_unanswered
from chorus.calls.hold import claim, hold
from chorus.calls.status import advance
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import Call
from chorus.db import utcnow
from chorus.lines.line import Line
from chorus.lines.twilio.desk import (
    Admitted,
    CallStatus,
    InboundCall,
    MachineResult,
    Refused,
    StatusUpdate,
    TwilioAccount,
)
from chorus.numbers import routing

log = logging.getLogger(__name__)


class TwilioDesk:
    """Implements `lines.twilio.desk.Desk`."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    async def account_of_number(self, number: str, account_sid: str) -> TwilioAccount | None:
        route = await self._route(number)
        account = route.twilio(self._switchboard.settings.twilio_api_url) if route else None
        return account if account and account.account_sid == account_sid else None

    async def account_of_call(self, call_id: str) -> TwilioAccount | None:
        call = await self._call(call_id)
        if call is None or call.phone_number_id is None:
            return None
        async with self._switchboard.database.reading() as session:
            route = await routing.by_id(session, call.phone_number_id, self._switchboard.secrets)
        return route.twilio(self._switchboard.settings.twilio_api_url) if route else None

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        route = await self._route(inbound.to)
        if route is None:
            return Refused("nobody has this number")
        taken = await answer(self._switchboard, route, inbound.call_sid, inbound.from_)
        if isinstance(taken, Taken):
            return Admitted(str(taken.call_id), taken.token)
        return Refused(taken.reason, "busy" if taken.busy else "rejected")

    async def status(self, update: StatusUpdate) -> None:
        call = await self._call(update.call_id) if update.call_id else None
        if call is None:
            return
        if call.call_sid is not None and call.call_sid != update.call_sid:
            log.warning("call %s: a status for another call sid was ignored", call.id)
            return
        if update.status is CallStatus.RINGING:
            async with self._switchboard.database.writing() as session:
                await advance(
                    session,
                    call.id,
                    call.organization_id,
                    "ringing",
                    call_sid=update.call_sid,
                    started_at=call.started_at or utcnow(),
                )
        ended = update.ended
        # A call that was answered is ended by its conversation, which knows who hung up.
        if ended is not None and call.answered_at is None:
            await finish_unanswered(self._switchboard, call.id, call.organization_id, ended)

    async def machine(self, result: MachineResult) -> None:
        """Noted in the timeline, and told to the agent, who may leave a message or hang up."""
        live = self._switchboard.live.get(uuid.UUID(result.call_id))
        if live is None:
            log.info("call %s: %s answered, but nobody talks", result.call_id, result.heard)
            return
        live.answered_by(result.heard, is_machine=result.is_machine)

    async def claim(self, call_id: str, token: str) -> bool:
        return await claim(self._switchboard, call_id, token)

    async def stream(self, line: Line, call_id: str) -> None:
        await hold(self._switchboard, line, uuid.UUID(call_id))

    async def _route(self, number: str) -> routing.Route | None:
        async with self._switchboard.database.reading() as session:
            return await routing.by_number(session, "twilio", number, self._switchboard.secrets)

    async def _call(self, call_id: str) -> Call | None:
        try:
            id = uuid.UUID(call_id)
        except ValueError:
            return None
        async with self._switchboard.database.reading() as session:
            return await session.get(Call, id)
