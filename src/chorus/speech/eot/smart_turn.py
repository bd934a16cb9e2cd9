"""The end of a turn by Smart Turn v3: a model that listens to how the caller speaks.

In order: `judge` queues the question and waits; one thread of low priority takes the oldest
question that somebody still waits for, brings its end to 16 kHz, makes Whisper's features of
it and runs the model on the last four seconds (`short_window.py`), 17 ms of a quiet core. It
is asked about the end of speech and 200 ms of silence, whatever the silence is by now: the
longer the silence, the more often this model says yes to half a sentence. So a call whose
question is out of date cancels it and asks again, and only the newest is computed. A full
queue, a missed deadline and one that would be missed are `EngineFailed`: turn-taking then falls
back on silence.

The model (pipecat-ai/smart-turn, BSD-2): `input_features` float32 [N, 80, frames]; its output,
though called `logits`, is a probability [N, 1] that the turn is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chorus.audio.resample import Resampler
from chorus.speech.engines import EngineFailed, Heard
from chorus.speech.eot.float_softmax import with_float_softmax
from chorus.speech.eot.short_window import FULL_FRAMES, with_window
from chorus.speech.eot.whisper_mel import RATE_HZ, last_eight_seconds, log_mel
from chorus.speech.onnx import Session, open_session

_SECONDS = 8  # what its features are normalised over
_FRAMES = 400
_SILENCE_MS = 200.0
_NICENESS = 10


@dataclass(slots=True, eq=False)
class _Question:
    heard: Heard
    due_s: float
    answer: asyncio.Future[float]
    loop: asyncio.AbstractEventLoop


class SmartTurn:
    """`EndOfTurn` by a Smart Turn v3 model file.

    Raises `EngineFailed` (stage `load`) if it cannot be opened. `judge` raises it with stage
    `deadline`, `busy` (more than `max_waiting` questions, or no time left for this one), `run` or
    `closed`.

    Both limits are short, because a verdict is only worth having while a reply is being made: on
    a core that is full, silence and the last words decide sooner than a queue would. The default
    deadline is when a fast reply is ready, counted from the question.
    """

    name = "smart-turn"
    threshold = 0.5

    def __init__(self, model: Path, *, deadline_ms: float = 160, max_waiting: int = 4) -> None:
        if deadline_ms <= 0:
            raise ValueError(f"deadline_ms must be positive: {deadline_ms}")
        if max_waiting < 1:
            raise ValueError(f"max_waiting must be at least 1: {max_waiting}")
        self._frames = FULL_FRAMES

        def rewrite(file: bytes) -> bytes:
            short = with_window(file, _FRAMES)
            if short is not None:
                self._frames = _FRAMES
            return with_float_softmax(short or file)

        self._session = open_session(model, self.name, rewrite=rewrite)
        self._deadline_s = deadline_ms / 1000
        self._max_waiting = max_waiting
        self._waiting: deque[_Question] = deque()
        self._takes_s = 0.0  # what a verdict takes these days
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def judge(self, heard: Heard) -> float:
        if heard.rate_hz not in (8000, 16000):
            raise EngineFailed(self.name, "run", f"8000 or 16000 Hz, not {heard.rate_hz}")
        loop = asyncio.get_running_loop()
        question = _Question(heard, time.monotonic() + self._deadline_s, loop.create_future(), loop)
        with self._changed:
            if self._closed:
                raise EngineFailed(self.name, "closed", "the engine is closed")
            if len(self._waiting) >= self._max_waiting:
                raise EngineFailed(self.name, "busy", f"{self._max_waiting} questions wait")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
                self._thread.start()
            self._waiting.append(question)
            self._changed.notify()
        try:
            async with asyncio.timeout(self._deadline_s):
                return await question.answer
        except TimeoutError as error:
            raise EngineFailed(self.name, "deadline", "no answer in time") from error
        finally:
            with self._changed:
                if question in self._waiting:
                    self._waiting.remove(question)

    async def aclose(self) -> None:
        """End the thread; whoever waits gets `EngineFailed`."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for question in left:
            if not question.answer.done():
                question.answer.set_exception(
                    EngineFailed(self.name, "closed", "the engine is closed")
                )
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _work(self) -> None:
        # Linux gives each thread a niceness of its own; elsewhere the attempt may be refused.
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                question = self._waiting.popleft()
            result = self._answer_to(question)
            try:
                question.loop.call_soon_threadsafe(_answer, question.answer, result)
            except RuntimeError:  # that loop is closed; another's questions go on
                continue

    def _answer_to(self, question: _Question) -> float | EngineFailed:
        began_s = time.monotonic()
        # One stall must not have it refuse all from then on.
        if began_s + min(self._takes_s, self._deadline_s / 2) > question.due_s:
            return EngineFailed(self.name, "busy", "no time was left for it")
        try:
            result = completeness(self._session, question.heard, self._frames)
        except Exception as error:  # whatever numpy or onnxruntime raises: one question
            return EngineFailed(self.name, "run", str(error))
        took_s = time.monotonic() - began_s
        self._takes_s = 0.8 * self._takes_s + 0.2 * took_s if self._takes_s else took_s
        return result


def _answer(answer: asyncio.Future[float], result: float | EngineFailed) -> None:
    if answer.done():
        return
    if isinstance(result, EngineFailed):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def completeness(session: Session, heard: Heard, frames: int) -> float:
    """The model's probability that the turn is complete. Blocks for tens of milliseconds."""
    too_long_ms = max(0.0, heard.silence_ms - _SILENCE_MS)
    end = max(0, len(heard.pcm16) - int(too_long_ms * heard.rate_hz / 1000) * 2)
    pcm = heard.pcm16[max(0, end - _SECONDS * heard.rate_hz * 2) : end]
    if heard.rate_hz != RATE_HZ:
        resampler = Resampler(heard.rate_hz, RATE_HZ)
        pcm = resampler.feed(pcm) + resampler.flush()
    audio = np.frombuffer(pcm, "<i2").astype(np.float32) * np.float32(1 / 32768)
    features = log_mel(last_eight_seconds(audio), frames)
    output = session.run(["logits"], {"input_features": features[None]})[0]
    return float(np.clip(output.reshape(-1)[0], 0.0, 1.0))
