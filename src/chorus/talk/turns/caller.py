"""What turn-taking knows of the caller: the voice, and the turn that is open or may become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from chorus.talk.turns.words import OpenTurn, Transcript


@dataclass(slots=True, eq=False)
class Caller:
    """`voiced`: the last frame held speech, and `voice_end` is where such a frame last ended. `run`
    is how much voice (ms) there is in the present run of speech, whose gaps are short, and
    `run_onset` where it began; `segment_onset` is where the turn last went from silence to voice.
    `noise`: the voice that was open when a turn ended, which takes no turn.

    `turn` is the open turn in the states `user` and `pause`; in every other it is a candidate:
    speech that may become one."""

    voiced: bool = False
    voice_end: float = -inf
    run: int = 0
    run_onset: float = 0.0
    segment_onset: float = 0.0
    noise: bool = False
    turn: OpenTurn | None = None
    transcript: Transcript = field(default_factory=Transcript)
    wordless_turns: int = 0

    def wordless_since(self, turn: OpenTurn) -> float:
        return max(turn.word_at, self.segment_onset)
