"""The one client for requests on behalf of users: tools, webhooks, hold music, and the vendors
that hear and speak.

The URL is a user's, so the server behind it may be anybody's, or the operator's own. A request
goes: the URL is checked → the name is resolved → its addresses are checked → the very address
that was checked is connected to → the answer is read up to a size → a redirect starts over.
One deadline covers all of it, so that a server that drips a byte a second ends like a silent one.

It stands on httpcore and not on a client above it: those keep cookies between requests, which
here come from different organizations, follow the environment's proxies past the address check,
and unpack compressed bodies before anybody can see how large they become.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from chorus.outbound_address import Allowed
from chorus.outbound_body import BodyFailed, read_body
from chorus.outbound_socket import Socket, connect_socket

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses as text, in order of preference; raises `OSError`."""

Headers = Iterable[tuple[str, str]]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_KEEP_ALIVE_S = 4.0  # many servers close an idle connection after five seconds
_ATTEMPTS = 4
_ATTEMPT_S = 2.0  # for one address while another is left to try
_BROKEN = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# These decide how a request is framed or routed: they are this client's alone.
OWN_HEADERS = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "te"),
        *("trailer", "upgrade", "expect", "accept-encoding", "proxy-authorization"),
        *("proxy-connection", "http2-settings"),
    }
)
# What may be told to another host than the one that a request was meant for.
_HARMLESS_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})


class OutboundRefused(Exception):
    """The request is not allowed; nothing was sent. The text is a sentence for the user."""


class OutboundFailed(Exception):
    """The request was allowed and came to nothing. The text is a sentence for the user, without
    the URL's path or query, which may hold secrets. `timed_out`: the deadline passed."""

    def __init__(self, sentence: str, *, timed_out: bool = False) -> None:
        super().__init__(sentence)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class OutboundAnswer:
    """`headers` with names in lower case. `url` is where the answer came from in the end.
    `truncated`: the body was longer than asked for."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    url: str
    truncated: bool = False
    elapsed_ms: int = 0

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass(frozen=True, slots=True)
class OutboundStream:
    """An answer whose body is read as it comes. Closing it early costs its connection, which is
    what stops the server's work."""

    status: int
    headers: tuple[tuple[str, str], ...]
    host: str
    response: httpcore.Response

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it was sent, never unpacked. Raises `OutboundFailed`."""
        try:
            async for piece in self.response.aiter_stream():
                yield piece
        except _BROKEN as error:
            raise OutboundFailed(f"{self.host} broke off the connection") from error


class Outbound:
    """Owned by the process; pools connections. Close it with `aclose`."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        allow_hosts: Iterable[str] = (),
        resolve: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str = "Chorus",
        keep_alive_s: float = _KEEP_ALIVE_S,
    ) -> None:
        """`allow_private` lifts the check of addresses altogether; `allow_hosts` for some, see
        `outbound_address.Allowed`. `ssl_context`: for certificates of the operator's own.
        `keep_alive_s`: how long an idle connection is kept."""
        self._user_agent = user_agent
        self._keep_alive_s = keep_alive_s
        self._ssl_context = ssl_context
        self._backend = _CheckedBackend(
            Allowed(allow_hosts, everything=allow_private), resolve or self._resolve
        )
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._opening = asyncio.Lock()
        self._resolvers: ThreadPoolExecutor | None = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        content: bytes | None = None,
        timeout_ms: int,
        max_bytes: int,
        truncate: bool = False,
        max_redirects: int = 3,
        https_only: bool = False,
    ) -> OutboundAnswer:
        """One request and its whole answer, whatever its status.

        `timeout_ms` covers everything, redirects and body included. A body over `max_bytes`
        (unpacked) is cut if `truncate`, else a failure. With `max_redirects` 0 a redirect is the
        answer. Raises `OutboundRefused` and `OutboundFailed`, nothing else of its own.
        """
        if method not in _METHODS:
            raise OutboundRefused(f"the method {method} is not allowed")
        target = _checked_url(url, https_only=https_only)
        sent = _checked_headers(headers)
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                for _ in range(max_redirects + 1):
                    answer = await self._once(method, target, sent, content, max_bytes, truncate)
                    location = answer.header("location")
                    if answer.status not in (301, 302, 303, 307, 308) or not location:
                        break
                    if max_redirects == 0:
                        break
                    after = _redirected(target, location, https_only)
                    if answer.status == 303 or (answer.status < 303 and method == "POST"):
                        method, content = ("HEAD" if method == "HEAD" else "GET"), None
                        sent = [(k, v) for k, v in sent if k.lower() != "content-type"]
                    if not _same_place(target, after):
                        sent = [(k, v) for k, v in sent if k.lower() in _HARMLESS_HEADERS]
                    target = after
                else:
                    raise OutboundFailed(
                        f"{target.host} redirected more than {max_redirects} times"
                    )
        except TimeoutError:
            raise OutboundFailed(
                f"{target.host} did not answer within {timeout_ms} ms", timed_out=True
            ) from None
        return OutboundAnswer(
            answer.status,
            answer.headers,
            answer.body,
            str(target),
            answer.truncated,
            round((time.monotonic() - started) * 1000),
        )

    async def socket(self, url: str, *, headers: Headers = (), timeout_ms: int) -> Socket:
        """Open a WebSocket (`ws://` or `wss://`), within `timeout_ms`. Raises `OutboundRefused`,
        `OutboundFailed`, and `SocketRefused` with what the server answered instead."""
        scheme, separator, rest = url.partition("://")
        if scheme not in ("ws", "wss"):
            raise OutboundRefused("the URL must begin with ws:// or wss://")
        target = _checked_url(f"{scheme.replace('ws', 'http')}{separator}{rest}", https_only=False)
        sent = _checked_headers(headers)
        port = target.port or (443 if scheme == "wss" else 80)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self.open()
                assert self._ssl_context is not None
                addresses = await self._backend.addresses(target.host, port)
                return await connect_socket(
                    url, addresses, sent, self._ssl_context, self._user_agent
                )
        except TimeoutError:
            raise OutboundFailed(
                f"{target.host} did not answer within {timeout_ms} ms", timed_out=True
            ) from None
        except OSError as error:
            raise OutboundFailed(_connect_sentence(target, error)) from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        content: bytes | None = None,
        timeout_ms: int,
    ) -> AsyncGenerator[OutboundStream, None]:
        """One request whose answer is read as it comes; no redirect is followed. `timeout_ms` is
        for the answer's head: how long the body may take is for the reader to say. Raises
        `OutboundRefused` and `OutboundFailed`."""
        target = _checked_url(url, https_only=False)
        request = self._request(method, target, _checked_headers(headers), content, packed=False)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                response = await self._ask(request)
        except TimeoutError:
            raise OutboundFailed(
                f"{target.host} did not answer within {timeout_ms} ms", timed_out=True
            ) from None
        except httpcore.ConnectError as error:
            raise OutboundFailed(_connect_sentence(target, error)) from error
        except _BROKEN as error:
            raise OutboundFailed(f"{target.host} broke off the connection") from error
        try:
            yield OutboundStream(response.status, _answered(response), target.host, response)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()
        if self._resolvers is not None:
            self._resolvers.shutdown(wait=False, cancel_futures=True)
            self._resolvers = None

    async def _once(
        self,
        method: str,
        url: httpx.URL,
        headers: Sequence[tuple[str, str]],
        content: bytes | None,
        max_bytes: int,
        truncate: bool,
    ) -> OutboundAnswer:
        request = self._request(method, url, headers, content)
        try:
            response = await self._ask(request)
            try:
                body, whole = await read_body(response, max_bytes)
            finally:
                await response.aclose()
        except BodyFailed as error:
            raise OutboundFailed(f"{url.host} {error}") from None
        except httpcore.ConnectError as error:
            raise OutboundFailed(_connect_sentence(url, error)) from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise OutboundFailed(f"{url.host} broke off the connection") from error
        except httpcore.ProtocolError as error:
            raise OutboundFailed(f"{url.host} sent something that is not valid HTTP") from error
        if not whole and not truncate:
            raise OutboundFailed(f"{url.host} answered with more than {max_bytes} bytes")
        return OutboundAnswer(
            response.status, _answered(response), body, str(url), truncated=not whole
        )

    def _request(
        self,
        method: str,
        url: httpx.URL,
        headers: Sequence[tuple[str, str]],
        content: bytes | None,
        *,
        packed: bool = True,
    ) -> httpcore.Request:
        encodings = "gzip, deflate" if packed else "identity"
        fields = [("Host", url.netloc.decode("ascii")), ("Accept-Encoding", encodings)]
        if not any(name.lower() == "user-agent" for name, _ in headers):
            fields.append(("User-Agent", self._user_agent))
        if not any(name.lower() == "accept" for name, _ in headers):
            fields.append(("Accept", "*/*"))
        fields += headers
        if content is not None or method in ("POST", "PUT", "PATCH"):
            fields.append(("Content-Length", str(len(content or b""))))
        return httpcore.Request(
            method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=[(name.encode("ascii"), value.encode()) for name, value in fields],
            content=content,
        )

    async def _ask(self, request: httpcore.Request) -> httpcore.Response:
        if self._pool is None:
            await self.open()
        assert self._pool is not None
        try:
            return await self._pool.handle_async_request(request)
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            # Most likely a pooled connection that the server closed just now. Asking again is
            # safe for what only reads (RFC 9110 §9.2.2); anything else may have been done.
            if request.method not in (b"GET", b"HEAD"):
                raise
            return await self._pool.handle_async_request(request)

    async def open(self) -> None:
        """Get ready, which the first request does otherwise; loading the certificates of the
        world's authorities takes tens of milliseconds, in a thread."""
        async with self._opening:
            if self._pool is None:
                if self._ssl_context is None:
                    self._ssl_context = await asyncio.to_thread(httpx.create_ssl_context)
                self._pool = httpcore.AsyncConnectionPool(
                    ssl_context=self._ssl_context,
                    max_connections=500,
                    max_keepalive_connections=100,
                    keepalive_expiry=self._keep_alive_s,
                    network_backend=self._backend,
                )

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        # Threads of its own: a name server that never answers holds a thread long after the
        # deadline, and must not hold those that the rest of the process waits for.
        if self._resolvers is None:
            self._resolvers = ThreadPoolExecutor(8, thread_name_prefix="outbound-dns")
        found = await asyncio.get_running_loop().run_in_executor(
            self._resolvers,
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects only to addresses that were checked, by the address and never by the name."""

    def __init__(self, allowed: Allowed, resolve: Resolver) -> None:
        self._allowed = allowed
        self._resolve = resolve
        # Any: httpcore declares a second AnyIOBackend for machines without anyio.
        anyio_backend: Any = httpcore.AnyIOBackend()
        self._inner: httpcore.AsyncNetworkBackend = anyio_backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        good = await self.addresses(host, port)
        for address in good[:-1]:
            try:
                return await self._inner.connect_tcp(
                    address, port, _ATTEMPT_S, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(good[-1], port, timeout, local_address, socket_options)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Those of a host that may be connected to, best first; at least one. Raises
        `OutboundFailed` and `OutboundRefused`."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise OutboundFailed(f"the name {host} cannot be resolved") from None
        whys = {address: self._allowed.refusal(host, address) for address in addresses}
        good = [address for address, why in whys.items() if why is None][:_ATTEMPTS]
        if not good:
            why = next(iter(whys.values()), None)
            if why is None:
                raise OutboundFailed(f"the name {host} has no address")
            raise OutboundRefused(f"requests to {host} are not allowed: its address is {why}")
        return good

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise OutboundRefused("only http and https are allowed")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _checked_url(text: str, *, https_only: bool) -> httpx.URL:
    """`OutboundRefused` says what is wrong with a URL."""
    if any(c <= " " or c == "\x7f" for c in text):
        raise OutboundRefused("the URL holds a space or a control character")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise OutboundRefused(f"the URL is not valid: {error}") from None
    if url.scheme not in ("http", "https"):
        raise OutboundRefused("the URL must begin with http:// or https://")
    if https_only and url.scheme != "https":
        raise OutboundRefused("the URL must begin with https://")
    if not url.host:
        raise OutboundRefused("the URL names no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise OutboundRefused("the URL is not valid: its port is out of range")
    if url.userinfo:
        raise OutboundRefused("the URL must not hold a user name or password: use a header")
    return url.copy_with(fragment=None)


def _checked_headers(headers: Headers) -> list[tuple[str, str]]:
    checked: list[tuple[str, str]] = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise OutboundRefused(f"{name!r} is not a valid header name")
        if name.lower() in OWN_HEADERS:
            raise OutboundRefused(f"the header {name} may not be set")
        value = value.strip()
        if _UNSAFE_VALUE.search(value):
            raise OutboundRefused(f"the header {name} holds a line break or control character")
        checked.append((name, value))
    return checked


def _redirected(url: httpx.URL, location: str, https_only: bool) -> httpx.URL:
    try:
        joined = str(url.join(location))
    except (httpx.InvalidURL, ValueError):
        raise OutboundFailed(f"{url.host} redirected to something that is no URL") from None
    after = _checked_url(joined, https_only=https_only)
    if url.scheme == "https" and after.scheme == "http":
        raise OutboundRefused(f"{url.host} redirected from https to http")
    return after


def _same_place(a: httpx.URL, b: httpx.URL) -> bool:
    def port(url: httpx.URL) -> int:
        return url.port or (443 if url.scheme == "https" else 80)

    if a.host != b.host:
        return False
    return port(a) == port(b) or (port(a) == 80 and port(b) == 443)


def _answered(response: httpcore.Response) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in response.headers
    )


def _connect_sentence(url: httpx.URL, error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {url.host} is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"no TLS connection to {url.host} could be made"
        cause = cause.__cause__ or cause.__context__
    return f"could not connect to {url.host}"
