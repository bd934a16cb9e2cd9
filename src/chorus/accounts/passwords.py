"""Passwords: argon2id, in threads, and no more than a few at once.

A hash takes 64 MiB and tens of milliseconds, so that guessing is dear; `Passwords` therefore
hashes only so many at a time, whoever asks, and refuses when too many wait already. Who does not
exist, or has no password, is compared with a password that nobody has: that takes as long.
"""

from __future__ import annotations

import asyncio
import secrets as random
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chorus.errors import invalid_field, label, unavailable

SHORTEST, LONGEST = 10, 256
_AT_ONCE = 2
_WAITING = 100
_JUDGED = 40
"""Characters that are judged: the effort grows with the square of the length."""


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str, *, field: str = "password") -> str:
        """Of a new password, told as `field`. Raises `Error` 400 for one that is easy to guess, 503
        if too many wait."""
        async with self._in_turn():
            if weakness := await asyncio.to_thread(_weakness, _normal(password)):
                raise invalid_field(field, f"{label(field)} is easy to guess: {weakness}")
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def renew(self, password: str) -> str:
        """The hash of a password that is in use, made with today's effort."""
        async with self._in_turn():
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def which(self, stored: Sequence[str], password: str, tries: int) -> list[str]:
        """Those of `stored` that the password is of. Always compares `tries` times, so the time
        does not tell how many accounts there are."""
        padded = [*stored, *[None] * (tries - len(stored))]
        return [each for each in padded if await self.matches(each, password) and each]

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; `stored` null is nobody's. Raises `Error` 503 as well."""
        async with self._in_turn():
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
        async with self._in_turn():
            await asyncio.to_thread(lambda: self._nobodys)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncGenerator[None, None]:
        if self._waiting >= _WAITING:
            raise unavailable("Too many log in at the same moment. Please try again.")
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1


def _weakness(password: str) -> str | None:
    """Why it is easy to guess: it is in the lists of common passwords and words, or near to one, or
    a pattern. None if it would take more than a million guesses."""
    from zxcvbn import zxcvbn  # some 30 ms and 10 MB, which no server needs at start

    found = zxcvbn(password[:_JUDGED])
    if found["score"] > 1:
        return None
    warning: str = found["feedback"]["warning"] or "Add another word or two."
    return warning.rstrip(".")


def _normal(password: str) -> str:
    # Keyboards differ in which of the equal forms of é they send.
    return unicodedata.normalize("NFKC", password)
