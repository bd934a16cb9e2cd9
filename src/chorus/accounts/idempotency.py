"""Idempotency-Key: a POST repeated within a day gets its first answer again.

1. `claim` writes down, in a transaction of its own, that a request with this key is under way.
   It finds instead: the answer to give again; another body under the same key (409); or one
   that is still under way (409).
2. The request does its work, and `keep` stores its answer in the same transaction: either both
   are there afterwards or neither. A refusal, whose work is undone, is stored by itself.
3. What is not worth keeping (`is_kept`) is forgotten by `drop`, so that the request can be sent
   again with the same key.

A process that dies in between leaves a claim, and no work: the claim is taken over after a minute.
The first request, should it still live after all, finds at `keep` that the claim is no longer its
own, and undoes its work.

A body may hold a password and an answer a new API key: of the body a keyed hash is stored, and
the answer encrypted.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.accounts.tables import IdempotentRequest
from chorus.db import Database, utcnow

KEPT_FOR = timedelta(hours=24)
SWEPT_AFTER = KEPT_FOR + timedelta(hours=2)
"""When nothing of an answer is left for certain: `sweep` runs once an hour."""
# Not about what was asked, but about how and when: a request that was not valid is sent again with
# another body (400, 413), one without a right key with another key (401), and what there was no
# room or rate for may be asked again any moment (429).
_NOT_KEPT = frozenset({400, 401, 413, 429})
_UNDER_WAY_FOR = timedelta(seconds=60)
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")  # a header has no spaces at its ends
_LONGEST_PATH = 255
_PURPOSE = "idempotency"
_SAME = {"/api/calls/outbound": "/v1/calls", "/v1/api/calls/outbound": "/v1/calls"}
"""Paths that are other names for the same verb."""


def is_kept(status: int) -> bool:
    """Whether an answer is given again. A failure of the server (5xx) may be gone next time, and
    has left nothing behind."""
    return status < 500 and status not in _NOT_KEPT


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored response."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A request under way. `id` tells this attempt from one that takes it over."""

    organization_id: uuid.UUID
    path: str
    key: str
    id: uuid.UUID
    secrets: Secrets = field(repr=False)

    def _mine(self) -> sa.ColumnElement[bool]:
        row = IdempotentRequest
        return sa.and_(_is(self.organization_id, self.path, self.key), row.claim == self.id)

    async def keep(self, session: AsyncSession, answer: Answer) -> None:
        """Store the answer with the work that it tells of. Raises `Error` 409 if another request
        has taken the claim over."""
        done = await session.execute(
            sa.update(IdempotentRequest)
            .where(self._mine())
            .values(status=answer.status, body=self.secrets.encrypt(answer.body.decode()))
            .returning(IdempotentRequest.claim)
        )
        if done.first() is None:
            raise _in_progress()

    async def drop(self, database: Database) -> None:
        async with database.writing() as session:
            unanswered = sa.and_(self._mine(), IdempotentRequest.status.is_(None))
            await session.execute(sa.delete(IdempotentRequest).where(unanswered))


async def claim(
    database: Database,
    secrets: Secrets,
    organization_id: uuid.UUID,
    path: str,
    key: str,
    body: bytes,
) -> Claim | Answer:
    """Raises `Error` 400 for a key that is none, 409 as above."""
    if not _KEY.fullmatch(key):
        raise errors.invalid_field(
            "Idempotency-Key", "Idempotency-Key must be 1 to 255 printable ASCII characters"
        )
    path = _fitting(_canonical(_SAME.get(path, path)))
    mine = Claim(organization_id, path, key, uuid.uuid4(), secrets)
    content = hashlib.sha256(body).hexdigest()
    try:
        return await _claim(database, mine, content)
    except IntegrityError:
        # On Postgres two claims may both find nothing; the second one's insert fails here.
        return await _claim(database, mine, content)


async def _claim(database: Database, mine: Claim, content: str) -> Claim | Answer:
    async with database.writing() as session:
        row = await session.scalar(
            sa.select(IdempotentRequest)
            .where(_is(mine.organization_id, mine.path, mine.key))
            .with_for_update()
        )
        now = utcnow()
        lasts = KEPT_FOR if row is not None and row.status is not None else _UNDER_WAY_FOR
        if row is not None and row.created_at + lasts > now:
            if not mine.secrets.verify(_PURPOSE, content, row.request_hash):
                raise errors.conflict(
                    "idempotency_conflict",
                    "This Idempotency-Key was used with a different request body",
                )
            if row.status is None:
                raise _in_progress()
            body: str = mine.secrets.decrypt(row.body) if row.body else ""
            return Answer(row.status, body.encode())
        if row is None:
            row = IdempotentRequest(
                organization_id=mine.organization_id, path=mine.path, key=mine.key
            )
            session.add(row)
        row.request_hash = mine.secrets.sign(_PURPOSE, content)
        row.claim, row.created_at = mine.id, now
        row.status = row.body = None
        return mine


async def sweep(database: Database) -> None:
    """Forget what is older than a day."""
    async with database.writing() as session:
        old = IdempotentRequest.created_at < utcnow() - KEPT_FOR
        await session.execute(sa.delete(IdempotentRequest).where(old))


# --- what answers tell of is deleted --------------------------------------------------------


def of(organization_id: uuid.UUID, paths: Sequence[str]) -> sa.ColumnElement[bool]:
    """The requests to `paths`, in which ids are written as the API writes them."""
    row = IdempotentRequest
    return sa.and_(row.organization_id == organization_id, row.path.in_(paths))


def claimed_between(
    organization_id: uuid.UUID, path: str, first: datetime, last: datetime
) -> sa.ColumnElement[bool]:
    """The requests to `path` that began within a time, which is to be short."""
    row = IdempotentRequest
    # Found by the time. Without statistics SQLite would take the two that are equal, and read
    # all of a day.
    return sa.and_(
        row.created_at.between(first, last),
        sa.func.coalesce(row.organization_id, row.organization_id) == organization_id,
        sa.func.coalesce(row.path, "") == path,
    )


async def change(
    session: AsyncSession,
    secrets: Secrets,
    found: sa.ColumnElement[bool],
    left: Callable[[Any], Any | None],
) -> int:
    """Keep of the answers that are `found` what is `left` of them, both as JSON; None changes
    nothing. Returns how many were changed."""
    row = IdempotentRequest
    query = sa.select(row.organization_id, row.path, row.key, row.body)
    rows = await session.execute(query.where(found, row.body.is_not(None)).with_for_update())
    changed = 0
    for organization_id, path, key, body in rows.all():
        assert body is not None  # asked for above
        try:
            told: str = secrets.decrypt(body)
        except SecretsUnreadable:
            continue  # nor can it be given again
        if (kept := left(orjson.loads(told) if told else None)) is None:
            continue
        await session.execute(
            sa.update(row)
            .where(_is(organization_id, path, key))
            .values(body=secrets.encrypt(orjson.dumps(kept).decode()))
            .execution_options(synchronize_session=False)
        )
        changed += 1
    return changed


# --- paths ----------------------------------------------------------------------------------


def _canonical(path: str) -> str:
    """Ids as the API writes them: capitals, and what else a UUID may be written with, are the same
    request."""
    return "/".join(_same_id(part) for part in path.split("/"))


def _same_id(part: str) -> str:
    try:
        return str(uuid.UUID(part))
    except ValueError:
        return part


def _fitting(path: str) -> str:
    """The path as the column takes it. One that is longer, or not printable, is no route's that
    would find anything; it still must not fail here."""
    if len(path) <= _LONGEST_PATH and path.isprintable():
        return path
    return f"sha256:{hashlib.sha256(path.encode('utf-8', 'replace')).hexdigest()}"


def _is(organization_id: uuid.UUID, path: str, key: str) -> sa.ColumnElement[bool]:
    row = IdempotentRequest
    return sa.and_(row.organization_id == organization_id, row.path == path, row.key == key)


def _in_progress() -> errors.Error:
    return errors.conflict(
        "idempotency_in_progress", "A request with this Idempotency-Key is still under way"
    )
