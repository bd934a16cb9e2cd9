"""The library's log, as a part of this one's: warnings and worse, and not once a second."""

from __future__ import annotations

import logging
import time

_AGAIN_AFTER_S = 60.0


class Quiet(logging.Filter):
    """Lets a line of a place in the code pass once a minute: while the database is away every
    thread of the library says so each time that it tries."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now, place = time.monotonic(), (record.pathname, record.lineno)
        if now - self._said.get(place, -_AGAIN_AFTER_S) < _AGAIN_AFTER_S:
            return False
        self._said[place] = now
        return True

    @staticmethod
    def hush(logger: logging.Logger) -> None:
        """Undo what the library set up for itself, and go through Chorus's own handlers."""
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.propagate = True
        if not any(isinstance(present, Quiet) for present in logger.filters):
            logger.addFilter(Quiet())
