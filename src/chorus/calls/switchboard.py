"""What the calls of this process share, and the calls that live in it.

Owned by the application: `start` before the first call, `drain` when the process is asked to
stop, `close` at the very end. Everything else in `calls/` is a verb that is handed this.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from functools import cached_property
from pathlib import Path
from typing import Any

from chorus.accounts.secrets import Secrets
from chorus.audio.pace import Beat, Ticker
from chorus.billing.admission import Admission
from chorus.billing.readings import Readings
from chorus.calls.chat_stream import ChatStreams
from chorus.calls.events import Streams
from chorus.calls.hold_sound import HoldSounds
from chorus.calls.journal import Journals
from chorus.calls.ongoing import Ongoing
from chorus.calls.queues import queues
from chorus.calls.relay import Relay
from chorus.catalogue.catalogues import Catalogues
from chorus.catalogue.engines import EngineRoom
from chorus.catalogue.preview import Previews
from chorus.db import Database
from chorus.durable.durable import Durable
from chorus.durable.heartbeat import Heartbeat
from chorus.durable.identity import Identity
from chorus.knowledge.library import Library
from chorus.lines.carriers import running
from chorus.lines.line import Line
from chorus.news import News
from chorus.outbound import Outbound
from chorus.settings import Settings
from chorus.talk.call import Call
from chorus.talk.second_leg import SecondLeg
from chorus.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)


class Switchboard:
    """`live` holds the calls that are being talked on here, by their id."""

    def __init__(self, settings: Settings, database: Database, catalogues: Catalogues) -> None:
        self.settings = settings
        self.database = database
        self.catalogues = catalogues
        self.news = News(database)
        self.journals = Journals(database, self.news)
        self.streams = Streams(database, self.news.events["events"])
        self.ongoing = Ongoing(database)
        self.chats = ChatStreams()
        self.engines = EngineRoom(settings, catalogues.base)
        self.previews = Previews(self.engines.voice)
        self.ticker = Ticker()
        self._beat = Beat(self.ticker.lag)
        self.outbound = Outbound(allow_private=settings.allow_private_addresses)
        self.hold_sounds = HoldSounds(self.outbound)
        self.carriers = running(settings)
        self.durable = Durable(settings)
        self.library = Library(
            settings,
            database,
            self.outbound,
            self.durable,
            lambda: self.engines.threads,
            catalogues.keys,
            Readings(lambda: self.admission),
        )
        self.live: dict[uuid.UUID, Call] = {}
        self.telemetry = Telemetry(
            settings, self.ticker.lag, lambda: len(self.live), lambda: queues(database)
        )
        database.watch = self.telemetry.wrote
        self.second_legs: dict[uuid.UUID, SecondLeg] = {}
        """Of transfers of calls that are held here, by the id of the second call."""
        self.relay = Relay(
            lambda: self.heartbeat,
            settings.data_dir / "executors",
            lambda: self.secrets,
            settings.peer_address,
            settings.peer_listen,
        )
        """For sockets that reach this process, and whose calls another holds."""
        self._lines: dict[tuple[str, str], Line] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self.queued = self.news.events["calls queued"]
        """Set when a call was queued, so that dispatch does not wait for its next look."""
        self.announced = self.news.events["webhooks"]
        """Set when a webhook is to be delivered, for the same reason."""
        self._loading: asyncio.Task[None] | None = None
        self.stopping = False
        """Told to stop: /readyz says so, and everything else goes on for a while."""
        self.draining = False
        self.has_siblings = False
        """Other processes take what comes to the same port. This one begins with that when it can
        hold a call, and it may leave without turning calls away: `retiring`."""
        self.retiring = False
        self._emptied = asyncio.Event()
        self._emptied.set()

    @cached_property
    def secrets(self) -> Secrets:
        """Reads the key, or makes it, when it is first needed."""
        return Secrets.of(self.settings)

    @cached_property
    def admission(self) -> Admission:
        """Says whether there is money for a call, and what it costs."""
        return Admission.of(self.settings, self.catalogues)

    @cached_property
    def heartbeat(self) -> Heartbeat:
        """Shows that this process lives; its name is on the calls that it holds."""
        return Heartbeat(self.database, self.identity.name)

    @cached_property
    def identity(self) -> Identity:
        return Identity.take(self.settings.data_dir)

    @property
    def recordings(self) -> Path:
        return self.settings.data_dir / "recordings"

    async def start(self) -> None:
        """Begin to load what every call needs, which takes seconds: the API answers meanwhile, and
        `loaded` says when a call can be held."""
        self.recordings.mkdir(parents=True, exist_ok=True)
        self.heartbeat.media_url = self.settings.media_base
        await self.heartbeat.start()
        self.ticker.start()
        self._beat.start()
        if "media" in self.settings.roles:
            self._loading = asyncio.create_task(self.engines.start(), name="engines")
            self._loading.add_done_callback(_tell_failure)
            self.spawn(self.library.warm(), "documents' model")
        await self.outbound.open()

    @property
    def loading(self) -> bool:
        """What every call needs is not there yet."""
        return self._loading is not None and not self._loading.done()

    async def loaded(self) -> None:
        """Until what every call needs is loaded, or cannot be: then a call says what is missing."""
        if self._loading is not None:
            await asyncio.wait({self._loading})

    def began(self, call_id: uuid.UUID, call: Call, line: Line) -> None:
        self.live[call_id] = call
        self._lines[line.provider, line.leg_id] = line
        self._emptied.clear()
        # What was left for it before it was answered.
        self.news.events["commands"].set()

    def line(self, provider: str, leg_id: str) -> Line | None:
        """The line of a call that is talked on here, by its carrier's id of the leg."""
        return self._lines.get((provider, leg_id))

    def ended(self, call_id: uuid.UUID, line: Line) -> None:
        self.live.pop(call_id, None)
        self._lines.pop((line.provider, line.leg_id), None)
        self.news.events["events"].set()
        if not self.live:
            self._emptied.set()

    def second_leg_over(self, call_id: uuid.UUID, reason: str, detail: str) -> None:
        """A call has ended. Nothing if it is not the second one of a transfer here."""
        leg = self.second_legs.pop(call_id, None)
        if leg is not None:
            leg.has_ended(reason, detail)

    def spawn(self, chore: Coroutine[Any, Any, None], name: str) -> None:
        """Something that nobody waits for; it is given up when the process ends."""
        task = asyncio.create_task(chore, name=name)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    @property
    def refuses(self) -> bool:
        """Calls that are announced here are turned away. One that retires takes them for the
        others: their audio goes to whoever takes new connections."""
        return self.draining and not self.retiring

    async def drain(self) -> None:
        """Say that the process stops, for as long as a load balancer takes to notice; then take no
        new calls, give those under way some time, and end them."""
        self.stopping = True
        if not self.retiring:
            await asyncio.sleep(self.settings.stop_notice_s)
        self.draining = True
        try:
            async with asyncio.timeout(self.settings.drain_s):
                await self._emptied.wait()
                await self.relay.emptied.wait()
        except TimeoutError:
            log.warning("%d calls are ended because the process stops", len(self.live))
            for call in list(self.live.values()):
                call.hang_up("worker_lost", "the server was stopped")
            async with asyncio.timeout(30):
                await self._emptied.wait()
        finally:
            self.streams.close()
            self.ongoing.close()

    async def close(self) -> None:
        unfinished = [*self._chores, *([self._loading] if self._loading else ())]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await self.relay.aclose()
        await self.durable.close()
        await self.library.aclose()
        await self.journals.flush()
        self.ticker.stop()
        self._beat.stop()
        for carrier in self.carriers.values():
            await carrier.aclose()
        await self.previews.aclose()
        await self.outbound.aclose()
        await self.engines.aclose()
        await self.telemetry.aclose()
        if "identity" in self.__dict__:
            self.identity.release()


def _tell_failure(loading: asyncio.Task[None]) -> None:
    if not loading.cancelled() and (error := loading.exception()) is not None:
        log.error("the engines could not be loaded", exc_info=error)
