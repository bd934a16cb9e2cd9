"""Keys that a carrier presses itself, by requests, where a stream has no message for them.

Key by key where what carriers take differs: then pauses are kept here. What a carrier does not
press goes out as tones in the audio.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from chorus.lines.carrier import CarrierFailed
from chorus.lines.dtmf import PAUSES_MS, check_digits, pressing_ms, tones

if TYPE_CHECKING:
    from chorus.lines.streamed import StreamedLine

log = logging.getLogger(__name__)


class KeyPresses:
    """Of one line. `press` asks the carrier for one key, or raises `CarrierFailed`. `whole`: for
    all keys and pauses of a `send` at once, of which a carrier that refuses presses none."""

    def __init__(
        self,
        line: StreamedLine,
        press: Callable[[str], Awaitable[None]],
        *,
        whole: bool = False,
    ) -> None:
        self._line = line
        self._press = press
        self._whole = whole
        self._last: asyncio.Task[None] | None = None

    def send(self, digits: str) -> None:
        """When what was said before has been heard, and after the keys of an earlier `send`.
        Raises `ValueError` for what is no key."""
        check_digits(digits)
        if digits and not self._line.over:
            work = self._send(digits, self._last, self._line.ahead_ms)
            self._last = asyncio.create_task(work, name="press keys")

    async def _send(self, digits: str, before: asyncio.Task[None] | None, after_ms: float) -> None:
        line = self._line
        await asyncio.sleep(after_ms / 1000)
        if before is not None:
            await asyncio.wait({before})
        for at, piece in enumerate((digits,) if self._whole else digits):
            if line.over:
                return
            if (pause_ms := PAUSES_MS.get(piece)) is not None:
                await asyncio.sleep(pause_ms / 1000)
                continue
            try:
                await self._press(piece)
            except CarrierFailed as failed:
                log.warning("call %s: keys go out as tones: %s", line.leg_id, failed)
                line.play(tones(digits[at:], line.format))
                return
            except Exception:
                log.exception("call %s: its keys were not pressed", line.leg_id)
                return
            # A carrier says that it was asked for, and not when it is done.
            await asyncio.sleep(pressing_ms(piece) / 1000)
