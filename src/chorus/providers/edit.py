"""Making, changing, rotating and deleting keys of vendors.

The address that a key is sent to can only be changed together with the key: whoever may change
settings must not be able to have a stored key sent somewhere else.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.secrets import Secrets
from chorus.db import breaks_unique, scoped, utcnow
from chorus.errors import Problem
from chorus.providers import queries
from chorus.providers.schemas import ProviderKeyCreate, ProviderKeyRotate, ProviderKeyTestOut
from chorus.providers.tables import ProviderKey
from chorus.providers.vendors import BY_NAME, Vendor
from chorus.settings import Settings
from chorus.speech.vendor import google
from chorus.wire import is_plain_http

MOST_KEYS = 50
MOST_CHARACTERS = 512
"""Of a key that is no file."""
_HINT = 4
_SHORTEST_WITH_HINT = 16
"""Of a shorter key, four characters would tell too much."""


async def create(
    session: AsyncSession,
    settings: Settings,
    secrets: Secrets,
    organization_id: uuid.UUID,
    wish: ProviderKeyCreate,
) -> ProviderKey:
    """Raises `Error` 400, and 409 where there is such a key or there are too many."""
    vendor = BY_NAME[wish.provider]
    problems: list[Problem] = []
    if vendor.base_url is None and wish.base_url is None:
        problems.append(Problem("baseUrl", f"Base URL is required with provider {vendor.name}"))
    if vendor.names_models and not wish.models:
        problems.append(Problem("models", f"Models is required with provider {vendor.name}"))
    problems += _problems(settings, vendor, wish.api_key, wish.base_url)
    if problems:
        raise errors.invalid(*problems)
    mine = scoped(ProviderKey, organization_id)
    count = await session.scalar(sa.select(sa.func.count()).select_from(mine.subquery())) or 0
    if count >= MOST_KEYS:
        raise errors.conflict(
            "too_many_provider_keys", f"An organization has at most {MOST_KEYS} provider keys"
        )
    name = wish.name or vendor.title
    key = ProviderKey(
        organization_id=organization_id,
        provider=vendor.name,
        slot=name if vendor.several else "",
        name=name,
        secret=secrets.encrypt(wish.api_key),
        hint=hint_of(vendor, wish.api_key),
        base_url=_without_slash(wish.base_url),
        models=wish.models,
    )
    session.add(key)
    await _flush(session, key)
    return key


async def change(
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, changes: dict[str, Any]
) -> ProviderKey:
    key = await queries.one(session, organization_id, id, lock="change")
    vendor = BY_NAME[key.provider]
    if vendor.names_models and changes.get("models") == []:
        raise errors.invalid_field("models", f"Models is required with provider {vendor.name}")
    if "models" in changes:
        key.models = changes["models"]
    if "name" in changes:
        key.name = changes["name"]
        key.slot = key.name if vendor.several else ""
    await _flush(session, key)
    return key


async def rotate(
    session: AsyncSession,
    settings: Settings,
    secrets: Secrets,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    wish: ProviderKeyRotate,
) -> ProviderKey:
    """Calls that begin from now on use the new key; those under way keep the old one."""
    key = await queries.one(session, organization_id, id, lock="change")
    vendor = BY_NAME[key.provider]
    if problems := _problems(settings, vendor, wish.api_key, wish.base_url):
        raise errors.invalid(*problems)
    key.secret = secrets.encrypt(wish.api_key)
    key.hint = hint_of(vendor, wish.api_key)
    if wish.base_url is not None:
        key.base_url = _without_slash(wish.base_url)
    key.rotated_at = utcnow()
    key.tested = None
    await session.flush()
    return key


async def delete(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    """Agents that use what it opened fall back to what else there is."""
    key = await queries.one(session, organization_id, id, lock="delete")
    await session.delete(key)
    await session.flush()


async def note_test(
    session: AsyncSession, id: uuid.UUID, secret: str, found: ProviderKeyTestOut
) -> None:
    """Unless the key was rotated meanwhile: `secret` is what was tested, as it is stored."""
    await session.execute(
        sa.update(ProviderKey)
        .where(ProviderKey.id == id, ProviderKey.secret == secret)
        .values(
            tested=found.model_dump(mode="json", by_alias=True), updated_at=ProviderKey.updated_at
        )
    )


def hint_of(vendor: Vendor, api_key: str) -> str:
    """A key's end; of a key file, that of the name that the vendor gave it."""
    if vendor.key_is_file:
        api_key = google.ServiceAccount(api_key).key_id
    return f"…{api_key[-_HINT:]}" if len(api_key) >= _SHORTEST_WITH_HINT else "…"


async def _flush(session: AsyncSession, key: ProviderKey) -> None:
    vendor = BY_NAME[key.provider]
    try:
        await session.flush()
    except IntegrityError as error:
        if not breaks_unique(error, ProviderKey, "organization_id", "provider", "slot"):
            raise
        if vendor.several:
            field, sentence = "name", "There is a key of this provider and name"
        else:
            field, sentence = "provider", "There is a key of this provider: rotate it instead"
        raise errors.conflict(
            "provider_key_exists", "This provider key is there already", Problem(field, sentence)
        ) from None


def _problems(settings: Settings, vendor: Vendor, api_key: str, url: str | None) -> list[Problem]:
    """What is wrong with a key, or with where it is to be used."""
    found: list[Problem] = []
    free = settings.allow_private_addresses
    if url is not None and is_plain_http(url) and not free:
        found.append(Problem("baseUrl", "Base URL must begin with https://"))
    elif vendor.key_is_file and url is not None and not google.is_googles(url) and not free:
        found.append(
            Problem("baseUrl", "Base URL must be such as https://eu-speech.googleapis.com")
        )
    if vendor.key_is_file:
        try:
            google.ServiceAccount(api_key).token()
        except ValueError as error:
            found.append(Problem("apiKey", f"API key {error}"))
    elif any(letter.isspace() for letter in api_key) or len(api_key) > MOST_CHARACTERS:
        found.append(
            Problem(
                "apiKey", f"API key must hold no spaces, and {MOST_CHARACTERS} characters at most"
            )
        )
    return found


def _without_slash(url: str | None) -> str | None:
    path, mark, query = (url or "").partition("?")
    return path.rstrip("/") + mark + query or None
