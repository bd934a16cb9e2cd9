"""Recordings to where they belong, or away when they are deleted; and MP3s on demand.

A call's sound is written to this machine's disk while the call goes on. Once the call is over,
`Archive.run` settles it: stores it, where the store is another place, notes that on the row, and
only then removes the local file. The rows that are not settled are the list of what is to be
done, so no crash loses a recording or leaves one behind: the next look finds the row as it was.
That also adopts the recordings of calls that were lost with their process, and erases what was
deleted (`calls/kept.py`), again and again until the store has agreed.

`mp3` encodes a settled recording the first time that somebody wants it so, once for all who ask
at the same time, and keeps it beside the WAV.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import tempfile
import time
import uuid
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import orjson
from sqlalchemy.exc import SQLAlchemyError

from chorus.audio.mp3 import wav_to_mp3
from chorus.audio.peaks import PER_SECOND, peaks
from chorus.calls import kept
from chorus.calls.kept import Kept
from chorus.db import Database, utcnow
from chorus.recordings.store import Store, StoreFailed
from chorus.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
LOOK_AGAIN_S = 60.0
"""The longest wait after a store that fails."""
TIDY_EVERY_S = 3600.0
STILL_S = 3.0
"""A live recording is written to about once a second (`audio/record.py`)."""
MISSING_AFTER = timedelta(hours=1)
"""With several machines, one whose disk has the recording may be away for so long."""
ENCODERS = 2
_BATCH = 200


def wav_key(call_id: uuid.UUID) -> str:
    return f"recordings/{call_id}.wav"


def mp3_key(call_id: uuid.UUID) -> str:
    return f"recordings/{call_id}.mp3"


def peaks_key(call_id: uuid.UUID) -> str:
    return f"recordings/{call_id}.peaks"


class Archive:
    """One a process, owned by the application."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self._database = database
        self._made: Store | None = None
        self._encoding: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._encoders = asyncio.Semaphore(ENCODERS)
        self._tidied_at: float | None = None
        self.tried = False
        self.trouble: str | None = None
        """Why the store of the settings cannot be used, as far as is known."""

    @property
    def store(self) -> Store:
        self._made = self._made or Store.of(self.settings)
        return self._made

    def local(self, call_id: uuid.UUID) -> Path:
        """Where the sound of a live call is written (`calls/converse.py`)."""
        return self.settings.data_dir.absolute() / wav_key(call_id)

    async def run(self) -> None:
        """For ever; started once by the application."""
        wait_s = LOOK_EVERY_S
        if self.settings.storage_url:
            await self._check()
        while True:
            try:
                failed = await self.round()
                if self.trouble is not None:
                    failed = not await self._check() or failed
            except (SQLAlchemyError, OSError, TimeoutError) as failure:
                failed = True
                log.error("recordings wait: %s", failure)
            wait_s = min(2 * wait_s, LOOK_AGAIN_S) if failed else LOOK_EVERY_S
            await asyncio.sleep(wait_s)

    async def _check(self) -> bool:
        """Whether the store can be used: a wrong bucket or key is told of at the start, not after
        the first call."""
        before, self.tried = self.trouble, True
        try:
            await self.store.check()
        except (StoreFailed, OSError) as failure:
            self.trouble = str(failure)
            if before is None:
                log.error("recordings stay on this machine: %s", failure)
            return False
        self.trouble = None
        if before is not None:
            log.warning("recordings can be stored in %s again", self.store.where)
        return True

    async def aclose(self) -> None:
        for task in list(self._encoding.values()):
            task.cancel()
        await asyncio.gather(*self._encoding.values(), return_exceptions=True)

    # --- settling -----------------------------------------------------------------------------

    async def round(self) -> bool:
        """Settle what can be settled now. True if the store failed: what is left can wait."""
        if self._tidied_at is None or time.monotonic() - self._tidied_at >= TIDY_EVERY_S:
            await self._tidy()
            self._tidied_at = time.monotonic()
        after: uuid.UUID | None = None
        while True:
            async with self._database.reading() as session:
                batch = await kept.unsettled(session, after, _BATCH)
            for each in batch:
                try:
                    await self._settle(each)
                except StoreFailed as failure:
                    log.error("the recording of call %s waits: %s", each.id, failure)
                    self.trouble = str(failure)
                    return True
            if len(batch) < _BATCH:
                return False
            after = batch[-1].id

    async def _settle(self, call: Kept) -> None:
        key, local = wav_key(call.id), self.local(call.id)
        if call.deleted:
            await self._erase(call.id)
            await self._note(call, None)
            return
        before = await asyncio.to_thread(_state, local)
        if before is None:
            if await self.store.has(key):
                await self._note(call, key)
            elif self._is_missing(call):
                log.warning("call %s has no recording", call.id)
                await self._note(call, None)
            return
        # A file of the future is from before the clock was set back, not from just now.
        if abs(time.time() - before[0]) < STILL_S:
            return  # perhaps its last piece is being written
        if self.store.path(key) == local:
            await self._note(call, key)
            return
        await self.store.put(key, local)
        if await asyncio.to_thread(_state, local) != before:
            return
        if await self._note(call, key):
            await asyncio.to_thread(local.unlink, missing_ok=True)

    async def _note(self, call: Kept, key: str | None) -> bool:
        async with self._database.writing() as session:
            return await kept.settle(session, call, key)

    def _is_missing(self, call: Kept) -> bool:
        """One machine alone has its answer at once."""
        assert call.ended_at is not None
        return self.settings.is_sqlite or utcnow() - call.ended_at > MISSING_AFTER

    async def _erase(self, call_id: uuid.UUID) -> None:
        await self.store.erase([wav_key(call_id), mp3_key(call_id), peaks_key(call_id)])
        await asyncio.to_thread(self.local(call_id).unlink, missing_ok=True)

    async def _tidy(self) -> None:
        """Local files that a crash left behind, after their rows had been settled."""
        folder = self.settings.data_dir.absolute() / "recordings"
        shared = self.store.path("recordings") == folder
        for path in await asyncio.to_thread(_abandoned, folder):
            await asyncio.to_thread(path.unlink, missing_ok=True)
        if shared:
            return  # a file that is here is where it belongs
        for call_id in await asyncio.to_thread(_calls_in, folder):
            async with self._database.reading() as session:
                call = await kept.find(session, call_id)
            if call is None:
                log.warning("%s is the recording of no known call", self.local(call_id))
            elif call.settled and (call.deleted or await self._has(call_id)):
                await asyncio.to_thread(self.local(call_id).unlink, missing_ok=True)

    async def _has(self, call_id: uuid.UUID) -> bool:
        try:
            return await self.store.has(wav_key(call_id))
        except StoreFailed as failure:
            log.error("the local recording of call %s stays: %s", call_id, failure)
            return False

    # --- MP3 ----------------------------------------------------------------------------------

    async def mp3(self, call: Kept) -> None:
        """Have the MP3 of a settled recording beside it. Raises `StoreFailed`, `NotAWav`,
        `OSError`, and `FileNotFoundError` where the recording is not where it should be.
        Who stops waiting stops nothing: the others, and the next one, have it."""
        task = self._encoding.get(call.id)
        if task is None:
            if await self.store.has(mp3_key(call.id)):
                return
            task = self._encoding.get(call.id)
        if task is None:
            task = asyncio.create_task(self._encode(call), name="mp3")
            self._encoding[call.id] = task
            task.add_done_callback(lambda done: self._encoded(call.id, done))
        await asyncio.shield(task)

    def _encoded(self, call_id: uuid.UUID, task: asyncio.Task[None]) -> None:
        del self._encoding[call_id]
        if not task.cancelled() and (failure := task.exception()):
            log.error("no MP3 of call %s: %s", call_id, failure)

    async def _encode(self, call: Kept) -> None:
        key, target = wav_key(call.id), mp3_key(call.id)
        async with self._encoders:
            wav, mp3 = self.store.path(key), self.store.path(target)
            if wav is not None and mp3 is not None:
                await wav_to_mp3(wav, mp3)
            else:
                with tempfile.TemporaryDirectory(prefix="chorus-mp3-") as folder:
                    wav, mp3 = Path(folder, "call.wav"), Path(folder, "call.mp3")
                    await self.store.fetch(key, wav)
                    await wav_to_mp3(wav, mp3)
                    await self.store.put(target, mp3)
        async with self._database.reading() as session:
            now = await kept.find(session, call.id)
        if now is None or now.deleted:
            await self.store.erase([target])
            raise FileNotFoundError(f"the recording of call {call.id} was deleted")

    # --- peaks --------------------------------------------------------------------------------

    async def peaks(self, call: Kept) -> bytes:
        """What is drawn of a settled recording (`audio/peaks.py`), as JSON; made once, then kept
        beside it. Raises `StoreFailed`, `NoSound`, `OSError`, and `FileNotFoundError` where the
        recording is not where it should be."""
        key, target = wav_key(call.id), peaks_key(call.id)
        async with self._encoders:
            with tempfile.TemporaryDirectory(prefix="chorus-peaks-") as folder:
                made = Path(folder, "call.peaks")
                try:
                    await self.store.fetch(target, made)
                    return await asyncio.to_thread(made.read_bytes)
                except FileNotFoundError:
                    pass
                wav = self.store.path(key)
                if wav is None:
                    wav = Path(folder, "call.wav")
                    await self.store.fetch(key, wav)
                drawn = await asyncio.to_thread(_drawn, wav)
                await asyncio.to_thread(made.write_bytes, drawn)
                await self.store.put(target, made)
        async with self._database.reading() as session:
            now = await kept.find(session, call.id)
        if now is None or now.deleted:
            await self.store.erase([target])
            raise FileNotFoundError(f"the recording of call {call.id} was deleted")
        return drawn


def _drawn(wav: Path) -> bytes:
    found = peaks(wav)
    return orjson.dumps(
        {
            "durationMs": found.duration_ms,
            "perSecond": PER_SECOND,
            "caller": base64.b64encode(found.left).decode(),
            "agent": base64.b64encode(found.right).decode(),
        }
    )


def _state(path: Path) -> tuple[float, int] | None:
    """When it was changed last, and its size; None where there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime, found.st_size


def _abandoned(folder: Path) -> list[Path]:
    """Halves of MP3s whose process has died."""
    old = time.time() - 86_400
    return [path for path in folder.glob(".*.part") if path.stat().st_mtime < old]


def _calls_in(folder: Path) -> Iterable[uuid.UUID]:
    found: list[uuid.UUID] = []
    for path in folder.glob("*.wav"):
        try:
            found.append(uuid.UUID(path.stem))
        except ValueError:
            continue
    return found
