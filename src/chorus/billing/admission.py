"""Letting a call in: is there money for its first minute?

`Admission.admit` estimates what the first minute costs, from the price list and the agent's voice
and model, and holds it on the balance until the call is settled. Where nobody is charged every
call is let in and nothing is held.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.agents import queries as agents
from chorus.agents.snapshot import choice_of
from chorus.billing import balance
from chorus.billing.charges import MINUTE_MS, Item, Used, cost, typical_minute
from chorus.billing.prices import PriceList, Prices
from chorus.billing.tables import Hold
from chorus.catalogue.catalogue import Entry
from chorus.catalogue.catalogues import Catalogues
from chorus.db import utcnow
from chorus.settings import Settings

if TYPE_CHECKING:
    from chorus.calls.tables import CallRow


@dataclass(frozen=True)
class Admission:
    """One a process. `charging`: calls are paid for from a prepaid balance."""

    charging: bool
    prices: Prices
    catalogues: Catalogues

    @classmethod
    def of(cls, settings: Settings, catalogues: Catalogues) -> Admission:
        """Reads the price file. Raises `WrongPrices`."""
        return cls(settings.billing, Prices.of(settings), catalogues)

    async def admit(self, session: AsyncSession, call: CallRow) -> bool:
        """Whether the balance suffices for a call whose row is not there yet. What is held is
        held in the caller's transaction."""
        if not self.charging:
            return True
        agent = await agents.find(session, call.organization_id, call.agent_id)
        if agent is None:
            return True  # the call cannot be held, and so costs nothing
        catalogue = await self.catalogues.of(session, call.organization_id)
        choice = choice_of(agent, catalogue)
        ears = choice.transcriber
        transcriber = ears.price_name if ears else ""
        prices = self.prices.at(utcnow())
        minute = typical_minute(_name(choice.voice), _name(choice.model), prices)
        first = Used(call.provider, call.direction, MINUTE_MS, transcriber, minute)
        return await balance.hold(
            session,
            Hold(
                call_id=call.id,
                organization_id=call.organization_id,
                amount_micros=cost(first, prices),
                minute_micros=_cost_of(minute, prices),
                provider=call.provider,
                direction=call.direction,
                transcriber=transcriber,
            ),
        )


def _name(entry: Entry | None) -> str:
    """As price lists name it."""
    return entry.price_name if entry else "unknown"


def _cost_of(minute: Counter[Item], prices: PriceList) -> int:
    return cost(Used("", "outbound", 0, None, minute), prices)
