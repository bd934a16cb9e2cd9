"""What `words.py` asks of a database; the modules `words_sqlite` and `words_postgres` are it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Having:
    """How many chunks have a word, as far as they were counted. `lengths`: of each, in characters,
    by its id; empty where it was not told with the count."""

    count: int
    lengths: Mapping[int, int] = field(default_factory=dict[int, int], repr=False)


class WordIndex(Protocol):
    async def add(self, session: AsyncSession, document_id: uuid.UUID) -> None:
        """Index the chunks of a document."""
        ...

    async def having(
        self, session: AsyncSession, base_ids: Sequence[uuid.UUID], words: Sequence[str], most: int
    ) -> dict[str, Having]:
        """By word; no more than `most` chunks are counted of each."""
        ...

    async def best(
        self,
        session: AsyncSession,
        base_ids: Sequence[uuid.UUID],
        words: Sequence[tuple[str, float, Having]],
        near: int,
        count: int,
    ) -> list[int]:
        """Ids of chunks that have any of the words, by the sum of what those count that they have
        (the numbers); of the best `near` those first that are short for it."""
        ...

    async def shortest_with_all(
        self,
        session: AsyncSession,
        base_ids: Sequence[uuid.UUID],
        words: Sequence[str],
        most: int,
        count: int,
    ) -> list[int]:
        """Of up to `most` chunks that have all of the words, the ids of the shortest."""
        ...
