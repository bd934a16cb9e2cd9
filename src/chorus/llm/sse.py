"""Server-sent events as servers of chat completions really send them, read leniently.

The bytes are cut into lines at LF, CR or CRLF; the data of an event is parsed as soon as it is
whole JSON. Comments, other fields, frames without data and `event: ping` are passed over; a line
of JSON without `data:` counts as data. The format is WHATWG's "Server-sent events"; what is read
beyond it was reported of real servers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator

DONE = "[DONE]"
_MOST_BYTES = 4_000_000


class Events:
    """One stream. `done`: `[DONE]` was read."""

    def __init__(self) -> None:
        self.done = False
        self._line = bytearray()
        self._data = ""
        self._skip_lf = False

    async def read(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[object, None]:
        """The data of each event, from JSON; an empty object for `[DONE]`. Raises `ValueError` or
        `RecursionError` for data that is none, and `ValueError` for one of more than 4 MB."""
        async for chunk in chunks:
            if self.done:
                continue  # to the body's end, so that the connection can be used again
            for line in self._lines(chunk):
                found = self._take(line)
                if self.done:
                    yield {}
                    break
                if found is not None:
                    yield found
        if self.done:
            return
        for line in (bytes(self._line), b""):  # the last event may lack its end
            found = self._take(line)
            if found is not None:
                yield found

    def _lines(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole. Not `splitlines`, which knows more ends than the format."""
        if self._skip_lf and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._skip_lf = chunk.endswith(b"\r")
        *whole, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        lines: list[bytes] = []
        for line in whole:
            lines.append(bytes(self._line) + line)
            self._line.clear()
        self._line += rest
        if len(self._line) + len(self._data) > _MOST_BYTES:
            raise ValueError("an event without end")
        return lines

    def _take(self, raw: bytes) -> object | None:
        line = raw.decode()
        if not line:
            data, self._data = self._data, ""
            return json.loads(data) if data.strip() else None
        if line.startswith("data:"):
            line = line[5:].removeprefix(" ")
        elif not line.lstrip().startswith("{"):
            return None
        self._data = f"{self._data}\n{line}" if self._data else line
        if self._data.strip() == DONE:
            self.done = True
            return None
        if not line.rstrip().endswith("}"):
            return None
        try:
            found: object = json.loads(self._data)
        except (ValueError, RecursionError):
            return None  # perhaps it goes on in the next line
        self._data = ""
        return found
