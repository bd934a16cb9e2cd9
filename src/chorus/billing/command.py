"""`chorus billing`: balances from the command line, and a look at the price file."""

from __future__ import annotations

import argparse
import sys

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.command import Refused, on_database, organization
from chorus.billing import balance, ledger, sums
from chorus.billing.prices import MILLION, PACKAGED, Prices, WrongPrices
from chorus.billing.schemas import MOST_DOLLARS, micros
from chorus.settings import Settings


def top_up(settings: Settings, options: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        await ledger.top_up(session, organization_id, _amount(options.dollars), options.note)
        found = await balance.standing(session, organization_id)
        return f"The balance is {dollars(found.balance)} now."

    return on_database(settings, work)


def show_balance(settings: Settings, options: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        found = await balance.standing(session, organization_id)
        lines = [
            f"balance    {dollars(found.balance)}",
            f"held       {dollars(found.held)}",
            f"available  {dollars(found.available)}",
        ]
        if not settings.billing:
            lines.append("Nobody is charged: CHORUS_BILLING is not 1.")
        return "\n".join(lines)

    return on_database(settings, work)


def recount(settings: Settings, options: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        count = await sums.recount(session, organization_id)
        return f"{count} sums of days were made anew from the ledger."

    return on_database(settings, work)


def show_prices(settings: Settings, _: argparse.Namespace) -> int:
    try:
        prices = Prices.of(settings)
    except WrongPrices as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(f"From {settings.prices_file or PACKAGED}")
    for each in prices.lists:
        print(f"\n{each.version}, valid from {each.valid_from:%Y-%m-%d %H:%M} UTC")
        for provider, call in each.telephony.items():
            step = "minute" if call.step_s > 1 else "second"
            print(
                f"  telephony {provider}: {dollars(call.outbound.micros)} a minute outbound, "
                f"{dollars(call.inbound.micros)} inbound, every started {step}"
            )
        for meter, engines in each.engines.items():
            for engine, price in engines.items():
                per = "minute" if price.per == 60 else "million"
                print(f"  {meter} {engine}: {dollars(price.micros)} a {per}")
    return 0


def dollars(amount: int) -> str:
    """Micro-dollars for people, to the last decimal that is not 0 but at least to the cent."""
    whole, part = divmod(abs(amount), MILLION)
    decimals = f"{part:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}${whole:,}.{decimals}"


def _amount(text: str) -> int:
    try:
        amount = micros(text)
    except (ValueError, ArithmeticError):
        raise Refused(f"{text} is not an amount of dollars with at most six decimals") from None
    if not 0 < abs(amount) <= MOST_DOLLARS * MILLION:
        raise Refused(f"The amount must not be 0 and at most {MOST_DOLLARS} dollars")
    return amount
