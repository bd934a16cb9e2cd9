"""Golden scripts of turn-taking: a small language for what happens, and what must follow.

A script is a text file, read line by line; `#` begins a comment. First, optionally,

    set fallback_silence_ms=3000 threshold=0.5 language=de

then inputs, each behind the time at which it happens (checked against the script's clock, which
only audio moves forward), and, indented behind `>`, exactly the events that it leads to, each
behind the time at which it comes:

       320  voice 96            # three frames of speech
         > 352 SpeechStarted turn=1 onset_ms=320.0
       416  quiet 128
       544  words "yes" at 400  # final; `interim "ye" at 380` for what is not. `words "yes" at
                                # 400 to 420`: listened so far and no further
                                # `final_asked`: by a transcriber that is asked for final words
       544  verdict 1 0.9
       544  state pause         # checks where the machine stands
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

from chorus.talk.hearing import VoiceGate
from chorus.talk.turns.turns import FRAME_MS, Event, Turns, TurnSettings


def written(at: float, event: Event) -> str:
    """An event as scripts write it; empty and zero fields are left out."""
    values = [(f.name, getattr(event, f.name)) for f in fields(event) if f.compare]
    shown = [f"{name}={_value(value)}" for name, value in values if value not in ("", 0.0)]
    return " ".join([f"{at:g}", type(event).__name__, *shown])


def _value(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) and " " in value else f"{value}"


@dataclass
class Script:
    """`run` returns the script with the events that it really led to."""

    path: Path
    turns: Turns = field(init=False)
    gate: VoiceGate = field(init=False)
    now: float = 0.0

    def run(self) -> str:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        settings: dict[str, str] = {}
        for line in lines:
            if line.startswith("set "):
                settings |= dict(pair.split("=") for pair in line.split("#")[0].split()[1:])
        threshold = float(settings.pop("threshold", "0.5"))
        language = settings.pop("language", "en")
        chosen = TurnSettings(**{name: int(value) for name, value in settings.items()})
        self.gate = VoiceGate(chosen.frame_activation_threshold)
        self.turns = Turns(
            chosen,
            threshold=threshold,
            language=language,
        )
        out: list[str] = []
        for number, line in enumerate(lines, 1):
            if line.lstrip().startswith(">"):
                continue
            out.append(line)
            if not line.strip() or line.startswith(("set ", "#")):
                continue
            try:
                at, verb, *args = shlex.split(line, comments=True)
                assert float(at) == self.now, f"it is {self.now:g}, not {at}"
                events = self._do(verb, args)
            except Exception as error:
                raise AssertionError(f"{self.path.name}:{number}: {error!r}") from error
            out += [f"        > {written(t, event)}" for t, event in events]
        return "\n".join(out) + "\n"

    def _do(self, verb: str, args: list[str]) -> list[tuple[float, Event]]:
        turns, now = self.turns, self.now
        if verb in ("voice", "quiet", "frames"):
            ms, p = int(args[0]), {"voice": 0.9, "quiet": 0.05}.get(verb)
            return self._audio(ms, float(args[1]) if p is None else p)
        if verb == "skip":  # time without frames
            return self._skip(float(args[0]))
        inputs: dict[str, Callable[[], object]] = {
            "words": lambda: turns.words(
                args[0], True, float(args[2]), float(args[4]) if args[4:] else now, now
            ),
            "final_asked": lambda: turns.words(args[0], True, float(args[2]), now, now, asked=True),
            "interim": lambda: turns.words(args[0], False, float(args[2]), now, now),
            "vendor_verdict": lambda: turns.vendor_verdict(float(args[0]), float(args[1]), now),
            "verdict": lambda: turns.verdict(int(args[0]), float(args[1]), now),
            "digit": lambda: turns.digit(args[0], now),
            "agent_speaks": lambda: turns.agent_speaks(
                now, uninterruptible=args == ["uninterruptible"]
            ),
            "audible": lambda: turns.audible(float(args[0]), now),
            "agent_text": lambda: turns.agent_text(*args),
            "effects_begun": turns.effects_begun,
            "reply_done": lambda: turns.reply_done(now),
            "end": lambda: turns.end(now),
            "state": lambda: self._check("state", turns.state, args[0]),
            "text": lambda: self._check("text", turns.text, args[0]),
        }
        inputs[verb]()
        return self._events()

    def _audio(self, ms: int, p: float) -> list[tuple[float, Event]]:
        assert ms % FRAME_MS == 0, f"{ms} ms are not whole frames"
        events: list[tuple[float, Event]] = []
        for _ in range(ms // FRAME_MS):
            self.now += FRAME_MS
            self.turns.hear(self.gate.hear(p), self.now)
            events += self._events()
        return events

    def _skip(self, ms: float) -> list[tuple[float, Event]]:
        end = self.now + ms
        events: list[tuple[float, Event]] = []
        while self.now < end:
            self.now = min(self.now + 1, end)
            self.turns.tick(self.now)
            events += self._events()
        self.now = end
        return events

    def _events(self) -> list[tuple[float, Event]]:
        events: list[tuple[float, Event]] = []
        while event := self.turns.next_event():
            events.append((self.now, event))
        return events

    def _check(self, what: str, is_: str, wanted: str) -> None:
        assert is_ == wanted, f"{what} is {is_!r}, not {wanted!r}"
