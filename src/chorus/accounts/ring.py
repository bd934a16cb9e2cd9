"""Look-ups of tokens, remembered for a few seconds.

What is forgotten is looked up anew at once, also if a look-up was under way when it was forgotten.
`forgotten` has all processes forget with the commit of what changed it; where a process does not
hear of that (`news.py`), it sees it at the latest after `CACHE_S`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import news
from chorus.db import after_commit

T = TypeVar("T")

CACHE_S = 5.0
_SIZE = 10_000


async def forgotten(session: AsyncSession, *forget: Callable[[], None]) -> None:
    """Once the session's transaction has committed: `forget` in this process at once, and on
    Postgres everything in all processes, this one too, when the news arrives."""
    for each in forget:
        after_commit(session, each)
    await news.tell_all(session, "access")


class Ring(Generic[T]):
    """Found things by the hash of their token. Absence is not remembered."""

    def __init__(self, look_up: Callable[[str], Awaitable[T | None]], now: Callable[[], float]):
        self._look_up = look_up
        self._now = now
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._forgotten = 0

    async def get(self, hashed: str, *, looks_up: bool = True) -> T | None:
        """Without looking up, only what is remembered."""
        until, found = self._known.get(hashed, (0.0, None))
        if found is not None and self._now() < until:
            return found
        if not looks_up:
            return None
        self._known.pop(hashed, None)
        forgotten = self._forgotten
        found = await self._look_up(hashed)
        if found is not None and forgotten == self._forgotten:
            self._known[hashed] = (self._now() + CACHE_S, found)
            if len(self._known) > _SIZE:
                self._known.popitem(last=False)
        return found

    def forget(self, which: Callable[[T], bool]) -> None:
        self._forgotten += 1
        for hashed, (_, found) in list(self._known.items()):
            if which(found):
                del self._known[hashed]
