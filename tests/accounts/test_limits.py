"""Limits of those who show no valid key: by household, and of wrong keys in all."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.conftest import settings_for
from tests.fakes.api import KEY, Api, running

from chorus.accounts.limits import RateLimits


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, at the beginning of a minute of the clock."""
    now = [1_000_000_020.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


async def test_a_whole_household_is_one(now: list[float]) -> None:
    limits = RateLimits(10)
    for n in range(10):
        assert (await limits.take(None, f"2001:db8::{n:x}")).allowed
    assert not (await limits.take(None, "2001:db8::ffff")).allowed
    assert limits.look("2001:db8::1:0:0:1").remaining == 0
    assert (await limits.take(None, "2001:db8:0:1::1")).allowed
    assert (await limits.take(None, "203.0.113.1")).allowed


async def test_a_whole_household_guesses_as_one(now: list[float]) -> None:
    limits = RateLimits(10)
    for n in range(100):
        assert limits.may_guess(f"2001:db8::{n:x}").allowed
        limits.guessed(f"2001:db8::{n:x}")
    assert not limits.may_guess("2001:db8::ffff").allowed
    assert limits.may_guess("2001:db8:0:1::1").allowed


async def test_wrong_keys_of_all_addresses_are_bounded_together(now: list[float]) -> None:
    limits = RateLimits(10)
    looked_for = 0
    for n in range(4000):
        address = f"10.0.{n % 8}.{n % 50}"  # each far below what is its own
        if limits.may_guess(address).allowed:
            looked_for += 1
            limits.guessed(address)
    assert looked_for == 1000
    refused = limits.may_guess("10.0.0.0")
    assert not refused.allowed
    assert 1 <= refused.reset_at - now[0] <= 121
    # Whoever has not guessed pays nothing for what others do, and has one mistake.
    assert limits.may_guess("203.0.113.1").allowed
    limits.guessed("203.0.113.1")
    assert not limits.may_guess("203.0.113.1").allowed
    now[0] += 121
    assert limits.may_guess("10.0.0.0").allowed


def client_from(api: Api, address: str, key: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(api.app, client=(address, 1))
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(transport=transport, base_url="http://chorus", headers=headers)


async def test_a_flood_of_wrong_keys_keeps_no_genuine_one_out(
    tmp_path: Path, now: list[float]
) -> None:
    async with running(settings_for(tmp_path, rate_limit_per_minute=2)) as api:
        # Two for each /64: no address is refused for what it did itself.
        statuses: list[int] = []
        for n in range(205):
            async with client_from(api, f"2001:db8:0:{n % 110:x}::1", f"sk_live_{n:032}") as http:
                statuses.append((await http.get("/v1/agents")).status_code)
        assert statuses == [401] * 200 + [429] * 5
        async with client_from(api, "2001:db8:1::1", KEY) as http:
            assert (await http.get("/v1/agents")).status_code == 200
