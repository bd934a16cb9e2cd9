"""What a line delivers: kept until the conversation listens, then handed on at once.

A line is answered before the conversation is ready for it. `Inbox` keeps the first seconds,
delivers them in order at `start`, and makes sure that `line_ended` comes once and last.
"""

from __future__ import annotations

from collections import deque

from chorus.lines.line import LineEnded, LineEvents, LineMove

# 5 s of 20 ms frames. A conversation that is not ready by then has lost the oldest audio,
# which it sees as a hole in `at_ms`; memory stays bounded whatever a peer sends.
KEPT_CHUNKS = 250


class Inbox:
    """The one way from a line to its `LineEvents`."""

    __slots__ = ("_chunks", "_digits", "_ended", "_events", "_moves", "_over")

    def __init__(self) -> None:
        self._events: LineEvents | None = None
        self._chunks: deque[tuple[bytes, float]] = deque(maxlen=KEPT_CHUNKS)
        self._digits: deque[str] = deque(maxlen=KEPT_CHUNKS)
        self._moves: deque[LineMove] = deque(maxlen=KEPT_CHUNKS)
        self._ended: LineEnded | None = None
        self._over = False

    def start(self, events: LineEvents) -> None:
        """Deliver what was kept, then everything else as it comes. Raises `RuntimeError` when
        somebody listens already."""
        if self._events is not None:
            raise RuntimeError("the line was started already")
        self._events = events
        while self._chunks and not self._over:
            events.line_audio(*self._chunks.popleft())
        while self._digits and not self._over:
            events.line_digit(self._digits.popleft())
        while self._moves and not self._over:
            events.line_moved(self._moves.popleft())
        self._chunks.clear()
        self._digits.clear()
        self._moves.clear()
        if self._ended is not None and not self._over:
            self._over = True
            events.line_ended(self._ended)

    def audio(self, chunk: bytes, at_ms: float) -> None:
        if self._ended is not None:
            return
        if self._events is not None:
            self._events.line_audio(chunk, at_ms)
        else:
            self._chunks.append((chunk, at_ms))

    def digit(self, digit: str) -> None:
        if self._ended is not None:
            return
        if self._events is not None:
            self._events.line_digit(digit)
        else:
            self._digits.append(digit)

    def moved(self, move: LineMove) -> None:
        if self._ended is not None:
            return
        if self._events is not None:
            self._events.line_moved(move)
        else:
            self._moves.append(move)

    def end(self, ended: LineEnded) -> None:
        """The first reason stands; later ones are dropped."""
        if self._ended is not None:
            return
        self._ended = ended
        if self._events is not None:
            self._over = True
            self._events.line_ended(ended)

    @property
    def ended(self) -> LineEnded | None:
        return self._ended
