"""A 2xx of ours, repeated until its ACK comes (RFC 3261 §13.3.1.4): on any transport, since the
ACK comes from the far end and not from the next hop."""

from __future__ import annotations

from collections.abc import Callable

from chorus.lines.sip.transactions import ServerTransaction
from chorus.lines.sip.wire import GIVE_UP_S, T1_S, T2_S, Timers


class Accepting:
    """`never` is called when no ACK came in 32 s."""

    def __init__(
        self, timers: Timers, transaction: ServerTransaction, never: Callable[[], None]
    ) -> None:
        self._timers = timers
        self._transaction = transaction
        self._never = never
        self._interval_s = T1_S
        self._began_s = timers.time()
        self._timer = timers.call_later(T1_S, self._again)

    @property
    def sequence(self) -> int:
        return self._transaction.request.cseq[0]

    def stop(self) -> None:
        self._timer.cancel()

    def _again(self) -> None:
        if self._timers.time() - self._began_s >= GIVE_UP_S:
            self._never()
            return
        self._transaction.send_again()
        self._interval_s = min(self._interval_s * 2, T2_S)
        self._timer = self._timers.call_later(self._interval_s, self._again)
