"""Why the database cannot be used, in a sentence for whoever runs the server.

SQLite's own words ("disk I/O error") do not say what to do; its error codes tell more:
https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from chorus.settings import Settings


@dataclass(frozen=True, slots=True)
class Trouble:
    """`says` goes on after a colon, `advice` is what to do; neither ends in a full stop."""

    says: str
    advice: str


def trouble(settings: Settings, error: BaseException) -> Trouble:
    """`error` as SQLAlchemy, the driver or the operating system raised it."""
    cause = getattr(error, "orig", None) or error
    text = " ".join(str(cause).split()) or type(cause).__name__
    if not settings.is_sqlite:
        return Trouble(text, "check CHORUS_DATABASE_URL, and that the server runs")
    path = settings.sqlite_path.absolute()
    code = getattr(cause, "sqlite_errorcode", None)
    match None if code is None else code & 0xFF:  # the rest says where it happened
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            advice = "end it: one server at a time may use the file; `fuser` names who does"
            return Trouble(
                f"another program is writing to {path} and does not end ({text})", advice
            )
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            advice = f"make room on the disk of {path.parent}, and see that it works"
            return Trouble(f"nothing more can be written to {path} ({text})", advice)
        case _:
            return Trouble(text, "check CHORUS_DATABASE_URL, and who may write to the file")
