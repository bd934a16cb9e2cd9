"""/v1/balance, /v1/ledger, /v1/usage, /v1/prices: what there is, what was charged, for what, and
at which prices."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, Query, Request

from chorus import errors
from chorus.billing import balance, ledger, queries, usage
from chorus.billing.prices import MILLION, UNITS, Prices
from chorus.billing.schemas import (
    BalanceOut,
    LedgerLineOut,
    LedgerQuery,
    PriceOut,
    PricesOut,
    TopUp,
    UsageOut,
    UsageQuery,
    micros,
)
from chorus.billing.tables import LedgerLine
from chorus.db import utcnow
from chorus.route import InOrganization, InProcess, InSession, failures, router
from chorus.wire import Data, Page, page

routes = router("Billing")

_USUAL = timedelta(days=30)


@routes.get("/balance", operation_id="getBalance", summary="Get the balance")
async def get_balance(
    process: InProcess, session: InSession, organization_id: InOrganization
) -> Data[BalanceOut]:
    found = await balance.standing(session, organization_id)
    return Data(
        data=BalanceOut(
            enabled=process.settings.billing,
            balance=found.balance / MILLION,
            held=found.held / MILLION,
            available=found.available / MILLION,
        )
    )


@routes.post(
    "/balance/top-ups",
    operation_id="topUpBalance",
    summary="Top up the balance",
    status_code=201,
    responses=failures(403),
)
async def top_up(
    process: InProcess, session: InSession, organization_id: InOrganization, wish: TopUp
) -> Data[LedgerLineOut]:
    """403 unless the operator allows it: a key that may place calls could otherwise pay for them
    out of nothing. Returns the line of the ledger."""
    if not process.settings.allow_top_up:
        raise errors.Error(
            403, "top_up_not_allowed", "Balances are topped up by the operator of this platform"
        )
    line = await ledger.top_up(session, organization_id, micros(wish.amount), wish.note)
    row = {column.key: getattr(line, column.key) for column in sa.inspect(LedgerLine).columns}
    return Data(data=queries.shown(row))


@routes.get("/ledger", operation_id="listLedger", summary="List the ledger's lines")
async def list_ledger(
    session: InSession,
    organization_id: InOrganization,
    query: Annotated[LedgerQuery, Query()],
) -> Page[LedgerLineOut]:
    """The `amount`s of a call's lines add up to its `cost`."""
    lines, found = await queries.page(session, organization_id, query)
    return page(LedgerLineOut, lines, found, query)


def _prices(request: Request) -> Prices:
    return request.app.state.switchboard.admission.prices


@routes.get("/prices", operation_id="getPrices", summary="Get the price list")
async def get_prices(
    process: InProcess, prices: Annotated[Prices, Depends(_prices)]
) -> Data[PricesOut]:
    """What a call that is answered now is charged by. An engine has its own price, else that of
    its vendor, else that of `*`."""
    now = prices.at(utcnow())
    return Data(
        data=PricesOut(
            version=now.version,
            valid_from=now.valid_from,
            examples=process.settings.prices_file is None,
            prices=[
                PriceOut(
                    meter=row.meter,
                    engine=row.engine,
                    direction=row.direction,
                    price=row.price.micros / MILLION,
                    per=row.price.per,
                    unit=UNITS[row.meter],
                    step_seconds=row.step_s,
                    source=row.source.where,
                    read_on=row.source.read_on,
                )
                for row in now.rows()
            ],
        )
    )


@routes.get("/usage", operation_id="getUsage", summary="Sum up what calls used")
async def get_usage(
    session: InSession,
    organization_id: InOrganization,
    query: Annotated[UsageQuery, Query()],
) -> Data[UsageOut]:
    end = query.to or utcnow()
    start = query.from_ or end - _USUAL
    if start >= end:
        raise errors.invalid_field("from", "From must be before to")
    groups = await usage.usage(session, organization_id, start, end, query.group_by)
    total = await usage.totals(session, organization_id, start, end)
    return Data(
        data=UsageOut(from_=start, to=end, group_by=query.group_by, total=total, groups=groups)
    )
