"""Where what is written has to prove something before it is read: a peer's handshake, a
supervisor's token, a webhook that is signed. Each gets right proofs too, which are let in."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

from starlette.requests import Request
from twilio.request_validator import RequestValidator

from chorus.accounts.secrets import Secrets
from chorus.calls import peers
from chorus.calls.supervise import PURPOSE, Grant, SupervisorDesk
from chorus.lines.browser import messages
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.webhook import number, read_form, signed

T = TypeVar("T")

_SECRETS = Secrets(("k" * 44,))

# --- a peer --------------------------------------------------------------------------------------

_NOW = 1_700_000_000
_HOLDER = "one-1f-0"
_TIME = _NOW.to_bytes(8, "big")
_NONCE, _OURS = b"\x01" * 32, b"\x02" * 32
_HELLO = 8 + 8 + 32 + 64


def _mac(step: str, *parts: bytes) -> bytes:
    text = "\n".join((step, _HOLDER, *(part.hex() for part in parts)))
    return _SECRETS.sign(peers.PURPOSE, text).encode()


_KNOWN = b"chorus1\n" + _TIME + _NONCE + _mac("hello", _TIME, _NONCE) + _mac("proof", _NONCE, _OURS)
HANDSHAKES = (_KNOWN + b"GET / HTTP/1.1\r\n\r\n", _KNOWN[:_HELLO], _KNOWN)


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.wrote = b""
        self.closing = False
        self.protocol: asyncio.BaseProtocol | None = None

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.wrote += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol


class _LetIn(asyncio.Protocol):
    def __init__(self) -> None:
        self.read = b""

    def data_received(self, data: bytes) -> None:
        self.read += data


def handshake(data: bytes) -> None:
    """What arrives in pieces at the port of peers; the clock and the port's nonce stand still."""
    inside: list[_LetIn] = []

    def make() -> _LetIn:
        inside.append(_LetIn())
        return inside[-1]

    with (
        patch.object(peers, "time", SimpleNamespace(time=lambda: _NOW)),
        patch.object(peers, "os", SimpleNamespace(urandom=lambda _: _OURS)),  # pyright: ignore
    ):
        port = peers.PeerPort(_HOLDER, _SECRETS, make, lambda: False)
        arrival, transport = peers.Arrival(port), _Transport()
        arrival.connection_made(transport)
        middle = len(data) % _HELLO
        for piece in (data[:middle], data[middle:_HELLO], data[_HELLO:]):
            if piece and not inside:
                arrival.data_received(piece)
        arrival.connection_lost(None)
    assert not port.arriving
    if inside:
        assert data.startswith(_KNOWN)
        assert inside[0].read == data[len(_KNOWN) :]
    else:
        assert not data.startswith(_KNOWN)
    # Nothing is said to who has not shown that it has the key.
    assert not transport.wrote or data.startswith(_KNOWN[:_HELLO])


# --- a supervisor --------------------------------------------------------------------------------

_ID, _CALL = uuid.UUID(int=1), uuid.UUID(int=2)
_GRANT = Grant(_ID, _CALL, uuid.UUID(int=3), uuid.UUID(int=4), "member", "both", 2**32 - 1).packed()
_TOKEN = f"{_GRANT}.{_SECRETS.sign(PURPOSE, _GRANT)}"


def _first(**fields: object) -> bytes:
    return json.dumps({"callId": str(_ID), "token": _TOKEN, **fields}).encode()


FIRST_MESSAGES = (
    _first(type="start", format="pcm16/24000"),
    _first(type="resume", epoch=3, received=48_000),
)


def first_message(data: bytes) -> messages.Start | messages.Resume:
    return messages.read_first(data.decode("utf-8", "replace"))


def supervision(data: bytes) -> None:
    """A supervisor's first message, up to the claim of the call."""
    start = first_message(data)
    switchboard: Any = SimpleNamespace(secrets=_SECRETS, live={_CALL: None})
    desk = SupervisorDesk(switchboard)
    claimed = _at_once(desk.claim(start.call_id, start.token))
    assert claimed == (start.call_id == str(_ID) and start.token == _TOKEN)


# --- Twilio --------------------------------------------------------------------------------------

_ACCOUNT = TwilioAccount("AC1", "secret")
_URL = "https://chorus.example/twilio/voice"
FORMS = (
    b"CallSid=CA1&AccountSid=AC1&From=%2B14155550100&To=%2B14155550101&CallStatus=ringing",
    b"CallSid=CA1&CallStatus=completed&CallDuration=12&SipResponseCode=200&StirVerstat=&a=%C3%A9",
)


def form(data: bytes) -> None:
    """A webhook's body, its numbers, and whether a signature over it is one."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    def request(signature: str) -> Request:
        headers = [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"x-twilio-signature", signature.encode("latin-1")),
        ]
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
        return Request({**scope, "headers": headers}, receive)

    read = _at_once(read_form(request("")))
    for name in ("CallDuration", "SipResponseCode"):
        found = number(read, name)
        assert found is None or 0 <= found < 10**9
    validator: Any = RequestValidator(_ACCOUNT.auth_token)
    right: str = validator.compute_signature(_URL, read)
    assert signed(request(right), _URL, read, _ACCOUNT)
    # What a stranger puts there instead: the body will do.
    wrong = data[:100].decode("latin-1")
    assert not signed(request(wrong), _URL, read, _ACCOUNT)


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """Of what has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")
