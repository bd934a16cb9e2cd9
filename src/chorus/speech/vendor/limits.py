"""How much an account may have under way at its vendor at once, learnt from what it refuses.

Vendors bound what an account has open: sockets (Deepgram, AssemblyAI, Soniox, Google's streams),
replies in the making (Cartesia, ElevenLabs, Soniox), requests (those over HTTP). How many depends
on the plan, and few say it, so it is learnt: what is refused for this reason was one too many. From
then on what is more waits here for a place, in order and not for long; then, or where too many wait
already, the call goes to its next vendor at once. Other processes use the same account, and plans
change: after a while without a refusal one more is tried.

Refusals as they are documented: HTTP 429, at a handshake too (Deepgram, Cartesia, ElevenLabs with
`too_many_concurrent_requests` and `maximum-concurrent-requests`), the close 1008 "Too many
concurrent sessions" (AssemblyAI), `error_code` 429 (Soniox), `rate_limited` (Scribe). What a
`Retry-After` says is kept to. That a vendor itself has too much to do (503, `system_busy`) is no
limit of the account's.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Literal
from weakref import WeakKeyDictionary

from chorus.outbound_socket import Socket, SocketClosed
from chorus.speech.engines import EngineFailed
from chorus.speech.vendor.failures import Failures

log = logging.getLogger(__name__)

WAIT_S = 1.0
"""For a place: a call has a deadline of two seconds and more, and another vendor perhaps."""
MOST_WAITING = 20
GROW_S = 30.0
_MOST_CLOSED_S = 60.0
_MOST_ACCOUNTS = 1000
_OF_A_LIMIT = re.compile(
    r"(?i)\b429\b|concurren|too many|simultaneous|number of allowed|rate_limit"
)
_OF_ANOTHER = re.compile(
    r"(?i)max_active|system_busy|\b5\d\d\b|per[ _-]?(?:sec|min|hour|day)|\b(?:rpm|tpm|rpd)\b"
)

Work = Literal["socket", "reply", "request"]
Outcome = Literal["waited", "turned_away", "refused"]


def is_limit(failure: EngineFailed) -> bool:
    """Whether the vendor said that the account has as much under way as it may."""
    told = failure.detail
    return failure.kind == "busy" and bool(
        _OF_A_LIMIT.search(told) and not _OF_ANOTHER.search(told)
    )


class Limit:
    """Of one kind of work of one account. `most`: so many are taken, None while nothing was ever
    refused; `under_way`: here, in this process."""

    def __init__(self, vendor: str, counts: Counter[tuple[str, Outcome]]) -> None:
        self.vendor = vendor
        self.most: int | None = None
        self.under_way = 0
        self._counts = counts
        self._changed_s = 0.0
        self._closed_until_s = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def idle(self) -> bool:
        return not self.under_way and not self._waiting

    async def take(self, failures: Failures, stage: str) -> None:
        """A place, for as long as the work takes: `give` it back. Raises `EngineFailed` of the
        kind `full` where there is none soon."""
        now_s = asyncio.get_running_loop().time()
        closed_s = self._closed_until_s - now_s
        if closed_s > WAIT_S:
            raise self._full(failures, stage)
        if closed_s > 0:
            await asyncio.sleep(closed_s)
        if not self._waiting and self._has_room():
            self.under_way += 1
            return
        if len(self._waiting) >= MOST_WAITING:
            raise self._full(failures, stage)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await asyncio.wait_for(asyncio.shield(place), WAIT_S)
        except TimeoutError:
            if not place.done():
                raise self._full(failures, stage) from None
        except BaseException:
            if place.done():
                self.give()
            raise
        finally:
            if not place.done():
                place.cancel()
                self._waiting.remove(place)
        self._counts[self.vendor, "waited"] += 1

    def give(self) -> None:
        self.under_way -= 1
        if self._closed_until_s > asyncio.get_running_loop().time():
            return  # who waits would be refused as well
        while self._waiting and self._has_room():
            self._waiting.popleft().set_result(None)
            self.under_way += 1

    def refused(
        self, failure: EngineFailed, *, others: int, headers: Mapping[str, str] | None = None
    ) -> EngineFailed:
        """The vendor refused something while `others` were under way here. What to raise: of the
        kind `full` if it was for that reason, and this is learnt. Where nothing else is under way
        here, and the vendor tells no more, it may as well have been asked too often."""
        told = _number(headers, "maximum-concurrent-requests")
        wait_s = _number(headers, "retry-after")
        if not is_limit(failure) or not (others > 0 or told or wait_s):
            return failure
        now_s = asyncio.get_running_loop().time()
        before = self.most
        if told or others > 0:
            self.most = max(1, int(told) if told else others)
        self._changed_s = now_s
        if wait_s:
            self._closed_until_s = now_s + min(wait_s, _MOST_CLOSED_S)
        self._counts[self.vendor, "refused"] += 1
        if self.most is not None and before != self.most:
            log.warning(
                "%s takes no more than %d at once of this account: what is more waits, or goes to "
                "the next vendor",
                self.vendor,
                self.most,
            )
        return EngineFailed(failure.vendor, failure.stage, failure.detail, "full")

    def may_free(self) -> bool:
        """Something of this process is under way, whose place may be waited for."""
        return self.under_way > 0

    def _has_room(self) -> bool:
        if self.most is None or self.under_way < self.most:
            return True
        now_s = asyncio.get_running_loop().time()
        if now_s - self._changed_s < GROW_S:
            return False
        self.most, self._changed_s = self.under_way + 1, now_s
        return True

    def _full(self, failures: Failures, stage: str) -> EngineFailed:
        self._counts[self.vendor, "turned_away"] += 1
        return failures.of(stage, "full", f"no place came free for {WAIT_S:g} s")


class Limits:
    """Those of the accounts that are reached over one `Net`."""

    def __init__(self) -> None:
        self._limits: OrderedDict[tuple[str, str, Work], Limit] = OrderedDict()

    def of(self, failures: Failures, work: Work) -> Limit:
        key = (failures.vendor, failures.account, work)
        limit = self._limits.get(key)
        if limit is None:
            limit = self._limits[key] = Limit(failures.vendor, counts)
            if len(self._limits) > _MOST_ACCOUNTS:
                old = next((k for k, each in self._limits.items() if each.idle), key)
                del self._limits[old]
        return limit

    def __iter__(self) -> Iterator[Limit]:
        return iter(self._limits.values())


counts: Counter[tuple[str, Outcome]] = Counter()
"""Of the process: what waited for a place, found none, and was refused by its vendor."""
_OF_NETS: WeakKeyDictionary[object, Limits] = WeakKeyDictionary()


def limits_of(net: object) -> Limits:
    limits = _OF_NETS.get(net)
    if limits is None:
        limits = _OF_NETS[net] = Limits()
    return limits


def all_limits() -> list[Limit]:
    """Of the process."""
    return [limit for limits in _OF_NETS.values() for limit in limits]


class LimitedSocket:
    """`Socket` that has a place until it is closed. `replies`: of the account."""

    def __init__(self, socket: Socket, limit: Limit, replies: Limit) -> None:
        self._socket = socket
        self._limit = limit
        self._holds = True
        self.replies = replies

    async def send(self, message: str | bytes) -> None:
        await self._socket.send(message)

    async def recv(self) -> str | bytes:
        try:
            return await self._socket.recv()
        except SocketClosed:
            self._give()
            raise

    async def close(self) -> None:
        try:
            await self._socket.close()
        finally:
            self._give()

    def refused(self, failure: EngineFailed) -> EngineFailed:
        """See `Limit.refused`: by a message, or by how it was closed."""
        return self._limit.refused(failure, others=self._limit.under_way - self._holds)

    def _give(self) -> None:
        if self._holds:
            self._holds = False
            self._limit.give()


def refused_by(socket: Socket, failure: EngineFailed) -> EngineFailed:
    """What to raise of a failure that came over a socket."""
    return socket.refused(failure) if isinstance(socket, LimitedSocket) else failure


def _number(headers: Mapping[str, str] | None, name: str) -> float | None:
    try:
        value = float((headers or {})[name])
    except (KeyError, ValueError):
        return None
    return value if isfinite(value) and value >= 0 else None
