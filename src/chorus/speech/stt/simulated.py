"""A transcriber without a model, for benchmarks and demonstrations: it hears loud audio, says
a text that was given to it, and takes the time that a vendor would.

In order: loud audio opens an utterance; while it lasts, interim words come as fast as people
speak, but for the last one, which nobody can know before it is said (who speaks for longer than
the text lasts begins it again); `delay_ms` after the last loud audio the final text comes, which
also answers a `finalize`. A `finalize` with no utterance open is answered with empty text.

It costs one pass over the bytes of a chunk, and a timer each `delay_ms` of speech.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from chorus.audio import codec
from chorus.audio.frame import AudioFormat
from chorus.speech.engines import Endpointing, EngineFailed, Hints, Words

_LOUD = 100  # of 32768, peak
_LEAST_MS = 60  # less is a click
_WORD_MS = 300


def quiet_codes(format: AudioFormat) -> bytes | None:
    """The bytes of G.711 that stand for at most `_LOUD`; None for pcm16."""
    if format.encoding == "pcm16":
        return None
    codes = bytes(range(256))
    return bytes(c for c in codes if codec.peak(codec.decode(format, bytes([c]))) <= _LOUD)


class SimulatedTranscription:
    def __init__(
        self,
        texts: Sequence[str],
        delay_ms: float,
        format: AudioFormat,
        on_words: Callable[[Words], None],
    ) -> None:
        self._texts = texts
        self._delay_s = delay_ms / 1000
        self._format = format
        self._quiet = quiet_codes(format)
        self._on_words = on_words
        self._loop = asyncio.get_running_loop()
        self._turn = 0
        self._fed = 0
        self._loud = 0  # bytes of loud chunks in this utterance
        self._loud_until = 0  # bytes fed when it was last loud
        self._loud_at = 0.0  # the loop's time then
        self._told = 0  # words of interim
        self._timer: asyncio.TimerHandle | None = None
        self._asked = 0  # calls of finalize that the utterance will answer
        self._closed = False

    def feed(self, audio: bytes) -> None:
        self._fed += len(audio)
        if self._quiet is None:
            loud = codec.peak(audio) > _LOUD
        else:
            loud = bool(audio.translate(None, self._quiet))
        if loud and not self._closed:
            self._loud += len(audio)
            self._loud_until = self._fed
            self._loud_at = self._loop.time()
            if self._timer is None:
                self._timer = self._loop.call_later(self._delay_s, self._look)

    def speech_started(self, ago_ms: float) -> None:
        """It listens for itself."""

    def finalize(self) -> None:
        if self._closed:
            return
        if self._timer is not None:
            self._asked += 1
        else:
            self._loop.call_soon(self._say, "", True)

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        due = self._loud_at + self._delay_s
        if self._loop.time() < due - 0.0005:
            self._timer = self._loop.call_at(due, self._look)
            self._say_interim()
            return
        self._timer = None
        text = ""
        if self._format.ms(self._loud) >= _LEAST_MS:
            text = self._texts[self._turn % len(self._texts)]
            self._turn += 1
        self._loud = self._told = 0
        asked, self._asked = self._asked, 0
        if text or asked:
            self._say(text, True)
        for _ in range(asked - 1):
            self._say("", True)

    def _say_interim(self) -> None:
        loud_ms = self._format.ms(self._loud)
        if loud_ms < _LEAST_MS + self._told * _WORD_MS:
            return
        words = self._texts[self._turn % len(self._texts)].split()
        known = words[:-1] or words
        self._told += 1
        self._say(" ".join(known[n % len(known)] for n in range(self._told)), False)

    def _say(self, text: str, final: bool) -> None:
        if not self._closed:
            fed_ms = self._format.ms(self._fed)
            spoken_at_ms = self._format.ms(self._loud_until) if text else fed_ms
            self._on_words(Words(text, final, spoken_at_ms, fed_ms))


class SimulatedTranscriber:
    """`Transcriber` that understands `texts`, one after another and again from the first."""

    name = "simulated"
    endpointing = Endpointing(finalize_after_ms=None)

    def __init__(
        self,
        texts: Sequence[str] = ("I would like to book a table for two.",),
        *,
        delay_ms: float = 100,
    ) -> None:
        if not texts or not all(text.strip() for text in texts):
            raise ValueError("texts must hold at least one text, and none may be empty")
        if delay_ms <= 0:
            raise ValueError(f"delay_ms must be positive: {delay_ms}")
        self._texts = tuple(texts)
        self._delay_ms = delay_ms

    def takes(self, line: AudioFormat) -> AudioFormat:
        return line

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> SimulatedTranscription:
        return SimulatedTranscription(self._texts, self._delay_ms, format, on_words)

    async def aclose(self) -> None:
        """Nothing to release; here so that every engine is closed alike."""
