"""The second calls of one call's transfers: placed, taken back, and their record kept.

Implements `talk.transfer.Exchange`. A second call is a row like any other outbound call's: it takes
room, holds money, and has a record of its own; `parent_call_id` says whose it is. It is not queued:
its fence is set in the transaction that writes it, and it is dialled at once by this process, which
holds its call too. What its carrier says comes back in three ways: by its row's end
(`status.end`), by its conversation (`converse.py`), and, where another process was told, by a look
at the row now and then.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets as random
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.organizations import is_suspended
from chorus.accounts.secrets import SecretsUnreadable, digest
from chorus.audio.frame import AudioFormat
from chorus.calls import transfer_record
from chorus.calls.finish import finish_unanswered, persist
from chorus.calls.room import look
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.carriers import BY_NAME
from chorus.lines.line import Dial, DialFailed, Dialler, LineCause, LineEnded, is_address
from chorus.numbers import routing
from chorus.numbers.routing import Route
from chorus.talk.second_leg import SecondLeg
from chorus.talk.transfer import NotPlaced, Status, Wish

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_E164 = re.compile(r"\+[1-9]\d{6,14}")
SETTLE_S = 30.0


@dataclass(slots=True, eq=False)
class _Placed:
    """A second call. `cause`: it is not wanted any more, for this reason."""

    transfer_id: uuid.UUID
    call_id: uuid.UUID
    dialler: Dialler | None = None
    sid: str | None = None
    cause: LineCause | None = None


class CallExchange:
    """Of one live call; `settled` when it is over."""

    def __init__(self, switchboard: Switchboard, call: CallRow) -> None:
        self._switchboard = switchboard
        self._call = call
        self._placed: dict[SecondLeg, _Placed] = {}
        self._writes: asyncio.Task[None] | None = None
        self._dialling: set[asyncio.Task[None]] = set()

    # --- Exchange ---------------------------------------------------------------------------------

    def begin(self, wish: Wish, leg: SecondLeg) -> None:
        placed = self._placed[leg] = _Placed(uuid.uuid4(), uuid.uuid4())
        call = self._call

        async def write() -> None:
            async with self._switchboard.database.writing() as session:
                await transfer_record.begin(
                    session,
                    placed.transfer_id,
                    call.id,
                    call.organization_id,
                    wish,
                )

        self._write(f"the transfer of call {call.id}", write)

    def moved(self, leg: SecondLeg, status: Status, detail: str) -> None:
        id = self._placed[leg].transfer_id

        async def write() -> None:
            async with self._switchboard.database.writing() as session:
                await transfer_record.move(session, self._switchboard, id, status, detail)

        self._write(f"how the transfer {id} fares", write)

    async def place(self, wish: Wish, leg: SecondLeg) -> None:
        await self._see_through(self._place(wish, leg), "second call")

    async def withdraw(self, leg: SecondLeg, cause: LineCause) -> None:
        placed = self._placed[leg]
        placed.cause = cause
        await self._see_through(self._take_back(placed), "take back second call")

    async def music(self, url: str | None, format: AudioFormat) -> tuple[bytes, str | None]:
        return await self._switchboard.hold_sounds.piece(url, format.rate_hz)

    async def settled(self) -> None:
        """Nothing is being written or dialled any more, or it takes too long: the call's own record
        is not to wait for that, and its end closes what is open of its transfers."""
        until = asyncio.get_running_loop().time() + SETTLE_S
        while True:
            busy = {task for task in (*self._dialling, self._writes) if task and not task.done()}
            left_s = until - asyncio.get_running_loop().time()
            if not busy:
                return
            if left_s <= 0:
                log.error("call %s: its second call is not settled", self._call.id)
                return
            await asyncio.wait(busy, timeout=left_s)

    async def _see_through(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Whoever waits may be cancelled; a call that may ring is seen through to its end."""
        task = asyncio.create_task(work, name=name)
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        task.add_done_callback(_looked_at)
        await asyncio.shield(task)

    # --- placing ----------------------------------------------------------------------------------

    async def _place(self, wish: Wish, leg: SecondLeg) -> None:
        placed = self._placed[leg]
        if self._writes is not None:
            await asyncio.wait({self._writes})
        token = random.token_urlsafe(32)
        try:
            route = await self._row(wish, placed, token)
        except (SQLAlchemyError, OSError) as failure:
            log.error("call %s: its second call was not placed: %s", self._call.id, failure)
            raise NotPlaced("the database is away") from failure
        self._switchboard.second_legs[placed.call_id] = leg
        watching = asyncio.create_task(self._watch(placed, leg), name="watch second call")
        self._dialling.add(watching)
        watching.add_done_callback(self._dialling.discard)
        carrier = self._switchboard.carriers[route.provider]
        placed.dialler = carrier.dialler(route.connection, token)
        kind, digits = BY_NAME[route.provider], ""
        if kind.presses_on_answer:
            digits, leg.digits = leg.digits, ""
        shown, forward_token = self._shown(wish, route)
        dial = Dial(
            call_id=str(placed.call_id),
            to=wish.target.number,
            from_=shown,
            ring_timeout_s=wish.target.ring_timeout_s,
            variables=self._call.context_variables,
            headers=leg.headers if kind.sends_headers_to(wish.target.number) else (),
            # Chorus listens itself; a carrier that can is one more witness. Behind a menu it is
            # always a machine that answers first.
            detect_machine=wish.target.type != "cold"
            and not wish.target.post_dial_digits
            and kind.detects_for(route.connection.settings),
            digits=digits,
            forward_token=forward_token,
        )
        try:
            if placed.cause is None:
                placed.sid = await placed.dialler.dial(dial)
        except DialFailed as failed:
            await self._not_answered(placed, LineEnded(failed.cause, failed.detail))
            return
        if placed.sid is not None:
            await persist(f"the id of call {placed.call_id}", lambda: self._keep_sid(placed))
        if placed.cause is not None:
            await self._take_back(placed)

    def _shown(self, wish: Wish, route: Route) -> tuple[str, str]:
        """The number that the person sees, and the token that the carrier wants for it, if any."""
        call, may = self._call, BY_NAME[route.provider].shows_caller
        if wish.target.shows_caller and _E164.fullmatch(call.customer_number):
            if may == "always":
                return call.customer_number, ""
            if may == "with_token" and call.forward_token and call.provider == route.provider:
                try:
                    token = self._switchboard.secrets.decrypt(call.forward_token)
                    return call.customer_number, token
                except SecretsUnreadable as failure:
                    log.error("call %s: its caller's number is not shown: %s", call.id, failure)
        return route.number, ""

    async def _row(self, wish: Wish, placed: _Placed, token: str) -> Route:
        """The row of the second call. Raises `NotPlaced`."""
        switchboard, call = self._switchboard, self._call
        async with switchboard.database.writing() as session:
            try:
                route = await routing.to_call_from(
                    session, call.phone_number_id, call.agent_id, switchboard.secrets
                )
            except SecretsUnreadable as failure:
                raise NotPlaced("the phone number cannot be used any more") from failure
            if route is None and call.phone_number_id is None:
                raise NotPlaced("neither this call nor its agent has a phone number to call from")
            if route is None or route.provider not in switchboard.carriers:
                raise NotPlaced("the phone number cannot be used any more")
            if is_address(wish.target.number) and not BY_NAME[route.provider].calls_addresses:
                raise NotPlaced(f"{route.provider} calls no SIP addresses")
            if await is_suspended(session, call.organization_id):
                raise NotPlaced("the organization is suspended")
            room = await look(session, call.organization_id, switchboard.settings)
            if not room.for_a_call:
                raise NotPlaced("the organization has as many calls as it may")
            now = utcnow()
            row = CallRow(
                id=placed.call_id,
                organization_id=call.organization_id,
                agent_id=call.agent_id,
                phone_number_id=route.phone_number_id,
                provider=route.provider,
                direction="outbound",
                status="queued",
                customer_number=wish.target.number,
                context_variables=call.context_variables,
                agent_changes=call.agent_changes,
                parent_call_id=call.id,
                transfer_type=wish.target.type,
                transfer_status="initiated",
                token_hash=digest(token),
                lease_owner=switchboard.heartbeat.name,
                started_at=now,
                dialled_at=now,
            )
            if not await switchboard.admission.admit(session, row):
                raise NotPlaced("the balance does not suffice for a call")
            session.add(row)
            await session.flush()
            await transfer_record.placed(session, switchboard, placed.transfer_id, row.id)
            return route

    async def _watch(self, placed: _Placed, leg: SecondLeg) -> None:
        """Until somebody answers or nobody will: news may have come to another process."""
        while not leg.answered.done() and not leg.over.done():
            await asyncio.wait((leg.answered, leg.over), timeout=LOOK_EVERY_S)
            try:
                async with self._switchboard.database.reading() as session:
                    row = await session.get(CallRow, placed.call_id)
            except (SQLAlchemyError, OSError):
                continue  # the next look may have more luck
            if row is None or row.ended_at is not None:
                detail = (row.ended_detail or "") if row else "the call was deleted"
                leg.has_ended((row.ended_reason or "") if row else "cancelled", detail)
                self._switchboard.second_legs.pop(placed.call_id, None)
            elif row.status == "ringing":
                leg.is_ringing()

    async def _keep_sid(self, placed: _Placed) -> None:
        async with self._switchboard.database.writing() as session:
            await session.execute(
                sa.update(CallRow)
                .where(CallRow.id == placed.call_id, CallRow.call_sid.is_(None))
                .values(call_sid=placed.sid)
            )

    # --- taking back ------------------------------------------------------------------------------

    async def _take_back(self, placed: _Placed) -> None:
        """Not if somebody answered: their conversation is ended by whoever does not want it."""
        assert placed.cause is not None
        ended = await self._not_answered(placed, LineEnded(placed.cause))
        if not ended or placed.dialler is None or placed.sid is None:
            return
        try:
            await placed.dialler.cancel(placed.sid)
        except DialFailed as failed:
            # Answered all the same, it finds that its call is over, and ends.
            log.warning("call %s still rings: %s", placed.call_id, failed)

    async def _not_answered(self, placed: _Placed, ended: LineEnded) -> bool:
        """Whether the row is over, and was not answered."""
        call = self._call
        over = False

        async def write() -> None:
            nonlocal over
            await finish_unanswered(self._switchboard, placed.call_id, call.organization_id, ended)
            async with self._switchboard.database.reading() as session:
                row = await session.get(CallRow, placed.call_id)
            over = row is None or (row.ended_at is not None and row.answered_at is None)

        await persist(f"the end of call {placed.call_id}", write)
        return over

    # --- the record -------------------------------------------------------------------------------

    def _write(self, what: str, write: Callable[[], Awaitable[object]]) -> None:
        """In order, and whoever waits for nothing."""
        before = self._writes

        async def after_that() -> None:
            if before is not None:
                await asyncio.wait({before})
            try:
                await persist(what, write)
            except (SQLAlchemyError, OSError):
                return  # said by then; the end of the call closes what is open

        self._writes = asyncio.create_task(after_that(), name="transfer record")


def _looked_at(task: asyncio.Task[None]) -> None:
    """Nobody is left to be told why it was not placed."""
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.info("a second call: %r", failure)
