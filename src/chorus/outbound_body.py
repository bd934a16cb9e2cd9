"""Reading an answer's body up to a size, unpacked; a body that unpacks to gigabytes never does. And
what is in it, where that is an object of JSON."""

from __future__ import annotations

import zlib
from typing import Any, cast

import httpcore
import orjson

_RAW_SLACK = 65536  # what does not compress grows a little


class BodyFailed(Exception):
    """The text goes on from the server's name: "sent a compressed body that breaks off"."""


async def read_body(response: httpcore.Response, max_bytes: int) -> tuple[bytes, bool]:
    """The body and whether that was all of it. Stops reading as soon as it is too long."""
    named = [value for name, value in response.headers if name.lower() == b"content-encoding"]
    encoding = b",".join(named).decode("latin-1").strip().lower() or "identity"
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise BodyFailed("answered in an encoding that was not asked for")
    unpack = None if encoding == "identity" else _Unpack(encoding)
    body = bytearray()
    raw_left = max_bytes + _RAW_SLACK
    async for chunk in response.aiter_stream():
        raw_left -= len(chunk)
        body += unpack.feed(chunk, max_bytes + 1 - len(body)) if unpack else chunk
        if len(body) > max_bytes or raw_left < 0:
            return bytes(body[:max_bytes]), False
    if unpack and not unpack.complete:
        raise BodyFailed("sent a compressed body that breaks off")
    return bytes(body), True


class _Unpack:
    """gzip or deflate, never more output at once than asked for."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._zlib: Any = None  # zlib has no public name for the type of its objects
        self._fed = False

    @property
    def complete(self) -> bool:
        return not self._fed or (self._zlib is not None and bool(self._zlib.eof))

    def feed(self, data: bytes, most: int) -> bytes:
        out = bytearray()
        try:
            while data and len(out) < most:
                if self._zlib is None or self._zlib.eof:  # a gzip body may have several members
                    self._zlib = zlib.decompressobj(self._window(data))
                    self._fed = True
                out += self._zlib.decompress(data, most - len(out))
                data = self._zlib.unused_data if self._zlib.eof else b""
        except zlib.error:
            raise BodyFailed("sent a compressed body that cannot be unpacked") from None
        return bytes(out)

    def _window(self, data: bytes) -> int:
        # "deflate" means zlib (RFC 9110 §8.4.1.2), yet some servers send it without the header.
        bare = self._encoding == "deflate" and data[0] & 0x0F != 8
        return -zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32


def json_object(body: bytes) -> dict[str, Any]:
    """An answer that is an object of JSON; an empty one for every other."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
