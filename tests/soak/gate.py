"""A way to a Postgres that can be cut, or stalled, in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Away = Literal["cut", "stalled"]


class DatabaseGate:
    """`url` leads through. Cut: connections break and none are taken. Stalled: they stand, and
    nothing comes through, as when the server's machine hangs."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._name = parts.path.lstrip("/")
        self._through = asyncio.Event()
        self._through.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{self._name}"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[DatabaseGate]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._break()

    @asynccontextmanager
    async def away(self, how: Away) -> AsyncGenerator[None]:
        self._through.clear()
        if how == "cut":
            self._cut = True
            self._break()
        try:
            yield
        finally:
            self._cut = False
            self._through.set()

    def _break(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._socket)
        mine = {writer, inner_writer}
        self._writers |= mine
        try:
            await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        except OSError:
            pass  # cut, or either side has gone
        finally:
            self._writers -= mine
            for end in mine:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._through.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
