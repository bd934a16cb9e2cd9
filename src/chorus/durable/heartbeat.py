"""That this process lives, and which of the others do not.

`start` enters this process into the table of executors, `beat` counts its number up every few
seconds, `dead` names those whose number has stood still for `DEAD_AFTER_S` under this process's
eyes. Whoever has looked after what a dead one left behind strikes it out with `bury`; several
may do all of this at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.db import Database, utcnow
from chorus.durable.pulse import Stillness
from chorus.durable.tables import Executor

log = logging.getLogger(__name__)

BEAT_S = 2.0
DEAD_AFTER_S = 10.0
"""Calls of a dead process have to be over within 15 s: this, and a round before and after it. Of
the same data folder it is known in the next round, by the lock (`identity.py`)."""
LATE_S = 12.0
"""A beat that takes longer than this waits for a lock that somebody does not give back."""


class Heartbeat:
    def __init__(
        self, database: Database, name: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.media_url: str | None = None
        """Where the audio of its calls arrives."""
        self._peer_address: str | None = None
        self._database = database
        self._incarnation = uuid.uuid4()
        self._others: Stillness[str] = Stillness(2 * BEAT_S, monotonic)
        self._beats: dict[str, int] = {}
        self._monotonic = monotonic
        self._wrote_at = monotonic()
        self._failed = False

    @property
    def unwritten_s(self) -> float | None:
        """For how long nothing could be written; None while writing works. A beat is the one
        write that is made all the time, so it tells of a full disk and of a lock that is held."""
        silent_s = self._monotonic() - self._wrote_at
        return silent_s if self._failed or silent_s > LATE_S else None

    async def start(self) -> None:
        """Enter this process, in place of what it was before it was started again."""
        async with self._database.writing() as session:
            await session.execute(sa.delete(Executor).where(Executor.id == self.name))
            await session.execute(sa.insert(Executor).values(self._row()))
        self._wrote_at = self._monotonic()

    async def listens_at(self, address: str) -> None:
        """Make known where processes of other machines reach this one."""
        self._peer_address = address
        async with self._database.writing() as session:
            await session.execute(
                sa.update(Executor)
                .where(Executor.id == self.name, Executor.incarnation == self._incarnation)
                .values(peer_address=address)
            )

    async def peer_address(self, name: str) -> str | None:
        """Where the process of this name is reached from other machines; None if nowhere."""
        query = sa.select(Executor.peer_address).where(Executor.id == name)
        async with self._database.reading() as session:
            return await session.scalar(query)

    async def beat(self) -> bool:
        """False if this process had been given up for dead: what it held is no longer its own.
        It is entered anew."""
        try:
            mine = await self._beat()
        except Exception:
            self._failed = True
            raise
        self._failed, self._wrote_at = False, self._monotonic()
        return mine

    @asynccontextmanager
    async def beating(self) -> AsyncGenerator[None]:
        """Beat inside the block: while a process loads what its calls need, which on a busy machine
        takes longer than the others wait."""
        task = asyncio.create_task(self._keep_beating(), name="heartbeat of the start")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self.beat()
            except (SQLAlchemyError, OSError) as failure:
                log.error("this process cannot show that it lives: %s", failure)

    async def _beat(self) -> bool:
        async with self._database.writing() as session:
            counted = await session.execute(
                sa.update(Executor)
                .where(Executor.id == self.name, Executor.incarnation == self._incarnation)
                .values(beat=Executor.beat + 1)
                .returning(Executor.beat)
            )
            if counted.first() is not None:
                return True
            namesake = await session.scalar(
                sa.select(Executor.incarnation).where(Executor.id == self.name)
            )
            if namesake is None:
                self._incarnation = uuid.uuid4()
                await session.execute(sa.insert(Executor).values(self._row()))
        if namesake is not None:
            log.critical(
                "another process calls itself %s: was the data folder copied? "
                "Each machine needs its own",
                self.name,
            )
        return False

    async def dead(self) -> list[str]:
        async with self._database.reading() as session:
            found = await session.execute(
                sa.select(Executor.id, Executor.incarnation, Executor.beat).where(
                    Executor.id != self.name
                )
            )
            rows = found.all()
        self._beats = {id: beat for id, _, beat in rows}
        still = self._others.look({id: (incarnation, beat) for id, incarnation, beat in rows})
        return [id for id, still_s in still.items() if still_s >= DEAD_AFTER_S]

    @property
    def others(self) -> list[str]:
        """All that the last look for `dead` ones found, living ones too."""
        return list(self._beats)

    async def bury(self, name: str) -> None:
        """Strike out one that `dead` named, unless it has moved after all."""
        async with self._database.writing() as session:
            await session.execute(
                sa.delete(Executor).where(
                    Executor.id == name, Executor.beat == self._beats.get(name)
                )
            )

    async def stop(self) -> None:
        """Leave in order: nobody needs to wait for this process to be dead."""
        async with self._database.writing() as session:
            await session.execute(
                sa.delete(Executor).where(
                    Executor.id == self.name, Executor.incarnation == self._incarnation
                )
            )

    def _row(self) -> dict[str, object]:
        return {
            "id": self.name,
            "incarnation": self._incarnation,
            "beat": 0,
            "media_url": self.media_url,
            "peer_address": self._peer_address,
            "started_at": utcnow(),
        }


async def media_urls(database: Database) -> set[str]:
    """Where the audio of calls arrives, of all processes that have entered themselves."""
    async with database.reading() as session:
        found = await session.scalars(sa.select(Executor.media_url).distinct())
        return {url for url in found if url}
