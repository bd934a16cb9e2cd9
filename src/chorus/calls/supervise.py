"""Supervising a live call by its sound: the token, and the process that holds the call.

`begin` makes a supervision, which is nothing but a signed token: for whom, of which call, and until
when. It is stored nowhere. The supervisor's sound comes over a websocket of the same messages as a
browser's call (`lines/browser/`), to the process that holds the call: no other has its sound. One
that does not passes the socket on to it (`relay.py`), or where there is no way says `not_here`, and
the token is still good. It is taken once.

`SupervisorDesk` is the `Talks` of that socket.
"""

from __future__ import annotations

import base64
import logging
import secrets as random
import struct
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import WebSocketRoute

from chorus import errors
from chorus.accounts.organizations import one as organization_of
from chorus.accounts.principal import Principal
from chorus.calls import queries
from chorus.calls.browser import proof_for, proved_s_ago
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.durable.tables import Executor
from chorus.lines.browser.carrier import allowed_origins
from chorus.lines.browser.socket import BrowserSocket
from chorus.lines.desk import NotHere, Relayed
from chorus.lines.line import Line
from chorus.talk.supervision import Hears, NotSupervised

log = logging.getLogger(__name__)

PATH = "/supervise/media"
TOKEN_LASTS = timedelta(seconds=60)
PURPOSE = "supervision"
_USED_MOST = 1000
_PACKED = ">16s16s16s16sBBI"
_KINDS: tuple[Literal["key", "member"], ...] = ("key", "member")
_HEARS: tuple[Hears, ...] = ("caller", "agent", "both")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says: who may hear whom of which call, until when (Unix time)."""

    id: uuid.UUID
    call_id: uuid.UUID
    organization_id: uuid.UUID
    by: uuid.UUID
    kind: Literal["key", "member"]
    hears: Hears
    until: int

    def packed(self) -> str:
        """Short: the start of a socket holds 256 characters."""
        ids = (self.id.bytes, self.call_id.bytes, self.organization_id.bytes, self.by.bytes)
        parts = (*ids, _KINDS.index(self.kind), _HEARS.index(self.hears), self.until)
        return base64.urlsafe_b64encode(struct.pack(_PACKED, *parts)).decode()

    @classmethod
    def unpacked(cls, body: str) -> Grant:
        *ids, kind, hears, until = struct.unpack(_PACKED, base64.urlsafe_b64decode(body))
        id, call_id, organization_id, by = (uuid.UUID(bytes=each) for each in ids)
        return cls(id, call_id, organization_id, by, _KINDS[kind], _HEARS[hears], until)


@dataclass(frozen=True, slots=True)
class Supervision:
    id: uuid.UUID
    url: str
    token: str = field(repr=False)
    expires_at: datetime


async def begin(
    session: AsyncSession,
    switchboard: Switchboard,
    principal: Principal,
    call_id: uuid.UUID,
    hears: Hears,
) -> Supervision:
    """Raises `Error` 404, or 409 `call_not_live` if nobody talks on the call."""
    row = await queries.one(session, principal.organization_id, call_id)
    if row.status != "in_progress":
        raise errors.conflict("call_not_live", f"Nobody talks on the call: it is {row.status}")
    id, expires_at = uuid.uuid4(), utcnow() + TOKEN_LASTS
    grant = Grant(
        id,
        call_id,
        principal.organization_id,
        principal.id,
        principal.kind,
        hears,
        int(expires_at.timestamp()),
    )
    body = grant.packed()
    token = f"{body}.{switchboard.secrets.sign(PURPOSE, body)}"
    holder = await session.scalar(
        sa.select(Executor.media_url).where(Executor.id == row.lease_owner)
    )
    base = (holder or switchboard.settings.media_base) + PATH
    url = f"{base}/{id}/{proof_for(switchboard.secrets, str(id))}"
    return Supervision(id, url, token, expires_at)


class SupervisorDesk:
    """Implements `Talks`. The ids are those of supervisions."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._claimed: dict[str, Grant] = {}
        self._used: dict[str, None] = {}

    async def claim(self, call_id: str, token: str) -> bool:
        """True once only. Raises `NotHere` where another process holds the call."""
        grant = self._read(token)
        if grant is None or not random.compare_digest(str(grant.id).encode(), call_id.encode()):
            return False
        if grant.until < utcnow().timestamp() or call_id in self._used:
            return False
        if grant.call_id not in self._switchboard.live:
            holder = await self._holder(grant.call_id)
            raise NotHere(await self._switchboard.relay.to(holder))
        self._used[call_id] = None
        while len(self._used) > _USED_MOST:  # the oldest have expired
            del self._used[next(iter(self._used))]
        self._claimed[call_id] = grant
        return True

    async def converse(self, line: Line, call_id: str) -> None:
        """Be on the call for as long as it lasts, or the supervisor does."""
        grant = self._claimed.pop(call_id)
        async with self._switchboard.database.reading() as session:
            organization = await organization_of(session, grant.organization_id)
        call = self._switchboard.live.get(grant.call_id)
        if call is None:
            return
        try:
            over = call.supervisors.join(
                call_id,
                line,
                grant.hears,
                f"{grant.kind} {grant.by}",
                tone=organization.supervision_tone,
                announcement=organization.supervision_announcement,
            )
        except NotSupervised as refused:
            log.info("call %s is not supervised: %s", grant.call_id, refused)
            return
        await over.wait()

    async def way_to(self, call_id: str) -> Relayed | None:
        """A supervision is stored nowhere: who holds it is not known."""
        return None

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return proved_s_ago(self._switchboard.secrets, call_id, origin, proof)

    async def _holder(self, call_id: uuid.UUID) -> str | None:
        query = sa.select(CallRow.lease_owner).where(
            CallRow.id == call_id, CallRow.status == "in_progress"
        )
        async with self._switchboard.database.reading() as session:
            return await session.scalar(query)

    def _read(self, token: str) -> Grant | None:
        body, _, signature = token.partition(".")
        if not signature or not self._switchboard.secrets.verify(PURPOSE, body, signature):
            return None
        return Grant.unpacked(body)


def route(switchboard: Switchboard) -> WebSocketRoute:
    """Where supervisors connect, in a process that holds calls."""
    settings = switchboard.settings
    socket = BrowserSocket(SupervisorDesk(switchboard), allowed_origins(settings))
    return WebSocketRoute(PATH + "/{call_id}/{proof}", socket)
