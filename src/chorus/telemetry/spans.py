"""Where work of a call tells what it does and for how long; nothing happens unless somebody traces.

`current` is the `Spans` of the call that the running task belongs to; None elsewhere. `span` wraps
a piece of work, `within_turn` says which turn, and which stage of it, what follows in this task is
for. Nothing here knows OpenTelemetry (`otel.py` does), so whatever is part of a call may use it at
no cost.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

Value = str | int | float | bool
Kind = Literal["internal", "client"]
Doing = Literal["think", "synthesize"]
"""The stages of a turn in which others are asked, by the names of their spans."""


class Span(Protocol):
    """One piece of work, under way."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """W3C Trace Context (`traceparent`) for whoever is asked; empty if nothing is traced."""
        ...

    def put(self, name: str, value: Value) -> None:
        """Add an attribute."""
        ...

    def failed(self, why: str, kind: str) -> None:
        """It came to nothing. `why` is a sentence without secrets, `kind` one of few words: the
        `error.type` of OpenTelemetry."""
        ...

    def given_up(self) -> None:
        """Nobody wanted it any more."""
        ...

    def end(self) -> None: ...


class Spans(Protocol):
    """Those of one call."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty if the call is not traced."""
        ...

    def begin(
        self,
        name: str,
        kind: Kind,
        turn: int | None,
        doing: Doing | None,
        attributes: dict[str, Value],
    ) -> Span: ...


class _Untraced:
    headers: tuple[tuple[str, str], ...] = ()

    def put(self, name: str, value: Value) -> None: ...
    def failed(self, why: str, kind: str) -> None: ...
    def given_up(self) -> None: ...
    def end(self) -> None: ...


UNTRACED: Span = _Untraced()

current: ContextVar[Spans | None] = ContextVar("spans", default=None)
_turn: ContextVar[int | None] = ContextVar("turn", default=None)
_doing: ContextVar[Doing | None] = ContextVar("doing", default=None)
_tool: ContextVar[Span] = ContextVar("tool", default=UNTRACED)


def within_turn(turn: int | None, doing: Doing | None = None) -> None:
    """What this task does from now on, and the tasks that it starts, is for this turn and this
    stage of it; None: for none."""
    if current.get() is not None:
        _turn.set(turn)
        _doing.set(doing)


@contextmanager
def span(name: str, kind: Kind = "internal", /, **attributes: Value) -> Generator[Span]:
    """Around a piece of work. An exception ends it as failed; its text is not kept, since it may
    hold what callers said. Its `error.type` is the `kind` of an engine's failure, else the name of
    its class."""
    spans = current.get()
    if spans is None:
        yield UNTRACED
        return
    begun = spans.begin(name, kind, _turn.get(), _doing.get(), attributes)
    try:
        yield begun
    except Exception as failure:
        name = type(failure).__name__
        begun.failed(name, str(getattr(failure, "kind", name)))
        raise
    except BaseException:
        begun.given_up()
        raise
    finally:
        begun.end()


@contextmanager
def tool_span(name: str, call_id: str) -> Generator[Span]:
    """As `span`, around one call of a tool in a task of its own: `trace_headers` are its."""
    about: dict[str, Value] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": call_id,
    }
    with span(f"execute_tool {name}", "client", **about) as begun:
        _tool.set(begun)
        yield begun


def trace_headers() -> tuple[tuple[str, str], ...]:
    """W3C Trace Context of the tool that this task runs."""
    return _tool.get().headers
