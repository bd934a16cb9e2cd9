"""The engines of `bench.replies`, on a virtual clock: what is real is asked in the moment, what
stands for a vendor takes a vendor's time.

`TimedTranscriber` knows what is said and when each word ends, and tells it as one kind of vendor
does (`Vendor`). `InlineSilero` and `RememberedJudge` are Chorus's own models; the latter's
verdicts are kept in a file, since the same turn always gets the same one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chorus.audio import codec
from chorus.audio.frame import AudioFormat
from chorus.llm.model import ModelItem, Prompt
from chorus.llm.simulated import SimulatedModel
from chorus.speech.engines import Endpointing, EngineFailed, Heard, Hints, Words
from chorus.speech.eot.smart_turn import SmartTurn
from chorus.speech.eot.smart_turn_model import SmartTurnModel, end_of
from chorus.speech.models import find_model
from chorus.speech.vad.silero import SileroDetector

_LOUD = 100  # of 32768, peak
_LOOK_MS = 40  # between two interims


@dataclass(frozen=True, slots=True)
class Vendor:
    """`shows_ms`: a word is in the interims so long after its end. Final words come `final_ms`
    after the end of speech, or (`asked`) after they were asked for. `marks`: it writes the marks
    of the sentence (`well`), none (`none`), or a full stop after whatever it makes final
    (`always`)."""

    name: str
    shows_ms: float
    final_ms: float
    asked: bool = False
    marks: str = "well"

    def write(self, words: Sequence[str], *, final: bool, all_said: bool) -> str:
        text = " ".join(words)
        if self.marks == "none":
            return "".join(char for char in text if char.isalnum() or char in " '’-")
        if final and self.marks == "always":
            return text if text[-1:] in ".?!" else f"{text.rstrip(',;:')}."
        if self.asked and not final:
            return text.rstrip(".?!")
        if all_said and text and text[-1] not in ".?!":
            return f"{text}."
        return text


class _TimedTranscription:
    def __init__(
        self, engine: TimedTranscriber, format: AudioFormat, on_words: Callable[[Words], None]
    ) -> None:
        self._engine = engine
        self._format = format
        self._on_words = on_words
        self._loop = asyncio.get_running_loop()
        self._fed_ms = self._quiet_from_ms = self._looked_ms = 0.0
        self._told = self._shown = 0
        self._quiet = True
        self._closed = False

    def feed(self, audio: bytes) -> None:
        self._fed_ms += self._format.ms(len(audio))
        vendor = self._engine.vendor
        if codec.peak(codec.decode(self._format, audio)) > _LOUD:
            self._quiet_from_ms, self._quiet = self._fed_ms, False
        elif not (self._quiet or vendor.asked):
            self._quiet = self._fed_ms - self._quiet_from_ms >= vendor.final_ms
            if self._quiet:
                self._final(self._fed_ms)
        if self._fed_ms - self._looked_ms >= _LOOK_MS:
            self._looked_ms = self._fed_ms
            self._interim()

    def speech_started(self, ago_ms: float) -> None:
        """It listens for itself."""

    def finalize(self) -> None:
        if self._engine.vendor.asked:
            self._loop.call_later(self._engine.vendor.final_ms / 1000, self._final, self._fed_ms)
        elif self._quiet:
            self._loop.call_soon(self._final, self._fed_ms)
        # else the final that the end of speech brings is the answer

    async def close(self) -> None:
        self._closed = True

    def _ended(self, by_ms: float) -> int:
        return sum(end_ms <= by_ms for _, end_ms in self._engine.said)

    def _interim(self) -> None:
        seen = self._ended(self._fed_ms - self._engine.vendor.shows_ms)
        if seen > max(self._told, self._shown):
            self._shown = seen
            self._say(seen, self._fed_ms, final=False)

    def _final(self, heard_to_ms: float) -> None:
        # What is all but said by then was understood; the last word is over when the sound is.
        seen = max(self._told, self._ended(heard_to_ms))
        self._say(seen, heard_to_ms, final=True)
        self._told = self._shown = seen

    def _say(self, seen: int, heard_to_ms: float, *, final: bool) -> None:
        if self._closed:
            return
        said = self._engine.said
        new = [word for word, _ in said[self._told : seen]]
        text = ""
        if new:
            text = self._engine.vendor.write(new, final=final, all_said=seen == len(said))
        spoken_at_ms = said[seen - 1][1] if seen else heard_to_ms
        self._on_words(Words(text, final, min(spoken_at_ms, heard_to_ms), heard_to_ms))


class TimedTranscriber:
    """`said`: each word and where in the call's audio it ends, in milliseconds."""

    name = "timed"

    def __init__(self, vendor: Vendor, said: Sequence[tuple[str, float]]) -> None:
        self.vendor = vendor
        self.said = tuple(said)
        self.endpointing = Endpointing(finalize_after_ms=96 if vendor.asked else None)

    def takes(self, line: AudioFormat) -> AudioFormat:
        return line

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> _TimedTranscription:
        return _TimedTranscription(self, format, on_words)


class InlineSilero(SileroDetector):
    """Runs when it is asked, not in a thread, whose time would be another's."""

    def submit(self, batch: Any) -> None:
        probabilities = batch.batcher.run(self._session, batch)
        self.loop.call_soon(batch.batcher.done, batch, probabilities)


class RememberedJudge:
    """Smart Turn itself, which answers after `takes_ms`."""

    name = "smart-turn"
    threshold = SmartTurn.threshold

    def __init__(self, memory: Path, *, takes_ms: float) -> None:
        path = find_model("smart_turn")
        assert path is not None, "the model of Smart Turn is missing: make setup-dev"
        self._model = SmartTurnModel(path)
        self._takes_s = takes_ms / 1000
        self._memory = memory
        known = memory.read_text() if memory.exists() else "{}"
        self._known: dict[str, float] = json.loads(known)
        self.asked: list[float] = []

    async def judge(self, heard: Heard) -> float:
        await asyncio.sleep(self._takes_s)
        self.asked.append(self.probability(heard))
        return self.asked[-1]

    def probability(self, heard: Heard) -> float:
        pcm16 = end_of(heard)
        key = hashlib.blake2b(f"{heard.rate_hz} ".encode() + pcm16, digest_size=12).hexdigest()
        if key not in self._known:
            self._known[key] = self._model.completeness(pcm16, heard.rate_hz)
        return self._known[key]

    def keep(self) -> None:
        self._memory.parent.mkdir(exist_ok=True)
        self._memory.write_text(json.dumps(self._known))


class CountedModel(SimulatedModel):
    """Counts what it is asked."""

    def __init__(self, first_token_ms: float) -> None:
        super().__init__(first_token_ms=first_token_ms)
        self.asked = 0

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        self.asked += 1
        async for item in super().reply(prompt):
            yield item
