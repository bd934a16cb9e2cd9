"""Each organization's catalogue: what everybody has, and what its keys in force add."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.catalogue.catalogue import Catalogue
from chorus.catalogue.lists import Lists
from chorus.catalogue.offers import with_keys
from chorus.db import Database
from chorus.outbound import Outbound
from chorus.providers.in_force import KeyInForce, of_organization, operators, together
from chorus.settings import Settings

_MOST_BUILT = 256
"""A catalogue may hold thousands of voices, and is asked for with every call."""


class Catalogues:
    """One a process. `base` is what needs no key of a vendor."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        secrets: Callable[[], Secrets],
        base: Catalogue,
    ) -> None:
        """`secrets` is called when the first key is to be read."""
        self.base = base
        self._database = database
        self._secrets = secrets
        self._operators = operators(settings)
        self._lists = Lists(database)
        self._built: OrderedDict[object, Catalogue] = OrderedDict()

    async def of(self, session: AsyncSession, organization_id: uuid.UUID) -> Catalogue:
        """As it is known now; no vendor is asked."""
        return await self._build(
            session, organization_id, await self._keys(session, organization_id)
        )

    async def fresh(
        self, organization_id: uuid.UUID, net: Outbound, *, unknown_only: bool = False
    ) -> Catalogue:
        """With lists that are not older than ten minutes, where vendors answer within seconds.
        Opens sessions of its own, and holds none while it waits. `unknown_only`: a list of any
        age will do."""
        async with self._database.reading() as session:
            keys = await self._keys(session, organization_id)
            known = await self._lists.of(session, organization_id, keys) if keys else {}
        if not keys:
            return self.base
        await self._lists.refresh(organization_id, keys, known, net, unknown_only=unknown_only)
        async with self._database.reading() as session:
            return await self._build(session, organization_id, keys)

    async def keys(
        self, organization_id: uuid.UUID, session: AsyncSession | None = None
    ) -> tuple[KeyInForce, ...]:
        """Those in force. Opens a session of its own unless there is one."""
        if session is not None:
            return await self._keys(session, organization_id)
        async with self._database.reading() as session:
            return await self._keys(session, organization_id)

    async def _keys(
        self, session: AsyncSession, organization_id: uuid.UUID
    ) -> tuple[KeyInForce, ...]:
        own = await of_organization(session, organization_id, self._secrets)
        return together(own, self._operators)

    async def _build(
        self, session: AsyncSession, organization_id: uuid.UUID, keys: tuple[KeyInForce, ...]
    ) -> Catalogue:
        if not keys:
            return self.base
        listed = await self._lists.of(session, organization_id, keys)
        of_what = tuple(
            (key.fingerprint, key.id, key.models, listed[key.fingerprint].fetched_at)
            for key in keys
        )
        found = self._built.get(of_what)
        if found is None:
            found = with_keys(
                self.base,
                keys,
                {mark: each.voices for mark, each in listed.items()},
                {mark: each.models for mark, each in listed.items()},
            )
            self._built[of_what] = found
            if len(self._built) > _MOST_BUILT:
                self._built.popitem(last=False)
        self._built.move_to_end(of_what)
        return found
