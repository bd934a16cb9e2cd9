"""Load on an HTTP API: kept-alive connections, and requests at a rate or as fast as they go.

One `Connection` carries one request at a time. `closed` keeps every connection busy: what the
server can do. `steady` sends by the clock whether or not the server keeps up, and counts from the
moment at which a request was due: what a client waits for (Gil Tene's "coordinated omission").
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wish:
    """A request as bytes, and the status that is right."""

    kind: str
    sent: bytes
    status: int


@dataclass(slots=True)
class Tally:
    """`waits_ms`: how long each request took, by its kind."""

    waits_ms: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    failures: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return sum(len(waits) for waits in self.waits_ms.values())

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Over all kinds, in ms."""
        waits = sorted(wait for some in self.waits_ms.values() for wait in some)
        return waits[min(len(waits) - 1, int(len(waits) * share))] if waits else float("nan")

    def note(self, wish: Wish, status: int, began: float) -> None:
        if status != wish.status:
            self.failures.append(f"{wish.kind}: {status} instead of {wish.status}")
        self.waits_ms.setdefault(wish.kind, []).append((perf_counter() - began) * 1000)


class Connection:
    """One HTTP/1.1 connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        return cls(*await asyncio.open_connection(host, port))

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self._writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        return int(head[9:12]), body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def request(method: str, path: str, key: str, body: bytes | None = None) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


async def closed(
    connections: list[Connection], next_wish: Callable[[], Wish], seconds: float
) -> Tally:
    """Every connection sends the next request as soon as it has its answer."""
    tally = Tally()
    started = perf_counter()
    end = started + seconds

    async def busy(connection: Connection) -> None:
        while (began := perf_counter()) < end:
            wish = next_wish()
            status, _ = await connection.ask(wish.sent)
            tally.note(wish, status, began)

    await asyncio.gather(*map(busy, connections))
    tally.seconds = perf_counter() - started
    return tally


async def steady(
    connections: list[Connection],
    next_wish: Callable[[], Wish],
    seconds: float,
    rate: float,
    seed: int = 1,
) -> Tally:
    """`rate` requests a second, at random intervals as from many clients (a Poisson process)."""
    tally = Tally()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)
    chance = random.Random(seed)

    async def one(wish: Wish, due: float) -> None:
        connection = await free.get()
        status, _ = await connection.ask(wish.sent)
        free.put_nowait(connection)
        tally.note(wish, status, due)

    started = due = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        while due < started + seconds:
            due += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, due - perf_counter()))
            tasks.create_task(one(next_wish(), due))
    tally.seconds = perf_counter() - started
    return tally
