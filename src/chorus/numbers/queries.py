"""Reading phone numbers."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from pydantic.alias_generators import to_snake
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.accounts.secrets import Secrets
from chorus.db import named_like, scoped
from chorus.numbers.schemas import PhoneNumberOut, PhoneNumberQuery, RegistrationOut
from chorus.numbers.tables import PhoneNumber
from chorus.wire import Found


async def page(
    session: AsyncSession,
    organization_id: uuid.UUID,
    wanted: PhoneNumberQuery,
) -> tuple[list[PhoneNumber], Found]:
    """`search` looks at the name and at the number; `number` is one, as E.164."""
    query = scoped(PhoneNumber, organization_id)
    if wanted.number is not None:
        query = query.where(PhoneNumber.number == wanted.number)
    if search := wanted.wanted:
        query = query.where(
            sa.or_(named_like(PhoneNumber.name, search), named_like(PhoneNumber.number, search))
        )
    return await lists.of(session, query, PhoneNumber, wanted)


async def one(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> PhoneNumber:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(PhoneNumber, organization_id).where(PhoneNumber.id == id)
    return await lists.one(session, query, "Phone number", lock=lock)


def connection(number: PhoneNumber, secrets: Secrets) -> dict[str, Any]:
    """All of a carrier's settings by their names in the API, secrets included: for the line
    that uses them, not to be shown."""
    return {**number.connection, **_secret(number, secrets)}


def _secret(number: PhoneNumber, secrets: Secrets) -> dict[str, Any]:
    return secrets.decrypt(number.credentials) if number.credentials else {}


def present(number: PhoneNumber) -> PhoneNumberOut:
    """The number as the API shows it."""
    return PhoneNumberOut(
        id=number.id,
        name=number.name,
        number=number.number,
        provider=number.provider,  # pyright: ignore[reportArgumentType]  the column allows these
        agent_id=number.agent_id,
        metadata=number.meta,
        has_credentials=number.credentials is not None,
        registration=RegistrationOut.model_validate(number.registration)
        if number.registration
        else None,
        created_at=number.created_at,
        updated_at=number.updated_at,
        **{to_snake(name): value for name, value in number.connection.items()},
    )
