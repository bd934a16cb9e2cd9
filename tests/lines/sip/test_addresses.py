"""A call to a SIP address, with headers of the business and the number of somebody else."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.lines.sip.exchange import exchange

from chorus.lines.line import Dial, DialFailed
from chorus.lines.sip.message import Request, parse_message


async def test_the_trunk_is_asked_for_the_address_with_headers() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
        trunk.bind(("127.0.0.1", 0))
        trunk.setblocking(False)
        async with exchange() as here:
            number = here.trust(trunk.getsockname()[1])
            dialling = here.dial(
                number,
                "sip:200@pbx.example.com:5080",
                headers=(("X-Why", "chairs\r\nRoute: <sip:evil>"), ("User-to-User", "a")),
                variables={"sip_x_why": "another", "sip_x_team": "b"},
            )
            await dialling
            async with asyncio.timeout(20):
                invite = parse_message(await loop.sock_recv(trunk, 65536))
    assert isinstance(invite, Request)
    assert str(invite.uri) == "sip:200@pbx.example.com:5080"
    assert str(invite.to.uri) == "sip:200@pbx.example.com:5080"
    headers = invite.headers
    assert headers.all("X-Why") == ["chairs  Route: <sip:evil>"]
    assert headers.all("Route") == []
    assert (headers.get("X-Team"), headers.get("User-to-User")) == ("b", "61;encoding=hex")


async def test_an_address_that_is_none_is_told() -> None:
    async with exchange() as here:
        with pytest.raises(DialFailed):
            await here.dial(here.trust(), "sip:")


async def test_a_foreign_number_is_shown_as_the_identity() -> None:
    """The number of a caller who is handed on, which is none of the trunk's."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
        trunk.bind(("127.0.0.1", 0))
        trunk.setblocking(False)
        async with exchange() as here:
            number = here.trust(trunk.getsockname()[1])
            dial = Dial("out-1", "+4940999", "+15557654321")
            await here.agent.dial(number, dial, "token")
            async with asyncio.timeout(20):
                invite = parse_message(await loop.sock_recv(trunk, 65536))
    assert isinstance(invite, Request)
    assert invite.from_.uri.user == "+15557654321"
    identity = invite.headers.get("P-Asserted-Identity")
    assert identity is not None
    assert identity.startswith("<sip:+15557654321@127.0.0.1")
    assert number.number not in f"{invite.from_} {identity}"
