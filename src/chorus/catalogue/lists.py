"""What vendors say that a key can use: asked for with a time limit, and remembered.

A list is kept in memory for ten minutes and in the database for as long as the key is there: a
call never waits for a vendor's list, and what an agent chose stays known while the vendor is away.
Servers of one's own are asked for their models too, where the key names none.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.catalogue.offers import speech_vendor
from chorus.catalogue.tables import VendorList
from chorus.db import Database, utcnow
from chorus.outbound import Outbound, OutboundFailed, OutboundRefused
from chorus.providers.in_force import KeyInForce
from chorus.speech.engines import EngineFailed
from chorus.speech.vendor.options import VendorVoice

log = logging.getLogger(__name__)

FRESH_FOR = timedelta(minutes=10)
_TIMEOUT_S = 6.0
_TRY_AGAIN = timedelta(minutes=1)
_MOST_VOICES = 2000
_MOST_MODELS = 500
_MOST_BYTES = 4_000_000
_LISTS_MODELS = ("custom", "openrouter")


@dataclass(frozen=True, slots=True)
class Listed:
    """`fetched_at` None: never yet."""

    voices: tuple[VendorVoice, ...] = ()
    models: tuple[str, ...] = ()
    fetched_at: datetime | None = None


class Lists:
    """One a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[datetime, Listed]] = {}
        self._failed: dict[str, datetime] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def of(
        self, session: AsyncSession, organization_id: uuid.UUID, keys: Iterable[KeyInForce]
    ) -> dict[str, Listed]:
        """The last good list of each key, by its fingerprint. No vendor is asked."""
        now = utcnow()
        found: dict[str, Listed] = {}
        unknown: list[KeyInForce] = []
        for key in keys:
            until, listed = self._known.get(key.fingerprint, (now, Listed()))
            found[key.fingerprint] = listed
            if until <= now:
                unknown.append(key)
        if not unknown:
            return found
        row = VendorList
        query = sa.select(row).where(
            sa.or_(row.organization_id == organization_id, row.organization_id.is_(None))
        )
        rows = {(r.provider_key_id, r.provider): r for r in (await session.scalars(query)).all()}
        for key in unknown:
            stored = rows.get((key.id, key.vendor.name))
            if stored is not None:
                listed = _read(stored)
                found[key.fingerprint] = listed
                self._known[key.fingerprint] = (now + FRESH_FOR, listed)
        return found

    async def refresh(
        self,
        organization_id: uuid.UUID,
        keys: Iterable[KeyInForce],
        known: Mapping[str, Listed],
        net: Outbound,
        *,
        unknown_only: bool = False,
    ) -> None:
        """Ask the vendors of whom there is no fresh list, all at once; returns when each has
        answered or its time is over. `unknown_only`: just those of whom there is none at all."""
        now = utcnow()
        asked: list[asyncio.Task[None]] = []
        for key in keys:
            mark = key.fingerprint
            at = known.get(mark, Listed()).fetched_at
            if at is not None and (unknown_only or now - at < FRESH_FOR):
                continue
            if not _can_list(key) or now < self._failed.get(mark, now):
                continue
            task = self._asking.get(mark)
            if task is None:
                task = asyncio.create_task(self._ask(organization_id, key, net))
                self._asking[mark] = task
                task.add_done_callback(lambda _, mark=mark: self._asking.pop(mark, None))
            asked.append(task)
        if asked:
            # Shielded: who stops waiting does not stop it for the others.
            await asyncio.wait([asyncio.ensure_future(asyncio.shield(task)) for task in asked])

    async def _ask(self, organization_id: uuid.UUID, key: KeyInForce, net: Outbound) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                voices = await _voices(key, net)
                models = await _models(key, net)
        except TimeoutError:
            self._missed(key, f"no list within {_TIMEOUT_S:g} s")
        except (EngineFailed, OutboundFailed, OutboundRefused) as failure:
            self._missed(key, str(failure))
        else:
            listed = Listed(voices[:_MOST_VOICES], models[:_MOST_MODELS], utcnow())
            self._known[key.fingerprint] = (utcnow() + FRESH_FOR, listed)
            await self._store(organization_id, key, listed)

    def _missed(self, key: KeyInForce, why: str) -> None:
        log.warning("%s's list is not to be had: %s", key.vendor.title, why)
        self._failed[key.fingerprint] = utcnow() + _TRY_AGAIN

    async def _store(self, organization_id: uuid.UUID, key: KeyInForce, listed: Listed) -> None:
        row = VendorList
        mine = sa.and_(
            row.provider == key.vendor.name,
            row.provider_key_id == key.id if key.id else row.provider_key_id.is_(None),
        )
        try:
            async with self._database.writing() as session:
                await session.execute(sa.delete(row).where(mine))
                session.add(
                    row(
                        organization_id=organization_id if key.id else None,
                        provider_key_id=key.id,
                        provider=key.vendor.name,
                        voices=[asdict(voice) for voice in listed.voices],
                        models=list(listed.models),
                        fetched_at=listed.fetched_at,
                    )
                )
        except IntegrityError:
            log.info("%s's list is not kept: its key was deleted meanwhile", key.vendor.title)


def _read(row: VendorList) -> Listed:
    voices: list[VendorVoice] = []
    for each in row.voices:
        fields: dict[str, Any] = {name: value for name, value in each.items() if name in _FIELDS}
        fields["languages"] = tuple(fields.get("languages") or ())
        voices.append(VendorVoice(**fields))
    return Listed(tuple(voices), tuple(row.models), row.fetched_at)


_FIELDS = frozenset(VendorVoice.__dataclass_fields__)


def _can_list(key: KeyInForce) -> bool:
    vendor = speech_vendor(key.vendor.name)
    speaks = vendor is not None and vendor.list_voices is not None
    return speaks or (key.vendor.name in _LISTS_MODELS and not key.models)


async def _voices(key: KeyInForce, net: Outbound) -> tuple[VendorVoice, ...]:
    vendor = speech_vendor(key.vendor.name)
    if vendor is None or vendor.list_voices is None:
        return ()
    try:
        return await vendor.voices(net, key.api_key, key.base_url)
    except EngineFailed as failure:
        if key.vendor.several and failure.kind in ("request", "garbage"):
            return ()  # a server for language models alone
        raise


async def _models(key: KeyInForce, net: Outbound) -> tuple[str, ...]:
    """Those that a server of OpenAI's protocol names. Raises `EngineFailed`."""
    if key.vendor.name not in _LISTS_MODELS or key.models:
        return ()
    path, mark, query = key.base_url.partition("?")
    answer = await net.send(
        "GET",
        f"{path}/models{mark}{query}",
        headers=(("authorization", f"Bearer {key.api_key}"),),
        timeout_ms=round(_TIMEOUT_S * 1000),
        max_bytes=_MOST_BYTES,
        max_redirects=0,
    )
    if answer.status != 200:
        raise EngineFailed(key.vendor.name, "models", f"HTTP {answer.status}")
    try:
        found: Any = json.loads(answer.body)
        names = [str(each["id"]) for each in cast("list[dict[str, Any]]", found["data"])]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EngineFailed(key.vendor.name, "models", "the answer is no list", "garbage") from None
    return tuple(dict.fromkeys(name for name in names if 0 < len(name) <= 255))
