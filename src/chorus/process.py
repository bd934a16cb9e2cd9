"""What a process owns for as long as it lives; `app.py` makes it and closes it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.exc import SQLAlchemyError

from chorus import languages
from chorus.accounts.keys import KeyRing
from chorus.accounts.leases import Leases
from chorus.accounts.limits import RateLimits
from chorus.accounts.passwords import Passwords
from chorus.accounts.reads import Reads
from chorus.accounts.secrets import Secrets
from chorus.accounts.sessions import SessionRing
from chorus.accounts.sso.domains import TxtRecords
from chorus.catalogue.catalogue import Catalogue
from chorus.catalogue.catalogues import Catalogues
from chorus.clock import Clock, SystemClock
from chorus.db import Database
from chorus.recordings.links import Links
from chorus.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    settings: Settings
    database: Database
    keys: KeyRing
    limits: RateLimits

    @classmethod
    def of(cls, settings: Settings) -> Process:
        """Opens nothing: connections are made when they are needed."""
        languages.use(settings.languages_dir)
        database = Database(settings)
        leases = None if settings.is_sqlite else Leases(database)
        limits = RateLimits(settings.rate_limit_per_minute, leases)
        return cls(settings, database, KeyRing(database), limits)

    @cached_property
    def clock(self) -> Clock:
        return SystemClock()

    @cached_property
    def sessions(self) -> SessionRing:
        return SessionRing(self.database, self.clock)

    @cached_property
    def reads(self) -> Reads:
        return Reads(self.database, self.clock)

    @cached_property
    def passwords(self) -> Passwords:
        return Passwords()

    @cached_property
    def txt_records(self) -> TxtRecords:
        return TxtRecords()

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets.of(self.settings)

    @cached_property
    def links(self) -> Links:
        return Links(self.settings, self.secrets)

    @cached_property
    def catalogue(self) -> Catalogue:
        """What everybody has."""
        return Catalogue.of(self.settings)

    @cached_property
    def catalogues(self) -> Catalogues:
        """What each organization has."""
        return Catalogues(self.settings, self.database, lambda: self.secrets, self.catalogue)

    async def flush(self) -> None:
        """Write down who read what, and when keys and sessions were last used."""
        await self.reads.flush()
        await self.keys.flush()
        await self.sessions.flush()

    async def close(self) -> None:
        try:
            await self.limits.give_back(everything=True)
            await self.flush()
        except (SQLAlchemyError, OSError) as failure:
            # Of the last seconds: no reason for a stop to fail, or to leave connections open.
            log.warning("who read what, and when keys were used, was not written: %s", failure)
        finally:
            await self.database.close()
