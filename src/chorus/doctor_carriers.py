"""`chorus doctor carriers`: whether the settings of each number work at its carrier, asked there.

Numbers on SIP trunks have a command of their own (`doctor_sip.py`): there is no API to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.db import Database
from chorus.doctor import Finding, Findings, tell
from chorus.lines.carrier import Carrier
from chorus.lines.carriers import BY_NAME, running
from chorus.lines.desk import Connection
from chorus.numbers import routing
from chorus.settings import Settings

AT_ONCE = 8
_ADVICE = "the documentation's page of this carrier (lines-{}) says what it takes"


def report(settings: Settings, *, as_json: bool) -> int:
    """Print the findings; returns the exit status."""
    return tell(asyncio.run(_findings(settings)), as_json=as_json)


async def _findings(settings: Settings) -> Findings:
    carriers = {
        name: carrier
        for name, carrier in running(settings).items()
        if name != "sip" and BY_NAME[name].has_numbers and not BY_NAME[name].simulated
    }
    database = Database(settings)
    try:
        async with database.reading() as session:
            secrets = Secrets.of(settings)
            numbers = [
                (name, route.connection)
                for name in carriers
                for route in await routing.of_provider(session, name, secrets)
            ]
    except (SQLAlchemyError, SecretsUnreadable, OSError) as failure:
        return [Finding("problem", "phone numbers", f"cannot be read: {failure}")]
    finally:
        await database.close()
    if not numbers:
        names = ", ".join(sorted(carriers))
        return [Finding("note", "phone numbers", f"there is none with provider {names}")]
    room = asyncio.Semaphore(AT_ONCE)
    try:
        return list(await asyncio.gather(*(_ask(carriers, room, *each) for each in numbers)))
    finally:
        for carrier in carriers.values():
            await carrier.aclose()


async def _ask(
    carriers: Mapping[str, Carrier], room: asyncio.Semaphore, name: str, connection: Connection
) -> Finding:
    what = f"{connection.number} at {name}"
    async with room:
        wrong = await carriers[name].check(connection)
    if wrong is None:
        return Finding("ok", what, "the carrier takes these settings")
    return Finding("problem", what, wrong, _ADVICE.format(name))
