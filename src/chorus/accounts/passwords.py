"""Passwords: argon2id, in threads, and no more than a few at once.

A hash takes 64 MiB and tens of milliseconds, so that guessing is dear; `Passwords` therefore
hashes only so many at a time, whoever asks. Who does not exist, or has no password, is compared
with a password that nobody has: that takes as long.
"""

from __future__ import annotations

import asyncio
import secrets as random
import unicodedata
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 10, 256
_AT_ONCE = 2


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        async with self._turn:
            return await asyncio.to_thread(self._matches, stored, password)

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with less effort than is made today."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(random.token_urlsafe())

    def _matches(self, stored: str | None, password: str) -> bool:
        against = self._nobodys if stored is None else stored
        try:
            return self._hasher.verify(against, _normal(password)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    async def prepare(self) -> None:
        """Make what the first comparison would otherwise take longer for than the others."""
        async with self._turn:
            await asyncio.to_thread(lambda: self._nobodys)


def _normal(password: str) -> str:
    # Keyboards differ in which of the equal forms of é they send.
    return unicodedata.normalize("NFKC", password)
