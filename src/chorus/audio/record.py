"""The recording of one call: a stereo WAV, the caller left, whoever speaks to the caller right.

Each leg and the agent have a `Track` of their own; those of one side are mixed as they are
written. A sample's place is its time on the call's own clock, so the two sides stay aligned and the
file is as long as the call. What comes in waits in memory until it is a second old, because
agent audio is handed over ahead of being heard and an interruption takes it back. Then,
about once a second, a piece goes to the one thread that writes for all calls; the event
loop never touches the disk. After each piece the header is brought up to date, so that a
file whose process was killed plays up to its last two seconds or so.

When writing fails (disk full, folder gone, disk too slow) the call goes on without: the
loss is reported once, and what was written by then stays a valid file.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import struct
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from io import FileIO
from pathlib import Path
from typing import Literal

import numpy as np

from chorus.audio.codec import mixed
from chorus.audio.frame import RATES_HZ

log = logging.getLogger(__name__)

Side = Literal["left", "right"]

_HOLD_MS = 1000  # agent what is older is never taken back
_PIECE_MS = 1000
_SNAP_MS = 5  # a smaller hole is a rounding of time stamps, not lost audio
_AHEAD_MS = 10_000  # beyond this a time stamp is wrong, and is not given memory
_UNWRITTEN_BYTES = 4 << 20  # a disk that is this far behind has failed
_CLOSE_S = 15.0
_HEADER_BYTES = 44
_FRAME_BYTES = 4  # two channels of two bytes
_MAX_DATA_BYTES = 0xFFFF_FFFF - _HEADER_BYTES  # RIFF counts in 32 bits


@cache
def _writer_thread() -> ThreadPoolExecutor:
    """Started with the first recording; at exit it finishes what it was given."""
    return ThreadPoolExecutor(1, thread_name_prefix="recording")


class Recording:
    """Belongs to one event loop; none of its methods but `close` waits, and none raises for
    what the disk does. Times are milliseconds on the call's clock, from 0 at its start.

    The file is created at once and must not exist. `on_failed` is called at most once, from
    within `advance` or `close`, with what `failed` says from then on. `writer` is for tests.
    Raises `ValueError` for a rate that `AudioFormat` does not know.
    """

    def __init__(
        self,
        path: str | Path,
        rate_hz: int,
        on_failed: Callable[[str], None] | None = None,
        writer: Executor | None = None,
    ) -> None:
        if rate_hz not in RATES_HZ:
            raise ValueError(f"unsupported sample rate {rate_hz} Hz")
        self.path = Path(path)
        self.rate_hz = rate_hz
        self.failed: str | None = None
        self.dropped_ms = 0.0  # audio whose time stamp was too far in the future
        self._on_failed = on_failed
        self._writer = writer or _writer_thread()
        self._file = _WavFile(self.path, rate_hz)
        self._given_bytes = 0
        self._base = 0  # samples that were handed to the writer
        self._now_ms = 0.0
        self._closed = False
        self._tracks: dict[Side, list[Track]] = {"left": [], "right": []}
        self._submit(self._file.create)

    def track(self, side: Side) -> Track:
        """A new track, mixed with the others of its side. It stays until the end."""
        track = Track(self)
        self._tracks[side].append(track)
        return track

    def advance(self, now_ms: float) -> None:
        """The call has come to `now_ms`; what is old enough goes to the disk. To be called at
        least every few seconds; cheap when there is nothing to do."""
        if self._closed:
            return
        self._now_ms = max(self._now_ms, now_ms)
        self._check()
        due = self._sample(self._now_ms - _HOLD_MS)
        if due - self._base >= self._sample(_PIECE_MS):
            self._write_until(due)

    async def close(self, end_ms: float) -> None:
        """The call lasted `end_ms`: cut or pad to exactly that and finish the file. Safe to call
        twice. If it is cancelled, or the disk takes longer than 15 s, the thread still
        finishes the file when it can."""
        if self._closed:
            return
        if not (math.isfinite(end_ms) and end_ms >= 0):
            raise ValueError(f"a call cannot last {end_ms} ms")
        self._closed = True
        end = self._sample(end_ms)
        if end > self._base:
            self._write_until(end)
        self._forget()
        last = self._submit(self._file.finish, end)
        if last is not None and not last.done():
            try:
                # Shielded: a job that is cancelled before it began would leave the file open.
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(last)), _CLOSE_S)
            except TimeoutError:
                self._fail(f"the disk did not take the end of it within {_CLOSE_S:.0f} s")
        self._check()

    def _sample(self, ms: float) -> int:
        return round(ms * self.rate_hz / 1000)

    def _forget(self) -> None:
        for track in (*self._tracks["left"], *self._tracks["right"]):
            track.audio.clear()

    def place(self, side: bytearray, pcm16: bytes, at_ms: float) -> None:
        """For tracks: put `pcm16` at its time, or behind what `side` has already."""
        if self.failed is not None or self._closed or not pcm16:
            return
        if len(pcm16) & 1:
            raise ValueError(f"pcm16 of {len(pcm16)} bytes ends in half a sample")
        end = self._base + len(side) // 2
        hole = self._sample(at_ms) - end
        if hole < self._sample(_SNAP_MS):
            hole = 0
        if end + hole + len(pcm16) // 2 > self._sample(self._now_ms + _AHEAD_MS):
            if not self.dropped_ms:
                log.warning("audio at %.0f ms left out of %s", at_ms, self.path)
            self.dropped_ms += len(pcm16) * 500 / self.rate_hz
            return
        if hole:
            side += bytes(hole * 2)
        side += pcm16

    def _write_until(self, end: int) -> None:
        count = end - self._base
        left = self._taken(self._tracks["left"], count * 2)
        right = self._taken(self._tracks["right"], count * 2)
        self._base = end
        if self.failed is None:
            self._given_bytes += len(left) + len(right)
            self._submit(self._file.append, count, left, right)

    @staticmethod
    def _taken(tracks: list[Track], size: int) -> bytes:
        """The first `size` bytes of all tracks of a side, mixed; fewer where none has so much."""
        pieces: list[bytes] = []
        for track in tracks:
            if track.audio:
                pieces.append(bytes(track.audio[:size]))
                del track.audio[:size]
        if not pieces:
            return b""
        whole = pieces[0]
        for piece in pieces[1:]:
            length = max(len(whole), len(piece))
            whole = mixed(whole.ljust(length, b"\0"), piece.ljust(length, b"\0"))
        return whole

    def sample(self, ms: float) -> int:
        """How many samples of this recording lie before `ms`, those on the disk not counted."""
        return max(0, self._sample(ms) - self._base)

    def _submit(self, job: Callable[..., None], *args: object) -> Future[None] | None:
        try:
            return self._writer.submit(job, *args)
        except RuntimeError as error:  # the process is exiting
            self._fail(f"the writer has stopped: {error}")
            return None

    def _check(self) -> None:
        if self._file.error is not None:
            self._fail(self._file.error)
        elif self._given_bytes - self._file.taken_bytes > _UNWRITTEN_BYTES:
            self._fail("the disk is too slow for the recording")

    def _fail(self, why: str) -> None:
        if self.failed is not None:
            return
        self.failed = why
        self._forget()
        log.error("recording %s failed: %s", self.path, why)
        if self._on_failed is not None:
            try:
                self._on_failed(why)
            except Exception:
                log.exception("on_failed of recording %s failed", self.path)


class Track:
    """One voice of a recording, in pcm16 at its rate."""

    __slots__ = ("_recording", "audio")

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.audio = bytearray()  # from what is on the disk up to its own last sample

    @property
    def rate_hz(self) -> int:
        return self._recording.rate_hz

    def put(self, pcm16: bytes, at_ms: float) -> None:
        """Audio whose first sample is heard at `at_ms`. Where some is already (a late packet, a
        piece that continues another) it follows what is there."""
        self._recording.place(self.audio, pcm16, at_ms)

    def cut(self, at_ms: float) -> None:
        """It is not heard beyond `at_ms`, whatever was given."""
        del self.audio[self._recording.sample(at_ms) * 2 :]


class _WavFile:
    """The file, touched by the writer's thread only; the loop reads `error` and `taken_bytes`."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        self.error: str | None = None
        self.taken_bytes = 0
        self._path = path
        self._rate_hz = rate_hz
        self._frames = 0  # that are in the file and that the header knows of
        self._file: FileIO | None = None

    def create(self) -> None:
        with self._failing():
            # Conversations are private: readable by the owner only, and none is overwritten.
            self._file = FileIO(self._path, "x+", opener=partial(os.open, mode=0o600))
            self._write(0, self._header(0))

    def append(self, count: int, left: bytes, right: bytes) -> None:
        """`count` frames; where a side is shorter, the rest of it is silence."""
        self.taken_bytes += len(left) + len(right)
        if self.error is not None or self._file is None:
            return
        with self._failing():
            frames = self._frames + count
            if frames * _FRAME_BYTES > _MAX_DATA_BYTES:
                raise OSError("a WAV file holds 4 GiB")
            sound = np.zeros((max(len(left), len(right)) // 2, 2), "<i2")
            sound[: len(left) // 2, 0] = np.frombuffer(left, "<i2")
            sound[: len(right) // 2, 1] = np.frombuffer(right, "<i2")
            self._write(_HEADER_BYTES + self._frames * _FRAME_BYTES, sound.tobytes())
            if len(sound) < count:
                self._file.truncate(_HEADER_BYTES + frames * _FRAME_BYTES)
            self._write(0, self._header(frames))
            self._frames = frames

    def finish(self, frames: int) -> None:
        """Cut to `frames`, if there are more, and close; after a failure, keep what is valid."""
        if self._file is None:
            return
        with self._failing():
            self._frames = min(self._frames, frames)
            self._write(0, self._header(self._frames))
            self._file.truncate(_HEADER_BYTES + self._frames * _FRAME_BYTES)
        with self._failing():
            self._file.close()
        self._file = None

    def _write(self, at: int, data: bytes) -> None:
        assert self._file is not None
        self._file.seek(at)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def _header(self, frames: int) -> bytes:
        """RIFF/WAVE, PCM, two channels of 16 bits (Microsoft's WAVEFORMAT, 16 bytes)."""
        size, second = frames * _FRAME_BYTES, self._rate_hz * _FRAME_BYTES
        return b"".join(
            (
                struct.pack("<4sI4s", b"RIFF", _HEADER_BYTES - 8 + size, b"WAVE"),
                struct.pack(
                    "<4sIHHIIHH", b"fmt ", 16, 1, 2, self._rate_hz, second, _FRAME_BYTES, 16
                ),
                struct.pack("<4sI", b"data", size),
            )
        )

    @contextmanager
    def _failing(self) -> Generator[None, None, None]:
        """Nobody awaits these jobs: whatever goes wrong is left in `error`."""
        try:
            yield
        except OSError as error:
            self.error = self.error or error.strerror or str(error)
        except Exception as error:
            log.exception("writing %s", self._path)
            self.error = self.error or repr(error)
