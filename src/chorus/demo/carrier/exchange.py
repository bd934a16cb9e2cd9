"""What the carrier knows: accounts, numbers, people, calls, and everything that happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from chorus.demo.carrier.person import Person

if TYPE_CHECKING:
    from chorus.demo.carrier.call import SimulatedCall
    from chorus.demo.carrier.conference import Seat
    from chorus.demo.carrier.sip import SipTelephones


@dataclass(frozen=True, slots=True)
class Account:
    sid: str
    auth_token: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number of an account and where its calls are announced."""

    number: str
    account: Account
    voice_url: str
    status_url: str | None = None


@dataclass(slots=True)
class Fault:
    """The REST API answers this instead, `times` times and `delay_s` late, once it has done `after`
    requests. `done`: what was asked for is done all the same, and at once."""

    status: int = 500
    body: str = ""
    delay_s: float = 0.0
    times: int = 1
    after: int = 0
    done: bool = False


@dataclass(slots=True)
class _Expected:
    person: Person
    times: int


@dataclass(slots=True)
class Exchange:
    """One carrier. All of it lives on one event loop."""

    http: httpx.AsyncClient
    accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    numbers: dict[str, Number] = field(default_factory=dict[str, Number])
    calls: dict[str, SimulatedCall] = field(default_factory=dict[str, "SimulatedCall"])
    telephones: SipTelephones | None = None
    conferences: dict[tuple[str, str], list[Seat]] = field(
        default_factory=dict[tuple[str, str], "list[Seat]"]
    )
    """By account and name."""
    faults: list[Fault] = field(default_factory=list[Fault])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    # Kept, so that a call that nobody waits for is not collected while it runs.
    tasks: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    _people: dict[str, list[_Expected]] = field(default_factory=dict[str, list[_Expected]])
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def expect(self, number: str, person: Person, times: int) -> None:
        """The next `times` calls to `number` reach this person."""
        self._people.setdefault(number, []).append(_Expected(person, times))

    def person_at(self, number: str) -> Person | None:
        waiting = self._people.get(number)
        if not waiting:
            return None
        first = waiting[0]
        first.times -= 1
        if first.times <= 0:
            waiting.pop(0)
        return first.person

    def next_fault(self) -> Fault | None:
        if not self.faults:
            return None
        fault = self.faults[0]
        if fault.after > 0:
            fault.after -= 1
            return None
        fault.times -= 1
        if fault.times <= 0:
            self.faults.pop(0)
        return fault

    def tell(self, kind: str, call_sid: str, **facts: Any) -> None:
        """Record that something happened, now."""
        at_ms = round(time.monotonic() * 1000, 1)
        event = {"n": len(self.events), "kind": kind, "call": call_sid, "at_ms": at_ms, **facts}
        self.events.append(event)
        self.spawn(self._wake())

    async def follow(self, after: int) -> AsyncIterator[dict[str, Any]]:
        """Every event from number `after` on, for ever."""
        while True:
            async with self._news:
                while len(self.events) <= after:
                    await self._news.wait()
            while after < len(self.events):
                yield self.events[after]
                after += 1

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()
