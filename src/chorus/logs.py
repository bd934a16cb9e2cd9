"""The log: a line of text or of JSON for each record, with its request id, without secrets.

Fields given as `extra={"fields": {...}}` are kept apart in JSON and appended in text. What
looks like an API key or an Authorization header is blotted out wherever it stands, as a last
net: code is not to log secrets in the first place.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from chorus.settings import Settings
from chorus.telemetry import spans

request_id: ContextVar[str] = ContextVar("request_id", default="")

_SECRETS = re.compile(
    r"\b(sk_live_|chorus_(?=[A-Za-z0-9_-]{32})|Bearer\s+|sk-)[A-Za-z0-9_\-.=]{8,}"
)


# C0, delete, C1, and what some terminals and editors take for a line break.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def plain(text: str) -> str:
    """`text` on one line, its control characters written out."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def blot(text: str) -> str:
    return _SECRETS.sub(lambda match: f"{match[1]}…", text)


@contextmanager
def named(value: str) -> Generator[None]:
    """Every record inside carries this request id (or a call's id, in a call's task)."""
    token = request_id.set(value)
    try:
        yield
    finally:
        request_id.reset(token)


def _trace_id() -> str:
    """Of the call that the running task belongs to, if it is traced."""
    call = spans.current.get()
    return "" if call is None else call.trace_id


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["requestId"] = current
        if trace_id := _trace_id():
            line["traceId"] = trace_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return blot(orjson.dumps(line, default=str).decode())


class _Text(logging.Formatter):
    """A record is one line, whatever is in it: a path that somebody made up must not look like a
    line of ours, nor speak to the terminal. The lines of an exception are indented."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        parts = [when, f"{record.levelname.lower():<7}", record.name, record.getMessage()]
        parts += [f"{key}={value}" for key, value in getattr(record, "fields", {}).items()]
        if current := request_id.get():
            parts.append(f"requestId={current}")
        if trace_id := _trace_id():
            parts.append(f"traceId={trace_id}")
        text = plain(" ".join(parts))
        if record.exc_info:
            lines = self.formatException(record.exc_info).splitlines()
            text += "".join(f"\n    {plain(line)}" for line in lines)
        return blot(text)


def configure(settings: Settings) -> None:
    """Send every logger of the process to stderr in the chosen form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # These tell of every statement, request or connection at INFO.
    for noisy in ("httpx", "httpcore", "alembic", "aiosqlite", "uvicorn.access", "twilio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
