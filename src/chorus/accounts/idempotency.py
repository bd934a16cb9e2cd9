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
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import IdempotentRequest
from chorus.db import Database, utcnow

KEPT_FOR = timedelta(hours=24)
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
    path = _SAME.get(path, path)
    mine = Claim(organization_id, _fitting(path), key, uuid.uuid4(), secrets)
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
