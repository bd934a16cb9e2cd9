"""Opening a socket to a vendor."""

from __future__ import annotations

from chorus.outbound import Headers, OutboundFailed, OutboundRefused
from chorus.outbound_socket import Socket, SocketRefused
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.limits import LimitedSocket, limits_of
from chorus.speech.vendor.net import Net

OPEN_TIMEOUT_MS = 5000


async def dial_socket(net: Net, url: str, headers: Headers, failures: Failures) -> Socket:
    """Raises `EngineFailed`. The call has a shorter deadline where another vendor is there. If the
    account has all open that it may, it waits a moment for a place."""
    limits = limits_of(net)
    limit, replies = limits.of(failures, "socket"), limits.of(failures, "reply")
    for again in (True, False):
        await limit.take(failures, "open")
        try:
            socket = await net.socket(url, headers=headers, timeout_ms=OPEN_TIMEOUT_MS)
            return LimitedSocket(socket, limit, replies)
        except (OutboundFailed, OutboundRefused, SocketRefused) as error:
            headers_told = error.headers if isinstance(error, SocketRefused) else None
            failure = failures.unreached("open", error)
            failure = limit.refused(failure, others=limit.under_way - 1, headers=headers_told)
            limit.give()
            if failure.kind != "full" or not again or not limit.may_free():
                raise failure from None
        except BaseException:
            limit.give()
            raise
    raise AssertionError("the last try returns or raises")
