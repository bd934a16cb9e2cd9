"""What holds a conversation, and the call that it is held in: two Protocols.

`Talk` hears the caller, thinks and speaks. `Cascade` (`cascade.py`) is one: a transcriber, a
language model and a voice, with turn-taking between them. A model that hears and speaks by itself
is another. `Host` is all that a `Talk` sees of the call around it: its time, its timeline, its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol

from chorus.lines.desk import Detected
from chorus.lines.line import LineMove
from chorus.talk.answered.verdict import Verdict
from chorus.talk.dialogue import Dialogue
from chorus.talk.tools.acting import ToolRun

P = ParamSpec("P")


class Host(Protocol):
    """The call, as far as a conversation may act on it."""

    @property
    def call_ms(self) -> float:
        """Milliseconds since the line was answered."""
        ...

    def note(self, kind: str, /, **data: object) -> None:
        """Write the timeline."""
        ...

    def hang_up(self, reason: str, detail: str = "") -> None:
        """End the call. The first reason stands."""
        ...

    def who_answered(self, verdict: Verdict) -> None:
        """It was found out who answered, or that it is somebody else."""
        ...

    def guarded(self, callback: Callable[P, None]) -> Callable[P, None]:
        """`callback` for somebody whom all calls share: what it raises ends this call alone, and
        it does nothing once there is a reason to end."""
        ...


class Opening(Protocol):
    """The agent's first message: it is made at once, and heard once it is no longer held back."""

    held_back: bool


class Talk(Protocol):
    """One conversation. Everything but `aclose` returns at once; what it raises ends the call."""

    @property
    def dialogue(self) -> Dialogue: ...

    @property
    def lost_ms(self) -> float:
        """Audio of the caller that the network lost."""
        ...

    @property
    def filled_ms(self) -> float:
        """Silence that was put in where the line delivered nothing."""
        ...

    def start(self) -> None:
        """The line delivers from now on."""
        ...

    def audio(self, chunk: bytes, at_ms: float) -> None:
        """What the caller's line delivered; see `LineEvents.line_audio`."""
        ...

    def digit(self, digit: str) -> None: ...

    def moved(self, move: LineMove) -> None:
        """What happens to the person's line. While it is held nobody hears the agent, which says
        nothing, takes what comes for no words and waits without counting the time; when it is
        resumed it goes on with what it was saying or had to say."""
        ...

    def tick(self) -> None:
        """20 ms have passed."""
        ...

    def open_with(self, greeting: str | None, *, uninterruptible: bool) -> Opening:
        """Prepare the agent's first message; without a `greeting` the model makes it."""
        ...

    def say(self, text: str) -> None:
        """The agent says `text` as soon as nobody speaks."""
        ...

    def take_leave(self, text: str, reason: str, detail: str = "") -> None:
        """The agent says `text`; then the call ends for `reason`, heard or not, in bounded time."""
        ...

    def say_first(self, text: str, then: Callable[[], None]) -> None:
        """The agent says `text`, which may not be interrupted. `then` is called once, in bounded
        time: when it was heard, or could not be."""
        ...

    def advise(self, text: str) -> None:
        """The model is told `text` with its next reply."""
        ...

    def carrier_heard(self, found: Detected | None, *, greeting_over: bool) -> None:
        """What the carrier's detection found, None if it is not sure; it may come twice, when a
        mailbox is heard and when its greeting is over. To a mailbox the agent is silent until then,
        and leaves a message."""
        ...

    async def may_open(self) -> None:
        """Returns when the agent's first message may be heard: whoever answered is a person, or
        says nothing."""
        ...

    @property
    def if_hung_up(self) -> str | None:
        """The reason of the call's end, if the other side hangs up now and there is one to tell."""
        ...

    def tool_done(self, action: ToolRun) -> None:
        """A tool has its result, perhaps long after it was asked for, or after `close`."""
        ...

    def suspend(self) -> None:
        """The agent falls silent and answers nothing, because somebody else speaks with the
        caller; what the caller says is still in `dialogue`."""
        ...

    def resume(self) -> None:
        """The agent takes part again."""
        ...

    def between_people(self, tell: Callable[[str], None] | None) -> None:
        """Two people talk from now on, this one of them. `tell` is given each of their turns; None:
        nobody listens any more, and no transcriber is paid for. Until the end of the call."""
        ...

    def close(self) -> None:
        """The call is over: from now on nothing is said, and nothing new heard."""
        ...

    async def last_words(self) -> None:
        """After `close`: wait, in bounded time, for the words of what the caller said last. Then
        `dialogue` is the record."""
        ...

    async def aclose(self) -> None:
        """Give back what was open."""
        ...
