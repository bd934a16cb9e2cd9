"""Reading keys of vendors."""

from __future__ import annotations

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.db import named_like, scoped
from chorus.providers.schemas import ProviderKeyOut, ProviderKeyTestOut
from chorus.providers.tables import ProviderKey
from chorus.providers.vendors import BY_NAME
from chorus.wire import Found, SearchQuery


async def page(
    session: AsyncSession,
    organization_id: uuid.UUID,
    wanted: SearchQuery,
) -> tuple[list[ProviderKey], Found]:
    query = scoped(ProviderKey, organization_id)
    if search := wanted.wanted:
        query = query.where(named_like(ProviderKey.name, search))
    return await lists.of(session, query, ProviderKey, wanted)


async def one(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> ProviderKey:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(ProviderKey, organization_id).where(ProviderKey.id == id)
    return await lists.one(session, query, "Provider key", lock=lock)


def present(key: ProviderKey) -> ProviderKeyOut:
    """The key as the API shows it."""
    return ProviderKeyOut(
        id=key.id,
        provider=key.provider,
        name=key.name,
        key_hint=key.hint,
        base_url=key.base_url,
        models=key.models,
        used_for=list(BY_NAME[key.provider].parts),
        last_test=ProviderKeyTestOut.model_validate(key.tested) if key.tested else None,
        rotated_at=key.rotated_at,
        created_at=key.created_at,
        updated_at=key.updated_at,
    )
