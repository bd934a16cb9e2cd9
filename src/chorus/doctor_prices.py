"""`chorus doctor`, prices: whether the list can be read, and what calls used that it has no price
of."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from chorus.billing.prices import Prices, WrongPrices
from chorus.billing.queries import without_price
from chorus.db import Database, utcnow
from chorus.finding import Finding, Findings
from chorus.settings import Settings

WHAT = "prices"
_DAYS = 30
_TIMEOUT_S = 10


async def findings(settings: Settings) -> Findings:
    """The ledger is left alone where there is none yet; that is another finding."""
    try:
        Prices.of(settings)
    except WrongPrices as wrong:
        return [Finding("problem", WHAT, str(wrong), "run `chorus billing prices` to try it")]
    if settings.is_sqlite and not settings.sqlite_path.exists():
        return []
    database = Database(settings)
    try:
        async with asyncio.timeout(_TIMEOUT_S), database.reading() as session:
            found = await without_price(session, utcnow() - timedelta(days=_DAYS))
    except (SQLAlchemyError, OSError, TimeoutError):
        return []
    finally:
        await database.close()
    if not found:
        return []
    named = ", ".join(f"{engine} ({meter})" for meter, engine in found)
    says = (
        f"calls of the last {_DAYS} days used what has none, which their cost leaves out: {named}"
    )
    advice = "copy the packaged list, add it, and name your copy in CHORUS_PRICES_FILE"
    return [Finding("note", WHAT, says, advice)]
