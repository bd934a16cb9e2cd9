"""Live calls and the money that is left: holds grow with them, and without money they end.

One task of the process looks at all its calls every few seconds. A call's hold must cover what
it has cost so far and what it will until the next look and a goodbye are over. Where it does not,
it is extended to the end of the minute that begins; all extensions of a round are one transaction.
A call for which the money does not suffice says goodbye and ends as `insufficient_funds`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.billing import balance
from chorus.billing.charges import MINUTE_MS, Used, cost
from chorus.billing.settle import settle_overdue
from chorus.billing.tables import Hold
from chorus.db import utcnow
from chorus.talk.text import phrases

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

log = logging.getLogger(__name__)

LOOK_S = 5.0
AHEAD_MS = 15_000
"""A look, and a goodbye."""
OVERDUE_EVERY = 24
"""Looks."""


class Watch:
    """One a process, and only where calls are paid for."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._holds: dict[uuid.UUID, Hold] = {}
        self._leaving: set[uuid.UUID] = set()

    async def run(self) -> None:
        """For ever; started once by the application."""
        looks = failures = 0
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
                if looks % OVERDUE_EVERY == 0:
                    await settle_overdue(self._switchboard)
                looks += 1
                failures = 0
            except (SQLAlchemyError, OSError) as failure:
                failures += 1
                if failures == 1:
                    log.error("holds wait for the database: %s", failure)

    async def look(self) -> None:
        """One round."""
        live = self._switchboard.live
        await self._know()
        wanted: defaultdict[uuid.UUID, dict[uuid.UUID, int]] = defaultdict(dict)
        for call_id, held in self._holds.items():
            call = live.get(call_id)
            if call is None or call_id in self._leaving:
                continue
            soon_ms = round(call.call_ms) + AHEAD_MS
            if self._cost(held, soon_ms, AHEAD_MS) > held.amount_micros:
                end_ms = -(-soon_ms // MINUTE_MS) * MINUTE_MS
                amount = self._cost(held, end_ms, end_ms - soon_ms + AHEAD_MS)
                wanted[held.organization_id][call_id] = amount
        if wanted:
            await self._extend(wanted)

    async def _know(self) -> None:
        """Forget the calls that are over; read the holds of new ones."""
        live = self._switchboard.live
        self._holds = {id: held for id, held in self._holds.items() if id in live}
        self._leaving &= live.keys()
        new = [id for id in live if id not in self._holds]
        if new:
            async with self._switchboard.database.reading() as session:
                found = await session.scalars(sa.select(Hold).where(Hold.call_id.in_(new)))
                self._holds |= {held.call_id: held for held in found}

    def _cost(self, held: Hold, at_ms: int, talking_ms: int) -> int:
        """What the call will have cost at `at_ms` if it goes on for `talking_ms` as expected."""
        journal = self._switchboard.journals.of(held.call_id)
        used = Used(
            held.provider,
            held.direction,
            at_ms,
            held.transcriber,
            journal.used if journal else {},
            tuple(journal.ears) if journal else (),
        )
        expected = -(-held.minute_micros * talking_ms // MINUTE_MS)
        return cost(used, self._switchboard.admission.prices.at(utcnow())) + expected

    async def _extend(self, wanted: Mapping[uuid.UUID, Mapping[uuid.UUID, int]]) -> None:
        short: set[uuid.UUID] = set()
        async with self._switchboard.database.writing() as session:
            # In a fixed order, so that two processes never wait for each other.
            for organization_id in sorted(wanted):
                short |= await balance.extend(session, organization_id, wanted[organization_id])
        for amounts in wanted.values():
            for call_id, amount in amounts.items():
                if call_id in short:
                    self._end(call_id)
                else:
                    self._holds[call_id].amount_micros = amount

    def _end(self, call_id: uuid.UUID) -> None:
        call = self._switchboard.live.get(call_id)
        if call is None:
            return
        log.info("call %s ends: the balance does not suffice for another minute", call_id)
        self._leaving.add(call_id)
        call.take_leave(phrases.goodbye(call.spec.agent.language), "insufficient_funds")
