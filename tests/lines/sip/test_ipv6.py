"""SIP and sound over IPv6: a telephone in and out, addresses in all their spellings, the doctor."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.lines.sip.exchange import NUMBER, exchange
from tests.lines.sip.peers import baresip, loudest_hz, needs_baresip

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.message import Response, parse_message
from chorus.lines.sip.negotiate import Negotiation
from chorus.lines.sip.probe import probe
from chorus.lines.sip.sdp import parse_sdp
from chorus.lines.sip.transport import Transports


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")

ACCOUNT = (
    "<sip:+4940999@[::1]:{port}>;regint=0;answermode=auto;dtmfmode=rtpevent;"
    "audio_codecs=PCMU/8000/1"
)


@needs_baresip
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_telephone_calls_in(tmp_path: Path, transport: str) -> None:
    async with exchange(ip="::1") as here, baresip(tmp_path / "bob", ACCOUNT, ip="::1") as bob:
        here.trust()
        port = here.agent.ports[transport]
        bob.command("dial", f"sip:{NUMBER}@[::1]:{port};transport={transport}")
        talk = await here.desk.talk()
        await here.desk.until(lambda: len(talk.heard) > 16000)
        assert loudest_hz(bytes(talk.heard[-8000:])) == pytest.approx(440, abs=10)
        await talk.line.hang_up()
        await bob.happens("CALL_CLOSED")
        quality = talk.line.quality
        assert quality is not None
        assert quality.refused == 0
        assert quality.loss < 0.05
    assert loudest_hz(bob.heard()[2000:10000]) == pytest.approx(1000, abs=10)


@needs_baresip
async def test_a_call_out(tmp_path: Path) -> None:
    async with exchange(ip="::1") as here, baresip(tmp_path / "bob", ACCOUNT, ip="::1") as bob:
        await here.dial(here.trust(bob.port))
        talk = await here.desk.talk()
        await here.desk.until(lambda: len(talk.heard) > 16000)
        assert loudest_hz(bytes(talk.heard[-8000:])) == pytest.approx(440, abs=10)
        bob.command("hangup")
        await asyncio.wait_for(talk.ended, 10)


async def test_both_versions_at_once_with_a_port_each() -> None:
    async with exchange() as here:
        await here.agent._transports.open([_listen("udp", "::1")])
        here.number(
            {"sipMode": "ip_allowlist", "sipIp": "0:0::/64", "sipPort": 5060, "sipProtocol": "udp"}
        )
        v6 = here.agent._transports._ports["udp", socket.AF_INET6]
        assert v6 != here.port
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
            sock.setblocking(False)
            ours = sock.getsockname()[1]
            offer = (
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                "m=audio 9 RTP/AVP 0\r\n"
            )
            invite = (
                f"INVITE sip:{NUMBER}@[::1]:{v6} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP [::1]:{ours};branch=z9hG4bKa;rport\r\n"
                f"From: <sip:+4940999@[::1]>;tag=1\r\nTo: <sip:{NUMBER}@[::1]:{v6}>\r\n"
                f"Call-ID: six\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@[::1]:{ours}>\r\n"
                f"Content-Type: application/sdp\r\nContent-Length: {len(offer)}\r\n\r\n{offer}"
            )
            sock.sendto(invite.encode(), ("::1", v6))
            answer: Any = None
            while not (isinstance(answer, Response) and answer.status == 200):
                data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 4096), 5)
                answer = parse_message(data)
            # The signalling goes on where it came, the sound where it was asked for.
            assert f"@[::1]:{v6}>" in answer.headers.get("Contact")
            assert answer.via.params["received"] == "::1"
            audio = parse_sdp(answer.body).audio
            assert audio is not None
            assert audio.host == "127.0.0.1"
            talk = await here.desk.talk()
            await talk.line.hang_up()


def _listen(transport: Any, host: str) -> Any:
    from chorus.lines.sip.transport import Listen

    return Listen(transport, host, 0)


async def test_a_public_address_is_told_to_its_own_version_only() -> None:
    transports = Transports(lambda *_: None, lambda _: None, public_host="203.0.113.9")
    assert transports.address_for("8.8.8.8") == "203.0.113.9"
    assert ":" in transports.address_for("2600::1")
    named = Transports(lambda *_: None, lambda _: None, public_host="sip.example.com")
    assert named.address_for("2600::1") == "sip.example.com"


def _offer(where: str) -> bytes:
    return f"v=0\r\nc={where}\r\nm=audio 4000 RTP/AVP 0\r\n".encode()


def test_an_address_is_known_in_every_spelling() -> None:
    ours = Negotiation(("PCMU",), "2001:db8::2", 40000)
    body, agreed = ours.answer(_offer("IN IP6 2001:0DB8:0:0::1"))
    assert agreed.host == "2001:db8::1"
    assert b"c=IN IP6 2001:db8::2\r\n" in body


@pytest.mark.parametrize("where", ["IN IP4 192.0.2.1", "IN IP6 pbx.example.com", "IN IP6 ::zz"])
def test_sound_that_cannot_be_sent_is_refused(where: str) -> None:
    with pytest.raises(Malformed) as raised:
        Negotiation(("PCMU",), "2001:db8::2", 40000).answer(_offer(where))
    assert raised.value.status == 488


async def test_the_doctor_asks_over_ipv6() -> None:
    async with exchange(ip="::1") as here:
        here.trust()
        asked = here.number(
            {"sipMode": "ip_allowlist", "sipIp": "::1", "sipPort": here.port,
             "sipProtocol": "udp"},
        )  # fmt: skip
        found = await probe(here.agent.config, [asked])
        said = [each.says for each in found]
        assert f"::1 resolves to udp:[::1]:{here.port}" in said
        assert any(each.startswith("::1 answers OPTIONS over udp: 200 OK") for each in said)
        assert all(each.good for each in found)
