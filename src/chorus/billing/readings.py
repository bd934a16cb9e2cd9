"""Charging for vectors that a vendor made of a document with the operator's key: one line for each
reading, however often the vendor was asked in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing import balance
from chorus.billing.admission import Admission
from chorus.billing.prices import PriceList
from chorus.billing.tables import LedgerLine
from chorus.db import utcnow
from chorus.knowledge.charging import Spent

_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class Readings:
    """Implements `knowledge.charging.Charging`. `admission`: made when it is first needed, because
    it reads the price file."""

    admission: Callable[[], Admission]

    async def suffices(self, session: AsyncSession, spent: Spent) -> bool:
        admission = self.admission()
        micros = admission.prices.at(utcnow()).input_micros(spent.model, spent.tokens)
        if not admission.charging or not spent.by_operator or not micros:
            return True
        return (await balance.standing(session, spent.organization_id)).available >= micros

    async def charge(self, session: AsyncSession, spent: Spent) -> int | None:
        admission = self.admission()
        prices = admission.prices.at(utcnow())
        micros = prices.input_micros(spent.model, spent.tokens)
        if not spent.by_operator:
            return micros
        line = _line(spent, prices, micros, from_balance=admission.charging)
        insert = _INSERT[session.get_bind().dialect.name](LedgerLine).values(line)
        written = await session.scalar(insert.on_conflict_do_nothing().returning(LedgerLine.id))
        if written is None:
            return None
        if micros and admission.charging:
            await balance.move(session, spent.organization_id, -micros)
        return micros


def _line(spent: Spent, prices: PriceList, micros: int, *, from_balance: bool) -> dict[str, object]:
    price = prices.price("model_input", spent.model)
    return {
        "id": uuid.uuid4(),
        "organization_id": spent.organization_id,
        "kind": "embedding",
        "document_id": spent.document_id,
        "reading_id": spent.id,
        "meter": "model_input",
        "engine": spent.model[:255],
        "discarded": False,
        "quantity": spent.tokens,
        "price_version": prices.version,
        "price_micros": price.micros if price else None,
        "price_per": price.per if price else None,
        "amount_micros": micros,
        "charged": from_balance,
        "created_at": utcnow(),
    }
