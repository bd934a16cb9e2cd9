"""What one vendor's way of transcribing over a WebSocket consists of; one object a socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chorus.speech.engines import WordTime

Message = str | bytes


@dataclass(frozen=True, slots=True)
class Told:
    """What a message says. All times are milliseconds of audio since the socket was opened.

    An interim `text` is everything since the last final. `answers`: this is the answer to a
    `finalize`, and the last of it. `heard_to_ms`: of what was said before it nothing is missing;
    None where the vendor does not tell: everything that it was sent, for an interim, and the end
    of the last word, or nothing, for a final.
    """

    text: str = ""
    final: bool = False
    answers: bool = False
    heard_to_ms: float | None = None
    words: tuple[WordTime, ...] = ()
    language: str | None = None
    confidence: float | None = None
    turn_over: float | None = None


class Wire:
    """Subclasses say what is sent and understand what comes back."""

    chunk_ms: float = 60.0
    """Audio is sent in pieces of this length; the rest of one goes before a `finalize`."""
    greets: bool = False
    """The first message comes unasked, and a stream is not to be trusted before it."""
    keep_alive_s: float | None = None
    """Without audio for so long, `keep_alive` is sent."""
    session_s: float = 3600.0
    """At this age of a socket another is opened, in a pause, before the vendor closes it."""
    speaks_every_ms: float | None = None
    """It says something at least once in so much audio; when it does not, it has stalled."""

    def begin(self) -> Sequence[Message]:
        """Before any audio."""
        return ()

    def audio(self, chunk: bytes) -> Message:
        return chunk

    def finalize(self, unheard_ms: float) -> Sequence[Message]:
        """Ask for final words. `unheard_ms`: so much audio was sent since the last were asked."""
        return ()

    def keep_alive(self) -> Message | None:
        return None

    def goodbye(self) -> Message | None:
        """No audio follows. Vendors that bill the time of a socket end it at once then."""
        return None

    def read(self, message: Message) -> Sequence[Told]:
        """Raises `EngineFailed` when the vendor reports a failure, and `ValueError`, `KeyError`
        or `TypeError` for what is not as documented."""
        raise NotImplementedError
