"""How an adapter reaches its vendor: what `Outbound` does, and nothing else.

A Protocol, so that a conversation with a vendor can be played on virtual time.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from chorus.outbound import Headers, OutboundAnswer, OutboundStream
from chorus.outbound_socket import Socket


class Net(Protocol):
    """See `chorus.outbound.Outbound` for each."""

    async def socket(self, url: str, *, headers: Headers = (), timeout_ms: int) -> Socket: ...

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        content: bytes | None = None,
        timeout_ms: int,
    ) -> AbstractAsyncContextManager[OutboundStream]: ...

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        content: bytes | None = None,
        timeout_ms: int,
        max_bytes: int,
    ) -> OutboundAnswer: ...
