"""A call from a web page to an agent: the row, and the token that the page shows for it.

It counts like one that comes in, and takes room from this moment; the page connects to
`lines/browser/` with the token, within `TOKEN_LASTS`. A call to which nobody came ends by itself
(`recover.py`).
"""

from __future__ import annotations

import secrets as random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.secrets import SecretsUnreadable, digest
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

PAGE_PURPOSE = "browser page"
"""Of the signature with which a page of another site connects."""

_NOT_OF_A_CALL = {"post_call_webhook_secret"}


@dataclass(frozen=True, slots=True)
class Begun:
    call_id: uuid.UUID
    token: str = field(repr=False)
    expires_at: datetime


def page_of(call_id: str, origin: str) -> str:
    """What is signed for a page of `origin` (lower case) that may connect to the call."""
    return f"{call_id}\n{origin}"


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
