"""News between the processes of an installation: that there is something to look at, no more.

Whoever writes rows that somebody waits for tells a topic in the same transaction (`tell`); once it
has committed, the topic's event is set in this process, and on PostgreSQL in all others, by NOTIFY.
What there is to do is in the tables, so news that is lost costs time and nothing else: whoever
waits for an event looks now and then all the same, and may do so seldom while `arrives`.

`run` listens, on a connection of its own. Where a pooler in front of the database does not pass
notifications on, `arrives` stays False: it is true only once this process has heard itself.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import Database, after_commit

log = logging.getLogger(__name__)

Topic = Literal["access", "calls queued", "commands", "events", "webhooks"]

TOPICS: tuple[Topic, ...] = ("access", "calls queued", "commands", "events", "webhooks")
"""`access`: keys, sessions, members or organizations may not be what they were."""
CHANNEL = "chorus_news"
RETRY_S = 2.0
CONNECT_S = 10.0
CHECK_S = 30.0
"""A connection that is silently dead is found out after this long."""
_HELLO = "hello"


async def tell_all(session: AsyncSession, topic: Topic) -> None:
    """Once the session's transaction has committed, and for whoever has no `News`, as a command:
    on PostgreSQL every process hears it, this one too. On SQLite nobody does."""
    if session.get_bind().dialect.name == "postgresql":
        await _notify(session, topic, "")


async def _notify(session: AsyncSession, what: str, sender: str) -> None:
    notify = sa.text("SELECT pg_notify(:channel, :payload)")
    await session.execute(notify, {"channel": CHANNEL, "payload": f"{what}:{sender}"})


class News:
    """One a process. An event is set when there may be something new; who waits clears it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._me = secrets.token_hex(8)
        self.events: dict[Topic, asyncio.Event] = {topic: asyncio.Event() for topic in TOPICS}
        self.arrives = database.settings.is_sqlite
        """What other processes tell arrives here at once. On SQLite there are none."""

    async def tell(self, session: AsyncSession, topic: Topic) -> None:
        """Once the session's transaction has committed."""
        after_commit(session, self.events[topic].set)
        if not self._database.settings.is_sqlite:
            await _notify(session, topic, self._me)

    async def run(self) -> None:
        """For ever; started once by the application."""
        if self._database.settings.is_sqlite:
            return
        import psycopg  # where it is needed alone

        first = True
        while True:
            try:
                await self._listen()
            except (psycopg.Error, SQLAlchemyError, OSError, TimeoutError) as failure:
                # Once for each time that it worked before.
                log.log(
                    logging.ERROR if self.arrives or first else logging.DEBUG,
                    "news of other processes wait for the database: %s",
                    failure,
                )
            self.arrives = first = False
            await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        import psycopg

        url = make_url(self._database.settings.database_url).set(drivername="postgresql")
        async with asyncio.timeout(CONNECT_S):
            connection = await psycopg.AsyncConnection.connect(
                url.render_as_string(hide_password=False), autocommit=True
            )
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            # What was told while nobody listened.
            for event in self.events.values():
                event.set()
            while True:
                await self._greet()
                async for notification in connection.notifies(timeout=CHECK_S):
                    self._heard(notification.payload)
                async with asyncio.timeout(CONNECT_S):
                    await connection.execute("SELECT 1")

    async def _greet(self) -> None:
        if not self.arrives:
            async with self._database.writing() as session:
                await _notify(session, _HELLO, self._me)

    def _heard(self, payload: str) -> None:
        topic, _, sender = payload.partition(":")
        if sender == self._me:
            # Whoever told it here has set the event already.
            self.arrives = True
            return
        for known in TOPICS:
            if known == topic:
                self.events[known].set()
