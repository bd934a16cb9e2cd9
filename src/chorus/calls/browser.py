"""A call from a web page to an agent: the row, and the token that the page shows for it.

It counts like one that comes in, and takes room from this moment; the page connects to
`lines/browser/` with the token, within `TOKEN_LASTS`. A call to which nobody came ends by itself
(`recover.py`).

The address that a page connects to ends with a proof: a signature over the call, the moment and,
for pages of another site, their origin. It is looked at before the handshake is accepted, so that
nobody has a socket here who was not given an address. It opens nothing: that is the token, which no
proxy on the way writes into its log.
"""

from __future__ import annotations

import secrets as random
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.secrets import Secrets, SecretsUnreadable, digest
from chorus.agents import queries as agents
from chorus.agents.snapshot import draft
from chorus.calls.room import look
from chorus.calls.schemas import TestCallCreate
from chorus.calls.status import advance
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.browser.line import PROVIDER
from chorus.process import Process

TOKEN_LASTS = timedelta(seconds=60)

CUSTOMER = "browser"
"""In the place of the number that a caller has."""

_PURPOSE = "browser handshake"
_PAGE_PURPOSE = "browser page"

_NOT_OF_A_CALL = {"post_call_webhook_secret"}


@dataclass(frozen=True, slots=True)
class Begun:
    call_id: uuid.UUID
    token: str = field(repr=False)
    expires_at: datetime


def proof_for(secrets: Secrets, call_id: str, origin: str | None = None) -> str:
    """For the address of a call's websocket, and pages of `origin` (lower case); None: of those
    that may connect to any call."""
    at = str(int(time.time()))
    purpose, signed = _signed(call_id, origin, at)
    return f"{at}.{secrets.sign(purpose, signed)}"


def proved_s_ago(secrets: Secrets, call_id: str, origin: str | None, proof: str) -> float | None:
    """How old `proof` is; None if it is not ours, or for something else. All may be anything."""
    at, _, signature = proof.partition(".")
    if not (at.isascii() and at.isdecimal() and len(at) <= 12 and len(call_id) <= 36):
        return None
    purpose, signed = _signed(call_id, origin, at)
    return time.time() - int(at) if secrets.verify(purpose, signed, signature) else None


def _signed(call_id: str, origin: str | None, at: str) -> tuple[str, str]:
    """For what purpose, and what."""
    if origin is None:
        return _PURPOSE, f"{at}\n{call_id}"
    return _PAGE_PURPOSE, f"{at}\n{call_id}\n{origin}"


async def begin(
    session: AsyncSession,
    switchboard: Switchboard,
    process: Process,
    organization_id: uuid.UUID,
    wish: TestCallCreate,
    *,
    for_public: bool = False,
) -> Begun:
    """The agent need not be active, so that it can be tried before it takes calls; for the public
    it has to be (409 `agent_inactive`). Raises `Error` 404 for an agent that is not there, 400 for
    changes that could not be saved, 402 if the balance does not suffice, 429 if there is no room
    for a call, 503 while the server stops."""
    if switchboard.refuses:
        raise errors.unavailable("The server is stopping")
    agent = await agents.one(session, organization_id, wish.agent_id)
    if for_public and not agent.is_active:
        raise errors.conflict("agent_inactive", "This agent takes no calls")
    changes: dict[str, Any] | None = None
    if wish.agent is not None:
        try:
            await draft(session, process, agent, wish.agent.changes())
        except SecretsUnreadable as failure:
            raise errors.conflict("secrets_unreadable", str(failure)) from None
        changes = wish.agent.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude=_NOT_OF_A_CALL
        )
    room = await look(session, organization_id, switchboard.settings)
    if not room.for_a_call:
        raise errors.too_many_calls()
    token = random.token_urlsafe(32)
    now = utcnow()
    call = CallRow(
        id=uuid.uuid4(),
        organization_id=organization_id,
        agent_id=wish.agent_id,
        provider=PROVIDER,
        direction="inbound",
        status="queued",
        customer_number=CUSTOMER,
        token_hash=digest(token),
        lease_owner=switchboard.heartbeat.name,
        started_at=now,
        context_variables=wish.context_variables,
        meta=wish.metadata,
        agent_changes=changes,
    )
    if not await switchboard.admission.admit(session, call):
        raise errors.insufficient_funds()
    session.add(call)
    await session.flush()
    await advance(session, call.id, organization_id, "ringing")
    return Begun(call.id, token, now + TOKEN_LASTS)
