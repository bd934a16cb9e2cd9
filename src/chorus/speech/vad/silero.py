"""Voice detection by Silero VAD, for all calls of the process in one batch.

In order: `feed` leaves a frame with the stream's batcher (one per sample rate); at most
`flush_ms` after the first waiting frame, or at once when `max_batch` streams wait, one
worker thread runs the model on one frame of each waiting stream (the GIL is free
meanwhile); the probabilities are handed out on the loop, in order; what came in the
meantime is the next batch. There is one batch under way at a time. Digital silence that
goes on (a muted caller, a carrier that suppresses silence) is answered without the model.

The model is recurrent: a row of `states` and of `contexts` belongs to a stream. The
context is the end of the frame before, put in front of this one, without which the model
hears next to nothing (https://github.com/snakers4/silero-vad, `OnnxWrapper`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from chorus.audio import codec
from chorus.speech.engines import VAD_FRAME_MS, EngineFailed
from chorus.speech.onnx import Session, open_session
from chorus.speech.vad.webrtc import WebRtcJudge

log = logging.getLogger(__name__)

_CONTEXT = {8000: 32, 16000: 64}  # samples
_STATE_WIDTH = 128
# Long non-speech makes the model deaf to what follows it; a fresh state hears again.
_QUIET = 0.15
_RESET_AFTER_FRAMES = 5000 // VAD_FRAME_MS
# -66 dBFS at its peak, the last step of µ-law or two: nothing to listen to. After enough of
# it in a row the state is at rest, and the model would say what it said before.
_SILENT_PEAK = 16
_SILENT_FRAMES = 320 // VAD_FRAME_MS
# A stream that is half a second behind gets the answer to its last frame for the ones
# between: a late truth about the past is worth less than the present.
_MAX_BEHIND = 512 // VAD_FRAME_MS


class SileroStream:
    """One call's frames; made by `SileroDetector.open`."""

    def __init__(
        self, batcher: _Batcher, slot: int, rate_hz: int, on_probability: Callable[[float], None]
    ) -> None:
        self.slot = slot
        self.on_probability = on_probability
        self.behind: deque[tuple[bytes, bool]] = deque()
        self.owed = 0
        self.closed = False
        self._batcher = batcher
        self._rate_hz = rate_hz
        self._size = rate_hz * VAD_FRAME_MS // 1000 * 2
        self._fresh = True
        self._quiet_frames = 0
        self._silent_frames = 0
        self._asked = 0  # frames whose answer is to come
        self._spare: WebRtcJudge | None = None

    def feed(self, pcm16: bytes) -> None:
        if len(pcm16) != self._size:
            raise ValueError(f"a frame is {self._size} bytes, not {len(pcm16)}")
        if self.closed:
            return
        self._asked += 1
        if codec.peak(pcm16) > _SILENT_PEAK:
            self._silent_frames = 0
        else:
            self._silent_frames += 1
            if self._silent_frames > _SILENT_FRAMES and self._asked == 1:
                self._fresh = True
                self._batcher.call_soon(self.answer, 0.0)
                return
        fresh, self._fresh = self._fresh, False
        self._batcher.add(self, pcm16, fresh)

    def reset(self) -> None:
        """The next frame fed begins with an empty state."""
        self._fresh = True
        self._quiet_frames = 0

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._batcher.leave(self)

    def answer(self, probability: float) -> None:
        """On the loop: hand out the probability of the oldest frame, and of those skipped."""
        self._quiet_frames = self._quiet_frames + 1 if probability < _QUIET else 0
        if self._quiet_frames >= _RESET_AFTER_FRAMES:
            self.reset()
        count, self.owed = 1 + self.owed, 0
        self._asked -= count
        for _ in range(count):
            if not self.closed:
                self.on_probability(probability)

    def judge_without_model(self, pcm16: bytes) -> float:
        """In the worker thread, when the model failed on this frame."""
        if self._spare is None:
            self._spare = WebRtcJudge(self._rate_hz)
        return self._spare.judge(pcm16)


@dataclass(slots=True)
class _Batch:
    """What one run takes; `fresh` are the slots whose state starts from zero."""

    batcher: _Batcher
    streams: list[SileroStream]
    frames: list[bytes]
    slots: list[int]
    fresh: list[int]


class _Batcher:
    """The streams of one sample rate. All on the loop, but for `run`."""

    def __init__(self, detector: SileroDetector, rate_hz: int) -> None:
        self._detector = detector
        self._rate_hz = rate_hz
        self._samples = rate_hz * VAD_FRAME_MS // 1000
        self._context = _CONTEXT[rate_hz]
        self._waiting: dict[SileroStream, tuple[bytes, bool]] = {}
        self._late: list[SileroStream] = []  # streams with more than one frame waiting
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._busy = False
        self._free: list[int] = []
        self._slots = 0
        rows = detector.max_batch
        self._input = np.zeros((rows, self._context + self._samples), np.float32)
        self._states = np.zeros((2, rows, _STATE_WIDTH), np.float32)
        self._contexts = np.zeros((rows, self._context), np.float32)
        self._rate = np.array(rate_hz, np.int64)

    def call_soon(self, what: Callable[[float], None], probability: float) -> None:
        self._detector.loop.call_soon(what, probability)

    def join(self, on_probability: Callable[[float], None]) -> SileroStream:
        if not self._free:
            self._free = [self._slots]
            self._slots += 1
        return SileroStream(self, self._free.pop(), self._rate_hz, on_probability)

    def leave(self, stream: SileroStream) -> None:
        self._waiting.pop(stream, None)
        stream.behind.clear()
        # The slot may still be in the batch under way; its next owner starts from a fresh
        # state in a later batch, so nothing of this stream reaches it.
        self._free.append(stream.slot)

    def add(self, stream: SileroStream, frame: bytes, fresh: bool) -> None:
        if stream in self._waiting:
            if not stream.behind:
                self._late.append(stream)
            stream.behind.append((frame, fresh))
            if len(stream.behind) > _MAX_BEHIND:
                _, skipped_fresh = stream.behind.popleft()
                if skipped_fresh:
                    stream.behind[0] = (stream.behind[0][0], True)
                stream.owed += 1
                self._detector.skipped_frames += 1
            return
        self._waiting[stream] = (frame, fresh)
        if len(self._waiting) >= self._detector.max_batch:
            self._flush()
        elif self._timer is None and not self._due:
            self._timer = self._detector.loop.call_later(self._detector.flush_s, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._busy:
            self._due = True  # goes out as soon as the one under way is back
            return
        self._due = False
        if not self._waiting:
            return
        batch = self._take()
        self._busy = True
        self._detector.submit(batch)

    def _take(self) -> _Batch:
        if len(self._waiting) <= self._detector.max_batch:
            taken, self._waiting = self._waiting, {}
        else:
            taken = {}
            for stream in list(self._waiting)[: self._detector.max_batch]:
                taken[stream] = self._waiting.pop(stream)
        batch = _Batch(self, [], [], [], [])
        for stream, (frame, fresh) in taken.items():
            batch.streams.append(stream)
            batch.frames.append(frame)
            batch.slots.append(stream.slot)
            if fresh:
                batch.fresh.append(stream.slot)
        if self._late:
            late, self._late = self._late, []
            self._due = True  # they are late already: no waiting for the timer
            for stream in late:
                self._next_of(stream)
        return batch

    def _next_of(self, stream: SileroStream) -> None:
        if stream.behind and stream not in self._waiting:
            self._waiting[stream] = stream.behind.popleft()
        if stream.behind:
            self._late.append(stream)

    def done(self, batch: _Batch, probabilities: list[float]) -> None:
        self._busy = False
        if self._due or len(self._waiting) >= self._detector.max_batch:
            self._flush()
        elif self._waiting and self._timer is None:
            self._timer = self._detector.loop.call_later(self._detector.flush_s, self._flush)
        for stream, probability in zip(batch.streams, probabilities, strict=True):
            try:
                stream.answer(probability)
            except Exception:  # one call's fault must not cost the others their answers
                log.exception("voice detection: a listener failed")

    def run(self, session: Session, batch: _Batch) -> list[float]:
        """In the worker thread, which alone touches the arrays."""
        count = len(batch.frames)
        highest = max(batch.slots)
        if highest >= self._contexts.shape[0]:
            self._grow(highest + 1)
        rows = np.array(batch.slots)
        if batch.fresh:
            self._forget(batch.fresh)
        x = self._input[:count]
        x[:, : self._context] = self._contexts[rows]
        samples = np.frombuffer(b"".join(batch.frames), "<i2").reshape(count, self._samples)
        np.multiply(samples, np.float32(1 / 32768), out=x[:, self._context :])
        self._contexts[rows] = x[:, -self._context :]
        try:
            output, state = session.run(
                None, {"input": x, "state": self._states[:, rows], "sr": self._rate}
            )
            self._states[:, rows] = state
            return output[:, 0].tolist()
        except Exception as error:  # whatever onnxruntime raises, the frames get an answer
            self._forget(batch.slots)
            self._detector.failed(EngineFailed("silero", "run", str(error)))
            return [
                stream.judge_without_model(frame)
                for stream, frame in zip(batch.streams, batch.frames, strict=True)
            ]

    def _forget(self, slots: list[int]) -> None:
        self._states[:, slots] = 0
        self._contexts[slots] = 0

    def _grow(self, needed: int) -> None:
        rows = max(needed, 2 * self._contexts.shape[0])
        states: NDArray[np.float32] = np.zeros((2, rows, _STATE_WIDTH), np.float32)
        contexts: NDArray[np.float32] = np.zeros((rows, self._context), np.float32)
        states[:, : self._states.shape[1]] = self._states
        contexts[: self._contexts.shape[0]] = self._contexts
        self._states, self._contexts = states, contexts


class SileroDetector:
    """`VoiceDetector` by a Silero VAD model file (v5/v6, ONNX, MIT).

    Raises `EngineFailed` (stage `load`) if the model cannot be opened. A failing run is
    logged and counted in `failures`, and its frames are judged by WebRTC's detector. Belongs
    to the event loop on which the first stream is opened; `aclose` ends its thread.
    """

    name = "silero"

    def __init__(self, model: Path, *, flush_ms: float = 8, max_batch: int = 64) -> None:
        if flush_ms < 0:
            raise ValueError(f"flush_ms must not be negative: {flush_ms}")
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1: {max_batch}")
        self.max_batch = max_batch
        self.failures = 0
        self.skipped_frames = 0
        self.flush_s = flush_ms / 1000
        self._session = open_session(model, self.name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batchers: dict[int, _Batcher] = {}
        self._jobs: SimpleQueue[_Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def open(self, rate_hz: int, on_probability: Callable[[float], None]) -> SileroStream:
        if rate_hz not in _CONTEXT:
            raise ValueError(f"voice detection takes 8000 or 16000 Hz, not {rate_hz}")
        if self._closed:
            raise EngineFailed(self.name, "open", "the detector is closed")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name="silero-vad", daemon=True)
            self._thread.start()
        if rate_hz not in self._batchers:
            self._batchers[rate_hz] = _Batcher(self, rate_hz)
        return self._batchers[rate_hz].join(on_probability)

    async def aclose(self) -> None:
        """End the thread, after the batch under way. Open streams get no further answer."""
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the streams; there is one as soon as there is a stream."""
        assert self._loop is not None
        return self._loop

    def submit(self, batch: _Batch) -> None:
        if not self._closed:
            self._jobs.put(batch)

    def failed(self, failure: EngineFailed) -> None:
        """In the worker thread. Every failure is counted; the log has the first of a row."""
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:  # 1, 2, 4, 8… : a broken model is not a flood
            log.error("%s; judged without the model (failure %d)", failure, self.failures)

    def _work(self) -> None:
        while (batch := self._jobs.get()) is not None:
            probabilities = batch.batcher.run(self._session, batch)
            try:
                self.loop.call_soon_threadsafe(batch.batcher.done, batch, probabilities)
            except RuntimeError:  # the loop is closed: nobody is left to hear it
                return
