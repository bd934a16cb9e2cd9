"""Offline transcription by Whisper, on threads that all calls share.

In order: a stream keeps the last moments of audio and decodes nothing until `speech_started`;
from there an utterance is recorded, until `finalize` has it decoded at once, so that its words
are there when the turn ends. While the caller speaks, interim words are decoded now and then,
only as long as a thread is idle.

Half a sentence is understood badly. So what follows an utterance within a moment is decoded
together with it, and the decoder is told what the first half said: its words stand, and those of
the second half are heard in their sentence (`make bench-speech`, docs/performance-speech.md).

Whisper ends a whole sentence with a mark. A text without one is told as an interim at once, from
which a reply can be drafted, and as final when the caller has been silent for a while longer or
goes on: half a sentence is answered too early less often, and a whole one no later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from chorus.audio.codec import decode
from chorus.audio.frame import AudioFormat
from chorus.audio.resample import Resampler
from chorus.speech.engines import Endpointing, EngineFailed, Hints, Words
from chorus.speech.mel import RATE_HZ, Floats
from chorus.speech.stt.whisper_model import LONGEST_S, NAME, Decoded, WhisperModel
from chorus.speech.threads import Dropped, ModelThreads

log = logging.getLogger(__name__)

_RING_MS = 800  # before the onset is told
_BEFORE_MS = 200  # of it are decoded too: a detector misses soft beginnings
_INTERIM_FIRST_MS, _INTERIM_EVERY_MS = 500, 600
_INTERIM_WINDOW_MS = 9000  # what is behind it is decoded for the final only
_JOIN_GAP_MS = 1500
_JOIN_LONGEST_MS = 12_000
_GAP_HEARD_MS = 400  # of the silence between two halves, so much is decoded
_LONGEST_MS = (LONGEST_S - 3) * 1000
_FINAL_DUE_S = 0.25
_INTERIM_DUE_S = 2.0
_FAILURES = 3
_MARKS = " .,;:!?…"
_ENDS = (".", "!", "?")
# Where that was measured (docs/performance-speech.md); others may write no marks.
_MARKED_LANGUAGES = frozenset({"en", "es", "fr", "it", "ru"})
_UNMARKED_HELD_MS = 500


@dataclass(slots=True, eq=False)
class _Utterance:
    """Audio from `start_ms` of the stream on."""

    start_ms: float
    audio: bytearray
    wanted: bool = True  # False: nothing was said, and the answer is empty
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    end_ms: float = 0.0
    interim_ms: float = 0.0  # how long it was when it was last decoded


@dataclass(frozen=True, slots=True)
class _Half:
    """What was understood just now: `audio` of the stream up to `end_ms`, as `tokens`."""

    audio: bytes
    tokens: tuple[int, ...]
    end_ms: float


class WhisperStream:
    def __init__(
        self,
        engine: Whisper,
        model: WhisperModel,
        format: AudioFormat,
        languages: tuple[str, ...],
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> None:
        self._engine = engine
        self._model = model
        self._format = format
        self._languages = languages
        self._on_words = on_words
        self._on_failed = on_failed
        self._fed = 0  # bytes
        self._ring = bytearray()
        self._current: _Utterance | None = None
        self._queue: deque[_Utterance] = deque()
        self._half: _Half | None = None
        self._task: asyncio.Task[None] | None = None
        self._interim: asyncio.Task[None] | None = None
        self._held: tuple[Words, asyncio.TimerHandle] | None = None
        self._failures = 0
        self._closed = False

    def feed(self, audio: bytes) -> None:
        if self._closed:
            return
        self._fed += len(audio)
        utterance = self._current
        if utterance is None:
            ring, size = self._ring, self._format.size(_RING_MS)
            ring += audio
            if len(ring) > 2 * size:  # seldom, as it moves the rest
                del ring[: len(ring) - size]
            return
        utterance.audio += audio
        length_ms = self._format.ms(len(utterance.audio))
        if length_ms > _LONGEST_MS:
            self._end()
            self._begin(0)
        elif length_ms - utterance.interim_ms >= (
            _INTERIM_EVERY_MS if utterance.interim_ms else _INTERIM_FIRST_MS
        ):
            utterance.interim_ms = length_ms
            self._decode_meanwhile(utterance)

    def speech_started(self, ago_ms: float) -> None:
        self._release()
        if self._current is None and not self._closed:
            self._begin(max(0.0, ago_ms) + _BEFORE_MS)

    def finalize(self) -> None:
        if self._closed:
            return
        self._release()
        if self._current is None:
            # Answered in its turn, after those that are still being decoded.
            self._add(_Utterance(self._fed_ms, bytearray(), wanted=False, end_ms=self._fed_ms))
        else:
            self._end()

    async def close(self) -> None:
        self._closed = True
        self._current = None
        if self._held is not None:
            self._held[1].cancel()
        for task in (self._task, self._interim):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    @property
    def _fed_ms(self) -> float:
        return self._format.ms(self._fed)

    def _begin(self, ago_ms: float) -> None:
        size = min(len(self._ring), self._format.size(ago_ms))
        audio = bytearray(self._ring[len(self._ring) - size :])
        self._ring.clear()
        self._current = _Utterance(self._fed_ms - self._format.ms(size), audio)

    def _end(self) -> None:
        utterance, self._current = self._current, None
        if utterance is not None:
            utterance.end_ms = self._fed_ms
            self._add(utterance)

    def _add(self, utterance: _Utterance) -> None:
        self._queue.append(utterance)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="whisper")

    # --- the task: one utterance after another ---

    async def _work(self) -> None:
        """Decode what is queued; ends when nothing is."""
        while self._queue:
            utterance = self._queue.popleft()
            text, spoken_at_ms, found = "", utterance.end_ms, None
            if utterance.wanted:
                text, spoken_at_ms, found = await self._understand(utterance)
            if not self._queue:
                self._task = None  # before the words: what they cause may be new work
            self._tell(text, True, spoken_at_ms, utterance.end_ms, found)
            if self._task is None:
                return

    async def _understand(self, utterance: _Utterance) -> tuple[str, float, Decoded | None]:
        audio, said = self._joined(utterance)
        language = self._languages
        format, model = self._format, self._model

        def job() -> tuple[Decoded, float]:
            samples = _samples(audio, format)
            return model.decode(samples, language, said=model.open_end(said)), _quiet_ms(samples)

        try:
            found, quiet_ms = await self._engine.threads.run(job, _FINAL_DUE_S)
        except Exception as error:  # whatever the runtime raises: one utterance
            self._failed(error)
            self._half = None
            return "", utterance.end_ms, None
        self._failures = 0
        if found.text:
            self._half = _Half(audio, (*said, *found.tokens), utterance.end_ms)
        # The mark that the first half ends with after all was told with it, or is none.
        text = found.text.lstrip(_MARKS) if said else found.text
        return text, utterance.end_ms - quiet_ms, found

    def _joined(self, utterance: _Utterance) -> tuple[bytes, tuple[int, ...]]:
        """The audio to decode, and tokens of what its beginning says."""
        half, format = self._half, self._format
        audio = bytes(utterance.audio)
        if half is None:
            return audio, ()
        gap_ms = utterance.start_ms - half.end_ms
        whole_ms = format.ms(len(half.audio) + len(audio))
        if gap_ms > _JOIN_GAP_MS or whole_ms > _JOIN_LONGEST_MS:
            return audio, ()
        silence = format.silence(min(max(gap_ms, 0.0), _GAP_HEARD_MS))
        return half.audio + silence + audio, half.tokens

    # --- interim words ---

    def _decode_meanwhile(self, utterance: _Utterance) -> None:
        waits = self._interim is not None and not self._interim.done()
        if self._engine.interims and not waits and not self._queue and self._task is None:
            self._interim = asyncio.create_task(self._guess(utterance), name="whisper interim")

    async def _guess(self, utterance: _Utterance) -> None:
        heard_to_ms = self._fed_ms
        audio, said = self._joined(utterance)
        if self._format.ms(len(audio)) > _INTERIM_WINDOW_MS:
            audio, said = bytes(utterance.audio), ()
        format, model, languages = self._format, self._model, self._languages
        if format.ms(len(audio)) > _INTERIM_WINDOW_MS:
            return

        def job() -> Decoded:
            samples = _samples(audio, format)
            return model.decode(samples, languages, beam=1, said=model.open_end(said))

        try:
            found = await self._engine.threads.run(job, _INTERIM_DUE_S, spare=True)
        except Dropped:
            return
        except Exception as error:  # the final will say whether it was more than once
            log.warning("whisper: no interim words: %s", error)
            return
        # The last word is not ripe: it was cut, or is one that will never be said.
        text = " ".join(found.text.split()[:-1]).rstrip(".,!?…")
        text = text.lstrip(_MARKS) if said else text
        if text and utterance is self._current:
            self._tell(text, False, heard_to_ms, heard_to_ms, found)

    # --- telling ---

    def _tell(
        self, text: str, final: bool, spoken_at_ms: float, heard_to_ms: float, found: Decoded | None
    ) -> None:
        if self._closed:
            return
        words = Words(
            text,
            final,
            spoken_at_ms,
            heard_to_ms,
            language=found.language if found and text else None,
            confidence=found.confidence if found and text else None,
        )
        self._release()
        silent_ms = self._fed_ms - heard_to_ms
        if final and is_unfinished(words) and silent_ms < _UNMARKED_HELD_MS:
            later_s = (_UNMARKED_HELD_MS - silent_ms) / 1000
            timer = asyncio.get_running_loop().call_later(later_s, self._release)
            self._held = words, timer
            words = replace(words, final=False)
        self._hand_on(words)

    def _release(self) -> None:
        """What was held back is final after all."""
        if self._held is not None:
            (words, timer), self._held = self._held, None
            timer.cancel()
            self._hand_on(words)

    def _hand_on(self, words: Words) -> None:
        try:
            self._on_words(words)
        except Exception:  # the stream goes on; the listener's fault is in the log
            log.exception("whisper: a listener failed")

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        stage = "lost" if self._failures >= _FAILURES else "decode"
        failure = EngineFailed(NAME, stage, str(error) or type(error).__name__)
        log.warning("%s", failure)
        if not self._closed:
            self._on_failed(failure)


class Whisper:
    """`Transcriber` by the Whisper model in `folder`, on `threads`, which belong to the caller.

    `name` says which model it is. `interims`: whether words are told while the caller speaks,
    about 16 % of a core as long as it lasts, and none where there is no idle thread. Loaded by
    `warm` or the first call. `Hints.phrases` are of no use to it.
    """

    # Decoding after 100 ms of silence gives the words of decoding after a second.
    endpointing = Endpointing(finalize_after_ms=96, final_within_ms=4000)

    def __init__(
        self, folder: Path, threads: ModelThreads, *, name: str = NAME, interims: bool = True
    ) -> None:
        self.name = name
        self.threads = threads
        self.interims = interims
        self._folder = folder
        self._model: WhisperModel | None = None
        self._loading = asyncio.Lock()

    def takes(self, line: AudioFormat) -> AudioFormat:
        """Whatever it is: it is converted once an utterance, off the loop."""
        return line

    async def warm(self) -> None:
        """Load the model and decode a moment of nothing. Raises `EngineFailed`."""
        await self._loaded()

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> WhisperStream:
        model = await self._loaded()
        wanted = [tag.lower().split("-")[0] for tag in hints.languages]
        known = tuple(tag for tag in dict.fromkeys(wanted) if model.knows(tag))
        if wanted and not known:
            which = "English" if not model.multilingual else "99 languages"
            raise EngineFailed(self.name, "open", f"it knows {which}, not {hints.languages[0]!r}")
        return WhisperStream(self, model, format, known, on_words, on_failed)

    async def aclose(self) -> None:
        """The threads are the caller's to close."""
        self._model = None

    async def _loaded(self) -> WhisperModel:
        async with self._loading:
            if self._model is None:
                # On such a thread: those that the runtime starts inherit its low priority.
                self._model = await self.threads.run(self._load, 0.0)
            return self._model

    def _load(self) -> WhisperModel:
        model = WhisperModel(self._folder, threads=self.threads.count)
        model.decode(np.zeros(RATE_HZ, np.float32), ("en",))
        return model


def is_unfinished(words: Words) -> bool:
    """Whether a final text has no mark at its end, in a language in which that says something.
    Three dots are no end."""
    if not words.text or words.language not in _MARKED_LANGUAGES:
        return False
    text = words.text.rstrip("\"'”’»")
    return not text.endswith(_ENDS) or text.endswith("..")


def _samples(audio: bytes, format: AudioFormat) -> Floats:
    pcm = decode(format, audio)
    if format.rate_hz != RATE_HZ:
        resampler = Resampler(format.rate_hz, RATE_HZ)
        pcm = resampler.feed(pcm) + resampler.flush()
    return np.frombuffer(pcm, "<i2").astype(np.float32) * np.float32(1 / 32768)


def _quiet_ms(samples: Floats) -> float:
    """How long it is quiet at the end: 10 ms pieces 35 dB below the loudest."""
    piece = RATE_HZ // 100
    whole = samples[: len(samples) // piece * piece].reshape(-1, piece)
    if not len(whole):
        return 0.0
    power = (whole**2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10**-3.5)
    return float(len(whole) - 1 - loud[-1]) * 10 if len(loud) else 0.0
