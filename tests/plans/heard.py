"""What is asked of a database, with what, and by which lines of Chorus.

A session of SQLAlchemy's asyncio runs its driver in a greenlet: the lines that asked stand in the
frames of the greenlet that began it, and are found there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import greenlet
from sqlalchemy import event

import chorus
from chorus.db import Database


class Site(NamedTuple):
    """A file below `src/chorus`, a line of it, and the function that this is in."""

    file: str
    line: int
    function: str


SOURCE = Path(chorus.__file__).parent
_OURS = f"{SOURCE}/"
_ASKS = re.compile(r"\s*(SELECT|UPDATE|DELETE|INSERT|WITH)\b")


@dataclass(frozen=True, slots=True)
class Asked:
    """`values` are those of the first time; `by` goes from the innermost line to the outermost."""

    statement: str
    values: Any
    by: tuple[Site, ...]

    @property
    def reads(self) -> bool:
        """Whether there is a way to its rows that may be a long one."""
        return not self.statement.lstrip().startswith("INSERT") or "SELECT" in self.statement


class Recorder:
    """Its `note` is a listener of `before_cursor_execute`; tells each statement once for each way
    in which it came about."""

    def __init__(self, tell: Callable[[Asked], None]) -> None:
        self._tell = tell
        self._told: set[tuple[str, tuple[Site, ...]]] = set()

    def note(self, _c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not _ASKS.match(statement):
            return
        by = tuple(_sites())
        if (statement, by) not in self._told:
            self._told.add((statement, by))
            # Of many rows, the first.
            many: Any = parameters
            asked = Asked(statement, many[0] if isinstance(parameters, list) else many, by)
            # What rows are made of may be anything.
            self._tell(asked if asked.reads else replace(asked, values=None))


@contextmanager
def heard(database: Database) -> Generator[list[Asked]]:
    """Every statement that is sent from this process."""
    found: list[Asked] = []
    note = Recorder(found.append).note
    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _sites() -> Iterator[Site]:
    frame, current = sys._getframe(), greenlet.getcurrent()  # pyright: ignore[reportPrivateUsage]
    while True:
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(_OURS):
                yield Site(file.removeprefix(_OURS), frame.f_lineno, frame.f_code.co_name)
            frame = frame.f_back
        if current.parent is None:
            return
        current = current.parent
        frame = current.gr_frame
