"""The transfers of one call: one at a time, wished for by the agent or by somebody outside."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from chorus.lines.line import LineMove
from chorus.talk.spec import TransferTarget
from chorus.talk.tools.transfer_to import TransferTo
from chorus.talk.transfer import By, Exchange, Transfer, Wish

if TYPE_CHECKING:
    from chorus.talk.call import Call

log = logging.getLogger(__name__)

CLOSE_S = 20.0


class Transfers:
    """`exchange` None: the call cannot be transferred (a chat, a second leg)."""

    def __init__(self, call: Call, exchange: Exchange | None) -> None:
        self._call = call
        self._exchange = exchange
        self._now: Transfer | None = None

    @property
    def connected(self) -> bool:
        """Somebody has taken the caller, who may still be there or not."""
        return self._now is not None and self._now.connected

    @property
    def under_way(self) -> bool:
        """The caller is on hold, or with somebody else."""
        return self._now is not None

    def tools(self) -> tuple[TransferTo, ...]:
        """For an agent that has somebody to transfer to."""
        targets = self._call.spec.agent.transfer_targets
        if self._exchange is None or not targets:
            return ()

        def begin(target: TransferTarget, reason: str) -> None:
            self.begin(Wish(target, reason))

        return (TransferTo(targets, begin, lambda: self._why_not("agent")),)

    def _why_not(self, by: By) -> str | None:
        """Why the caller cannot be handed to anybody now, in a sentence. Who asks for it over the
        API while a supervisor speaks with the caller is the supervisor, or knows of them."""
        if self._exchange is None:
            return "This call cannot be transferred."
        if self._call.talk is None:
            return "The call is not under way."
        if by == "agent" and self._call.supervisors.talking:
            return "A supervisor speaks with the caller."
        return None if self._now is None else "A transfer is under way already."

    def begin(self, wish: Wish) -> None:
        """What comes of it is in the timeline."""
        exchange, talk = self._exchange, self._call.talk
        why_not = self._why_not(wish.by)
        if exchange is None or talk is None or why_not is not None:
            self._call.note("transfer_refused", name=wish.target.name, detail=why_not)
            return
        self._call.supervisors.hand_on()
        self._now = Transfer(self._call, talk, exchange, wish)
        self._call.spawn(self._now.run(self._over), "transfer")

    def _over(self) -> None:
        """The agent has the caller again."""
        self._now = None

    def tick(self, now: float) -> None:
        """`now` is the call's time in milliseconds."""
        if self._now is not None:
            self._now.tick(now)

    def moved(self, move: LineMove) -> None:
        """What the carrier says of the caller's line."""
        if self._now is not None:
            self._now.moved(move)

    def stop_hold(self) -> None:
        if self._now is not None:
            self._now.stop_hold()

    async def close(self) -> None:
        """The call is over. Never raises, and takes a bounded time."""
        transfer, self._now = self._now, None
        if transfer is None:
            return
        try:
            async with asyncio.timeout(CLOSE_S):
                await transfer.close()
        except Exception as failure:  # a second call that cannot be ended must not keep this one
            log.warning("call %s: ending its transfer: %r", self._call.spec.call_id, failure)
