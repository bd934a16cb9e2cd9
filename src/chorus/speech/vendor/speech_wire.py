"""What one vendor's way of speaking over a WebSocket consists of; one object a socket.

A context is one reply: its clauses go in one after the other, its audio comes back in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chorus.speech.engines import EngineFailed
from chorus.speech.vendor.wire import Message


@dataclass(frozen=True, slots=True)
class Sound:
    """`context` "" is the only one that is open."""

    context: str
    audio: bytes


@dataclass(frozen=True, slots=True)
class Timed:
    """Characters or words of the text, and where each ends, in milliseconds of the context's
    audio. Comes before the audio or with it."""

    context: str
    units: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ClauseDone:
    """All audio of the next clause that was not told to be done has come."""

    context: str


@dataclass(frozen=True, slots=True)
class ContextDone:
    """Nothing more of it comes: all was said, or it was cancelled."""

    context: str


@dataclass(frozen=True, slots=True)
class ContextFailed:
    """The vendor gave it up; the socket goes on."""

    context: str
    failure: EngineFailed


SpeechEvent = Sound | Timed | ClauseDone | ContextDone | ContextFailed


class SpeechWire:
    """Subclasses say what is sent and understand what comes back."""

    most_contexts: int = 4
    """So many may be open at once on a socket, those that are being cancelled too."""
    clauses_by_text: bool = False
    """The vendor tells no ends of clauses; they are where the text of one ends by its times."""
    ends_with_clauses: bool = False
    """A context is over with its last clause; the vendor tells no more."""
    counts_replies: bool = False
    """What an account may have under way is counted in replies, on whatever sockets."""
    keep_alive_s: float | None = None
    session_s: float = 3600.0
    """At this age of a socket another is opened for what is said next."""

    def begin(self, context: str) -> Sequence[Message]:
        """Before its first clause."""
        return ()

    def clause(self, context: str, text: str) -> Sequence[Message]:
        raise NotImplementedError

    def end(self, context: str) -> Sequence[Message]:
        """No clause follows. Answered by `ContextDone`, unless it ends with its clauses."""
        return ()

    def cancel(self, context: str) -> Sequence[Message]:
        """Stop its work. Answered by `ContextDone`, before or after more of its audio."""
        raise NotImplementedError

    def keep_alive(self) -> Sequence[Message]:
        return ()

    def goodbye(self) -> Sequence[Message]:
        return ()

    def fresh(self, now_s: float) -> bool:
        """Whether another reply may begin on this socket, by a limit of the vendor's."""
        return True

    def reserve_s(self, now_s: float) -> float:
        """How long to wait before the next clause, by a limit of the vendor's. It is sent then."""
        return 0.0

    def read(self, message: Message) -> Sequence[SpeechEvent]:
        """Raises `EngineFailed` when the vendor reports a failure of all, and `ValueError`,
        `KeyError` or `TypeError` for what is not as documented."""
        raise NotImplementedError
