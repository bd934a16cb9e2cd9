"""`chorus orgs` and `chorus secrets`: organizations, their members, and the keys of secrets.

Passwords are asked for at the terminal, or read from the first line of standard input: never an
argument, which other users of the machine could see.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import uuid

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts import audit, members, organizations, second_factor, sessions
from chorus.accounts.command import Refused, on_database, organization, user
from chorus.accounts.passwords import Passwords
from chorus.accounts.ring import CACHE_S
from chorus.accounts.rotate import rotate
from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.accounts.sso import connections
from chorus.accounts.tables import Identity, Member, Organization
from chorus.db import Database, scoped, utcnow
from chorus.errors import Error
from chorus.settings import Settings


def create(settings: Settings, options: argparse.Namespace) -> int:
    name: str = options.name.strip()
    if not 1 <= len(name) <= 255:
        print("The name must have 1 to 255 characters", file=sys.stderr)
        return 2

    async def work(session: AsyncSession) -> str:
        made = await organizations.create(session, name)
        _note(session, made.id, "createOrganization", "organization", made.id, ["name"])
        return str(made.id)

    return on_database(settings, work)


def list_organizations(settings: Settings, _: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        people = (
            sa.select(sa.func.count())
            .where(Member.organization_id == Organization.id)
            .scalar_subquery()
        )
        query = sa.select(Organization, people).order_by(Organization.created_at)
        lines = [f"{'id':<36}  {'state':<9}  {'members':>7}  {'made':<10}  name"]
        for found, count in await session.execute(query):
            state = "suspended" if found.suspended_at else "active"
            lines.append(
                f"{found.id}  {state:<9}  {count:>7}  {found.created_at:%Y-%m-%d}  {found.name}"
            )
        return "\n".join(lines)

    return on_database(settings, work)


def add_member(settings: Settings, options: argparse.Namespace) -> int:
    email = _email(options.email)
    password = None if options.invite else _password()
    if email is None or (password is None and not options.invite):
        return 2

    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        hashed = await _hashed(password) if password else None
        try:
            member, token = await members.add(
                session,
                organization_id,
                email=email,
                role=options.role,
                name=options.name,
                password_hash=hashed,
                password_is_own=True,
                now=utcnow(),
            )
        except Error as error:
            raise Refused(error.message) from None
        fields = ["email", "role", *(["password"] if hashed else [])]
        _note(session, organization_id, "createMember", "members", member.id, fields)
        if token is None:
            return f"Added {email}, {options.role}."
        return f"Invited {email}, {options.role}. The invitation token, shown this once:\n\n{token}"

    return on_database(settings, work)


async def _hashed(password: str) -> str:
    try:
        return await Passwords().hash(password)
    except Error as error:
        raise Refused(error.details[0].message if error.details else error.message) from None


async def _member(session: AsyncSession, organization_id: uuid.UUID, email: str) -> Member:
    member = await session.scalar(
        scoped(Member, organization_id).where(Member.email == email).with_for_update()
    )
    if member is None:
        raise Refused(f"There is no member {email} in this organization")
    return member


def set_password(settings: Settings, options: argparse.Namespace) -> int:
    email = _email(options.email)
    password = _password() if email else None
    if email is None or password is None:
        return 2

    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        member = await _member(session, organization_id, email)
        hashed = await _hashed(password)
        identity = member.identity or Identity(email=email)
        identity.password_hash, identity.password_is_own = hashed, True
        member.identity = identity
        member.invitation_hash = member.invitation_expires_at = None
        await session.flush()  # a new identity has no id before
        await sessions.end_all_of_identity(session, None, identity.id)
        _note(session, organization_id, "changePassword", "members", member.id, ["password"])
        return f"Set. Sessions of {email} end within {CACHE_S:.0f} seconds."

    return on_database(settings, work)


def drop_second_factor(settings: Settings, options: argparse.Namespace) -> int:
    email = _email(options.email)
    if email is None:
        return 2

    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        member = await _member(session, organization_id, email)
        if member.identity is None or not second_factor.is_on(member.identity):
            raise Refused(f"{email} has no second factor")
        second_factor.remove(member.identity)
        await sessions.end_all_of_identity(session, None, member.identity.id)
        _note(session, organization_id, "deleteMemberSecondFactor", "members", member.id, [])
        return f"Gone: the password alone logs {email} in."

    return on_database(settings, work)


def allow_passwords(settings: Settings, options: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        provider = await connections.of(session, organization_id)
        if provider is None or not provider.required:
            raise Refused("It requires no identity provider")
        provider.required = False
        _note(session, organization_id, "putSso", "sso", provider.id, ["required"])
        return "Members may log in with their passwords again."

    return on_database(settings, work)


def suspend(settings: Settings, options: argparse.Namespace) -> int:
    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.id)
        resumes: bool = options.resume
        if not await organizations.suspend(session, organization_id, None if resumes else utcnow()):
            raise Refused("It is not suspended" if resumes else "It is suspended already")
        action = "resumeOrganization" if resumes else "suspendOrganization"
        _note(session, organization_id, action, "organization", organization_id, [])
        does = "let its keys and members in again" if resumes else "refuse its keys and members"
        return f"Running servers {does} within {CACHE_S:.0f} seconds."

    return on_database(settings, work)


def limit(settings: Settings, options: argparse.Namespace) -> int:
    wishes: dict[str, int | None] = {}
    for name, text in (
        ("rate_limit_ceiling", options.rate_limit),
        ("concurrent_calls_ceiling", options.concurrent_calls),
    ):
        if text is None:
            continue
        if text != "none" and not (
            text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000
        ):
            print(f"A limit must be a whole number or none, not {text!r}", file=sys.stderr)
            return 2
        wishes[name] = None if text == "none" else int(text)
    if not wishes:
        print("Give --rate-limit or --concurrent-calls, or both", file=sys.stderr)
        return 2

    async def work(session: AsyncSession) -> str:
        organization_id = await organization(session, options.organization)
        found = await organizations.set_ceilings(session, organization_id, wishes)
        audit.note(session, **wishes)
        _note(
            session,
            organization_id,
            "limitOrganization",
            "organization",
            organization_id,
            list(wishes),
        )
        rate = found.rate_limit_ceiling or "no limit"
        calls = found.concurrent_calls_ceiling or f"{settings.max_concurrent_calls} (the server's)"
        return f"{found.name}: requests a minute {rate}, calls at once {calls}"

    return on_database(settings, work)


def rotate_secrets(settings: Settings, metadata: sa.MetaData) -> int:
    """Prints a line for each encrypted column; 1 if something could not be read."""

    async def run() -> int:
        database = Database(settings)
        try:
            counts = await rotate(database, Secrets.of(settings), metadata)
        finally:
            await database.close()
        print(f"{'column':<40}  {'renewed':>8}  {'newest already':>14}  {'unreadable':>10}")
        for count in counts:
            print(
                f"{count.column:<40}  {count.renewed:>8}  {count.newest_already:>14}"
                f"  {len(count.unreadable):>10}"
            )
        lost = [f"{count.column} of {id}" for count in counts for id in count.unreadable]
        for name in lost:
            print(f"No key that was given can read {name}", file=sys.stderr)
        if not lost:
            print("Everything has the newest key; older keys are not needed any more.")
        return 1 if lost else 0

    try:
        return asyncio.run(run())
    except SecretsUnreadable as error:
        print(error, file=sys.stderr)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        print(f"The database cannot be used ({cause}). Has it been migrated?", file=sys.stderr)
    return 1


def _note(
    session: AsyncSession,
    organization_id: uuid.UUID,
    action: str,
    resource: str,
    resource_id: uuid.UUID,
    fields: list[str],
) -> None:
    audit.record_operator(session, organization_id, user(), action, resource, resource_id, fields)


def _email(text: str) -> str | None:
    try:
        return members.email_address(text)
    except ValueError as error:
        print(f"The e-mail {error}", file=sys.stderr)
        return None


def _password() -> str | None:
    if sys.stdin.isatty():
        given = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != given:
            print("These were two different passwords", file=sys.stderr)
            return None
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    try:
        return members.good_password(given)
    except ValueError as error:
        print(f"The password {error}", file=sys.stderr)
        return None
