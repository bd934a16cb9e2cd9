"""What an agent says while its answer is not there yet: "Let me see."

The sounds are made once, when the call begins. One is heard if nothing else is so long after the
caller has fallen silent; never in two turns in a row; they take turns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import EngineFailed
from chorus.talk.voicing import Script, Voicing

log = logging.getLogger(__name__)


class Filler:
    """One call's. `after_ms` counts from when the caller fell silent; `note(kind, **data)` writes
    the timeline. `on_hold`: nothing can be heard now, and what is said then would be heard later,
    when nobody waits for it."""

    def __init__(
        self,
        after_ms: float,
        texts: Sequence[str],
        voicing: Voicing,
        format: AudioFormat,
        note: Callable[..., None],
    ) -> None:
        self.after_ms = after_ms
        self._texts = tuple(texts)
        self._voicing = voicing
        self._format = format
        self._note = note
        self.on_hold: Callable[[], bool] = lambda: False
        self._sounds: list[tuple[str, bytes]] = []
        self._turns = 0
        self._last = -1  # the turn that was filled last, by `_turns`

    async def prepare(self) -> None:
        """Make the sounds. Without a voice there are none, and the agent says nothing."""
        for text in self._texts:
            script = Script()
            script.put(text)
            script.put(None)
            audio = bytearray()
            try:
                async with aclosing(self._voicing.speak(script)) as pieces:
                    async for piece in pieces:
                        audio += piece.audio
            except EngineFailed as failure:
                log.info("no filler: %s", failure)
                return
            self._sounds.append((text, bytes(audio)))
            self._note(
                "usage",
                model="",
                voice=self._voicing.name,
                inputTokens=0,
                outputTokens=0,
                characters=len(text),
                discarded=False,
            )

    def begin_turn(self) -> None:
        """Another turn is answered."""
        self._turns += 1

    def take(self) -> tuple[str, bytes] | None:
        """For this turn, if it may have one: the text and its audio in the line's format."""
        if not self._sounds or self.on_hold():
            return None
        if self._last == self._turns - 1 >= 0 or self._last == self._turns:
            return None
        self._last = self._turns
        self._sounds.append(self._sounds.pop(0))
        return self._sounds[-1]
