"""A conference: whoever is in it hears the others.

https://www.twilio.com/docs/voice/twiml/conference
"""

from __future__ import annotations

import asyncio
import uuid

from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.handset import Handset
from chorus.demo.carrier.person import Person


class Seat(Handset):
    """One telephone in a conference, by name of the account's. `ends`: it is over for all when
    this one leaves."""

    def __init__(
        self, exchange: Exchange, call_sid: str, person: Person, name: tuple[str, str], ends: bool
    ) -> None:
        super().__init__(exchange, call_sid, person)
        self.call_sid = call_sid
        self._name = name
        self._ends = ends
        self._others = exchange.conferences.setdefault(name, [])

    async def run(self) -> str:
        """Until it leaves; returns why: `hung_up`, `redirected`, `conference_over`."""
        self._others.append(self)
        self._tell("conference.joined", name=self._name[1], people=len(self._others))
        self.opened.set()
        try:
            await self._pace()
        except asyncio.CancelledError:
            self.end("ended")
            raise
        finally:
            self._others.remove(self)
            if not self._others:
                self._exchange.conferences.pop(self._name, None)
            if self._ends:
                for other in self._others:
                    other.end("conference_over")
            self._tell("conference.left", name=self._name[1], why=self.over)
        return self.over or "hung_up"

    async def press(self, digit: str) -> None:
        """A tone that the others hear; nobody is told of it."""

    async def send(self, message: str | bytes) -> None:
        raise ValueError("a conference takes no messages")

    async def _carry(self, frame: bytes, now: float) -> None:
        for other in self._others:
            if other is not self:
                other.take(frame)

    def take(self, frame: bytes) -> None:
        """What another one says. Two at once are heard one after the other: there is no mix."""
        self._queue += frame

    async def _played_chunk(self, chunk: bytes, now: float) -> None:
        del self._queue[:-8000]  # of an hour's drift no more than a second is heard late


def conference_sid(name: tuple[str, str]) -> str:
    """Of one that is under way, by account and name: there is one of a name at a time."""
    return f"CF{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(name)).hex}"
