"""What a process owns for as long as it lives; `app.py` makes it and closes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from chorus.accounts.keys import KeyRing
from chorus.accounts.limits import RateLimits
from chorus.accounts.secrets import Secrets
from chorus.billing.till import Till
from chorus.catalogue.catalogue import Catalogue
from chorus.db import Database
from chorus.settings import Settings


@dataclass(frozen=True)
class Process:
    settings: Settings
    database: Database
    keys: KeyRing
    limits: RateLimits

    @classmethod
    def of(cls, settings: Settings) -> Process:
        """Opens nothing: connections are made when they are needed."""
        database = Database(settings)
        limits = RateLimits(settings.rate_limit_per_minute)
        return cls(settings, database, KeyRing(database), limits)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets.of(self.settings)

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue.of(self.settings)

    @cached_property
    def till(self) -> Till:
        return Till.of(self.settings, self.catalogue)

    async def close(self) -> None:
        await self.keys.flush()
        await self.database.close()
