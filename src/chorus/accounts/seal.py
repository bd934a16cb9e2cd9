"""A sentence that everybody knows, encrypted: by it a server sees whether its secret key is right.

`ensure` puts it into the database at the first start, or reads it; a key that cannot read it is
another one than what is stored was encrypted with. A database that is older than this has none
yet: there, one value of each encrypted column must be readable before it is sealed.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.encrypted import columns
from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.accounts.tables import Seal
from chorus.db import Database

_SENTENCE = "what was encrypted with this key can be read with it"


async def check(session: AsyncSession, secrets: Secrets) -> bool:
    """Whether there is a seal. Raises `SecretsUnreadable` if it was made with another key."""
    stored = await session.scalar(sa.select(Seal.sentence))
    if stored is None:
        return False
    if secrets.decrypt(stored) != _SENTENCE:
        raise SecretsUnreadable("the sentence that tells the secret key's seal was changed")
    return True


async def ensure(database: Database, secrets: Secrets, metadata: sa.MetaData) -> None:
    """Raises `SecretsUnreadable`."""
    async with database.writing() as session:
        if await check(session, secrets):
            return
        for column in columns(metadata):
            stored = await session.scalar(sa.select(column).where(column.is_not(None)).limit(1))
            if stored is not None:
                secrets.decrypt(stored)
        if not database.settings.is_sqlite:
            # Of several servers that start at once, one seals.
            await session.execute(sa.text("LOCK TABLE seals IN EXCLUSIVE MODE"))
            if await check(session, secrets):
                return
        session.add(Seal(id=1, sentence=secrets.encrypt(_SENTENCE)))
