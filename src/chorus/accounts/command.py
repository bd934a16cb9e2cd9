"""`chorus keys`: API keys from the command line, on the database of the settings."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts import audit, keys
from chorus.accounts.principal import FULL
from chorus.accounts.tables import Organization
from chorus.db import Database, utcnow
from chorus.settings import Settings


def user() -> str:
    """Whom the audit log names: the machine's user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


class Refused(Exception):
    """Told to the person at the keyboard."""


def create(settings: Settings, options: argparse.Namespace) -> int:
    for name, value in (
        ("--expires-days", options.expires_days),
        ("--rate-limit", options.rate_limit),
    ):
        if value is not None and value < 1:
            print(f"{name} must be at least 1", file=sys.stderr)
            return 2

    async def work(session: AsyncSession) -> str:
        days: int | None = options.expires_days
        organization_id = await organization(session, options.organization)
        row, key = await keys.create(
            session,
            organization_id,
            options.name,
            scopes=("read",) if options.read_only else FULL if options.full else keys.SCOPES,
            rate_limit_per_minute=options.rate_limit,
            expires_at=utcnow() + timedelta(days=days) if days else None,
        )
        audit.record_operator(
            session, organization_id, user(), "createApiKey", "api-keys", row.id, ["name"]
        )
        return key

    return on_database(settings, work)


def list_keys(settings: Settings, options: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        found = await keys.list_keys(session, await organization(session, options.organization))
        lines = [f"{'id':<36}  {'key':<13}  {'may':<10}  {'last used':<16}  {'state':<8}  name"]
        for key in found:
            ended = key.expires_at is not None and key.expires_at <= utcnow()
            state = "revoked" if key.revoked_at else "expired" if ended else "active"
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
            may = ",".join(key.scopes or keys.SCOPES)
            lines.append(
                f"{key.id}  {key.prefix + '…':<13}  {may:<10}  {used:<16}  {state:<8}  {key.name}"
            )
        return "\n".join(lines)

    return on_database(settings, work)


def revoke(settings: Settings, options: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        key_id = _uuid(options.id)
        if not await keys.revoke(session, organization_id, key_id):
            raise Refused(f"There is no such key to revoke: {options.id}")
        audit.record_operator(session, organization_id, user(), "deleteApiKey", "api-keys", key_id)
        return f"Revoked {options.id}; running servers refuse it within {keys.CACHE_S:.0f} seconds."

    return on_database(settings, work)


def on_database(settings: Settings, work: Callable[[AsyncSession], Awaitable[str]]) -> int:
    """Do `work` in one transaction and print what it returns; returns the exit status."""

    async def run() -> str:
        database = Database(settings)
        try:
            async with database.writing() as session:
                return await work(session)
        finally:
            await database.close()

    try:
        print(asyncio.run(run()))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        print(f"The database cannot be used ({cause}). Has it been migrated?", file=sys.stderr)
        return 1
    return 0


async def organization(session: AsyncSession, given: str | None) -> uuid.UUID:
    """The one that is named, or the only one. Raises `Refused`."""
    query = sa.select(Organization.id, Organization.name).order_by(Organization.created_at)
    if given is not None:
        query = query.where(Organization.id == _uuid(given))
    found = (await session.execute(query)).all()
    match found:
        case [only]:
            return only.id
        case []:
            if given is not None:
                raise Refused(f"There is no organization {given}")
            raise Refused("There is no organization yet: `chorus serve` makes the first")
        case _:
            several = "".join(f"\n  {row.id}  {row.name}" for row in found)
            raise Refused(f"There are several organizations; choose by --organization:{several}")


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Refused(f"{text} is not an id (a UUID, as `list` shows it)") from None
