"""Passwords: hashed as argon2id, compared in equal time, and only so many at once."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher
from tests.accounts.people import PASSWORD, QUICK

from chorus.accounts import passwords
from chorus.accounts.passwords import Passwords
from chorus.errors import Error


async def test_what_is_stored():
    stored = await Passwords().hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in stored
    box = Passwords(QUICK)
    stored = await box.hash("caf\u00e9 and more")
    assert await box.matches(stored, "cafe\u0301 and more")  # the same in other bytes
    assert not await box.matches(stored, "cafe and more")
    assert not await box.matches("no hash at all", "x")
    assert not await box.matches(None, "x")
    assert Passwords().is_outdated(stored)


async def test_only_so_many_at_once_and_so_many_wait(monkeypatch: pytest.MonkeyPatch):
    go_on, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            go_on.wait(10)
            with lock:
                running -= 1
            return "hash"

    monkeypatch.setattr(passwords, "_WAITING", 6)
    box = Passwords(Slow())
    tasks = [asyncio.create_task(box.renew("x")) for _ in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(Error, match="Too many log in"):
        await box.renew("x")
    go_on.set()
    assert await asyncio.gather(*tasks) == ["hash"] * 6
    assert most <= 2
    assert await box.renew("x") == "hash"


@pytest.mark.parametrize(
    "password", ["aaaaaaaaaa", "password123", " " * 10, "qwertyuiop1", "a" * 256]
)
async def test_what_is_easy_to_guess_is_refused(password: str):
    with pytest.raises(Error) as refused:
        await Passwords(QUICK).hash(password, field="newPassword")
    [detail] = refused.value.details
    assert detail.field == "newPassword"
    assert detail.message.startswith("New password is easy to guess: ")
