"""Attempts to log in: each that fails makes the next one wait longer.

Three things are counted: an account from one address, which is what a person who mistypes does;
an address, whatever the accounts; and an account, whatever the addresses, which is bounded more
gently, and not where its member is logged in, because otherwise anybody could keep a member out.
The codes of an identity's second factor count as an account of their own, bounded by `CODES`.
An attempt is counted before the password is looked at, so that many at once gain nothing, and what
succeeds is taken back. Whether the account exists makes no difference. The counts are in the
database: several servers share them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.tables import LoginAttempts, Member, MemberSession
from chorus.addresses import household
from chorus.db import Database

FORGOTTEN_AFTER = timedelta(hours=24)
_SESSIONS = 100


@dataclass(frozen=True, slots=True)
class Bound:
    """`free` attempts may fail; then each waits twice as long as the one before, up to `most_s`."""

    free: int
    most_s: int

    def delay_s(self, failures: int) -> int:
        beyond = failures - self.free
        return 0 if beyond <= 0 else min(self.most_s, 2 ** min(beyond, 20))


PAIR = Bound(free=5, most_s=900)
ADDRESS = Bound(free=30, most_s=900)
ACCOUNT = Bound(free=50, most_s=60)
CODES = Bound(free=10, most_s=3600)
"""Of an account's second factor: who tries its codes knows the password already, and of a million
codes three are right at any moment."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to log in to `account` (an e-mail address, or an identity's second factor) from
    `address`; null is no account, where the address alone counts."""

    account: str | None
    address: str
    of_account: Bound = ACCOUNT

    def bounds(self) -> dict[str, Bound]:
        address = household(self.address)
        found = {self._of_address: ADDRESS}
        if self.account is not None:
            found[_hash("pair", self.account, address)] = PAIR
            found[_hash("account", self.account)] = self.of_account
        return found

    @property
    def _of_address(self) -> str:
        return _hash("address", household(self.address))

    async def _is_known(self, session: AsyncSession) -> bool:
        """Whether the account is logged in from this address: what strangers try elsewhere must not
        keep its member out."""
        found = await session.scalars(
            sa.select(MemberSession.address)
            .join(Member, Member.id == MemberSession.member_id)
            .where(Member.email == self.account)
            .limit(_SESSIONS)
        )
        return household(self.address) in {household(address) for address in found}

    async def begin(self, database: Database, now: datetime) -> int:
        """Count it; returns 0, or how many seconds to wait, and then it is not counted."""
        try:
            return await self._begin(database, now)
        except IntegrityError:
            # On Postgres two may both find no row; the second one's insert fails.
            return await self._begin(database, now)

    async def _begin(self, database: Database, now: datetime) -> int:
        bounds = self.bounds()
        async with database.writing() as session:
            # In one order, so that two never wait for each other.
            found = await session.scalars(
                sa.select(LoginAttempts)
                .where(LoginAttempts.name.in_(bounds))
                .order_by(LoginAttempts.name)
                .with_for_update()
            )
            rows = {row.name: row for row in found}
            account = _hash("account", self.account or "")
            blocking = {name: row for name, row in rows.items() if row.blocked_until > now}
            if account in blocking and await self._is_known(session):
                del blocking[account]
            waits = [(row.blocked_until - now).total_seconds() for row in blocking.values()]
            if waits and max(waits) > 0:
                return max(1, round(max(waits)))
            for name in sorted(bounds):
                row = rows.get(name)
                if row is None:
                    row = LoginAttempts(name=name, failures=0)
                    session.add(row)
                elif row.last_at < now - FORGOTTEN_AFTER:
                    row.failures = 0
                row.failures += 1
                row.last_at = now
                row.blocked_until = now + timedelta(seconds=bounds[name].delay_s(row.failures))
        return 0

    async def succeeded(self, session: AsyncSession, now: datetime) -> None:
        """Forget what failed before; of the address, this attempt alone."""
        address = self._of_address
        row = LoginAttempts
        names = self.bounds().keys() - {address}
        await session.execute(sa.delete(row).where(row.name.in_(names)))
        await session.execute(
            sa.update(row)
            .where(row.name == address, row.failures > 0)
            .values(failures=row.failures - 1, blocked_until=now)
        )


async def sweep(database: Database, now: datetime) -> None:
    async with database.writing() as session:
        old = LoginAttempts.last_at < now - FORGOTTEN_AFTER
        await session.execute(sa.delete(LoginAttempts).where(old))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
