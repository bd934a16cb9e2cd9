"""A network that loses and delays: between the agent's media sockets and the rest of the world.

Each packet of sound or report, in either direction, is lost by chance or comes some time later,
each by itself, so that many overtake each other. The same seed loses the same packets.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from chorus.lines.sip.media.latch import Place
from chorus.lines.sip.media.ports import MediaPorts, MediaSocket, Received

Pass = Callable[[bytes, Place], None]


class LossyPorts(MediaPorts):
    """In the place of an agent's `ports`. `loss` is a share, each delay is between 0 and
    `jitter_ms`."""

    def __init__(self, low: int, high: int, *, loss: float, jitter_ms: float, seed: int) -> None:
        super().__init__(low, high)
        self._loss = loss
        self._jitter_s = jitter_ms / 1000
        self._seed = seed
        self.sent = self.lost = 0

    async def open(self, host: str) -> MediaSocket:
        return _Lossy(self, await super().open(host), self._seed)

    def through(self, chance: random.Random, further: Pass) -> Pass:
        loop = asyncio.get_running_loop()

        def passes(data: bytes, place: Place) -> None:
            self.sent += 1
            if chance.random() < self._loss:
                self.lost += 1
            else:
                loop.call_later(chance.uniform(0, self._jitter_s), further, data, place)

        return passes


class _Lossy(MediaSocket):
    def __init__(self, ports: LossyPorts, inner: MediaSocket, seed: int) -> None:
        self.port = inner.port
        self._ports = ports
        self._inner = inner
        self._chances = [random.Random(f"{seed} {way}") for way in range(4)]
        self.send = ports.through(self._chances[0], inner.send)  # type: ignore[method-assign]
        self.send_report = ports.through(self._chances[1], inner.send_report)  # type: ignore[method-assign]

    def listen(self, sound: Received, reports: Received) -> None:
        self._inner.listen(
            self._ports.through(self._chances[2], sound),
            self._ports.through(self._chances[3], reports),
        )

    def close(self) -> None:
        self._inner.close()
