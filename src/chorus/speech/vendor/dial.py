"""Opening a socket to a vendor."""

from __future__ import annotations

from chorus.outbound import Headers, OutboundFailed, OutboundRefused
from chorus.outbound_socket import Socket, SocketRefused
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net

OPEN_TIMEOUT_MS = 5000


async def dial_socket(net: Net, url: str, headers: Headers, failures: Failures) -> Socket:
    """Raises `EngineFailed`. The call has a shorter deadline where another vendor is there."""
    try:
        return await net.socket(url, headers=headers, timeout_ms=OPEN_TIMEOUT_MS)
    except (OutboundFailed, OutboundRefused, SocketRefused) as error:
        raise failures.unreached("open", error) from None
