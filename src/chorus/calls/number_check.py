"""Whether a phone number can carry calls: asked at its carrier, and seen from what is known here.

    POST /v1/phone-numbers/{id}/check

A change to nothing, but a POST, because it asks somebody else and takes seconds. That a call came
in is the proof that no question can give: the carrier reached this server, and signed rightly.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import sqlalchemy as sa
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import SecretsUnreadable
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.carriers import BY_NAME
from chorus.lines.desk import Connection
from chorus.lines.sip.carrier import ELSEWHERE
from chorus.numbers import queries
from chorus.numbers.schemas import NumberCheckOut, NumberFinding
from chorus.numbers.tables import PhoneNumber
from chorus.route import InOrganization, InProcess, failures, reading_router
from chorus.settings import Settings
from chorus.wire import Data

routes = reading_router("Phone numbers")

CHECK_S = 20.0
"""More than any carrier's own limit."""


@routes.post(
    "/phone-numbers/{id}/check",
    operation_id="checkPhoneNumber",
    summary="Check whether a phone number can carry calls",
    responses=failures(404),
)
async def check_number(
    request: Request, process: InProcess, organization_id: InOrganization, id: UUID
) -> Data[NumberCheckOut]:
    """Asks the carrier whether it takes the number's settings, which may take up to twenty
    seconds, and looks at the registration, at the address at which carriers reach this server, at
    who answers, and at when a call last came in. Places no call and changes nothing."""
    async with process.database.reading() as session:
        number = await queries.one(session, organization_id, id)
        calls = await _calls(session, number)
    switchboard: Switchboard = request.app.state.switchboard
    findings = [
        await _settings(switchboard, number),
        *_registration(number),
        *_address(process.settings, number),
        *_agent(number),
        calls,
    ]
    ok = all(finding.state != "problem" for finding in findings)
    return Data(data=NumberCheckOut(ok=ok, findings=findings, checked_at=utcnow()))


async def _settings(switchboard: Switchboard, number: PhoneNumber) -> NumberFinding:
    carrier = switchboard.carriers.get(number.provider)
    if carrier is None:
        says = f"this server has no carrier {number.provider}"
        return NumberFinding(state="problem", what="settings", says=says)
    try:
        settings = queries.connection(number, switchboard.secrets)
        async with asyncio.timeout(CHECK_S):
            wrong = await carrier.check(Connection(str(number.id), number.number, settings))
    except SecretsUnreadable as failure:
        wrong = str(failure)
    except TimeoutError:
        wrong = f"the carrier did not answer within {CHECK_S:g} s"
    if wrong == ELSEWHERE:
        # The registration says what that process knows.
        return NumberFinding(state="note", what="settings", says=wrong)
    if wrong is not None:
        return NumberFinding(state="problem", what="settings", says=wrong)
    return NumberFinding(state="ok", what="settings", says="The carrier takes these settings")


def _registration(number: PhoneNumber) -> list[NumberFinding]:
    known = number.registration
    if not known:
        return []
    since, error = known["since"], known.get("lastError")
    match known["state"]:
        case "registered":
            state, says = "ok", f"Registered since {since}"
        case "failed":
            state, says = "problem", f"Not registered since {since}: {error}"
        case _:
            state, says = "note", f"Registering since {since}" + (f": {error}" if error else "")
    return [NumberFinding(state=state, what="registration", says=says)]


def _address(settings: Settings, number: PhoneNumber) -> list[NumberFinding]:
    """Of carriers that come to us by HTTP; a SIP trunk has addresses of its own."""
    kind = BY_NAME.get(number.provider)
    if kind is None or kind.simulated or number.provider == "sip":
        return []
    told = (
        f"the carrier has to post to {settings.url}{kind.webhook_path}"
        if kind.webhook_path
        else (f"the carrier comes to {settings.url}")
    )
    told += f", and its audio to {settings.media_base}"
    if settings.public_url is None:
        says = f"CHORUS_PUBLIC_URL is not set, so {told}: nobody outside reaches that"
        return [NumberFinding(state="problem", what="address", says=says)]
    if not settings.public_url.startswith("https://"):
        says = f"The address is not https, which carriers ask for: {told}"
        return [NumberFinding(state="note", what="address", says=says)]
    return [NumberFinding(state="ok", what="address", says=told[0].upper() + told[1:])]


def _agent(number: PhoneNumber) -> list[NumberFinding]:
    if number.agent_id is not None:
        return []
    says = "No agent answers: calls that come in are refused"
    return [NumberFinding(state="note", what="agent", says=says)]


async def _calls(session: AsyncSession, number: PhoneNumber) -> NumberFinding:
    last = await session.scalar(
        sa.select(CallRow.created_at)
        .where(
            CallRow.organization_id == number.organization_id,
            CallRow.phone_number_id == number.id,
            # Found by the number: without statistics SQLite would read all that came in.
            sa.func.coalesce(CallRow.direction, "") == "inbound",
            CallRow.provider == number.provider,
        )
        .order_by(CallRow.created_at.desc())
        .limit(1)
    )
    if last is None:
        says = "No call has come in yet: call the number once, and look again"
        return NumberFinding(state="note", what="calls", says=says)
    says = f"A call last came in at {last:%Y-%m-%d %H:%M:%S} UTC, and was the carrier's own"
    return NumberFinding(state="ok", what="calls", says=says)
