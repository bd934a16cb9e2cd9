"""Behind a router that hides addresses and ports: the telephone, and Chorus itself."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.lines.sip.asterisk import asterisk, needs_asterisk
from tests.lines.sip.exchange import NUMBER, exchange
from tests.lines.sip.namespaces import INSIDE, OUTSIDE, PUBLIC, Network, network, refused
from tests.lines.sip.peers import Baresip, baresip, loudest_hz, needs_baresip

from chorus.lines.line import LineCause
from chorus.lines.sip import registration

pytestmark = needs_baresip

RTP_PORTS = (21000, 21099)


@pytest.fixture(name="net")
def _net() -> Generator[Network]:
    if why := refused():
        pytest.skip(why)
    with network() as net:
        yield net


async def test_a_telephone_behind_nat(net: Network, tmp_path: Path) -> None:
    """It gives an address that cannot be reached: answers, sound and our goodbye go where its
    messages and its sound come from (rport, symmetric RTP)."""
    async with AsyncExitStack() as stack:
        with net.on("inside"):
            phone = baresip(tmp_path / "bob", ip=INSIDE)
            bob = await stack.enter_async_context(phone)
        with net.on("outside"):
            here = await stack.enter_async_context(exchange(ip=OUTSIDE, rtp_ports=RTP_PORTS))
            here.number({"sipMode": "ip_allowlist", "sipIp": PUBLIC})
            bob.command("dial", f"sip:{NUMBER}@{OUTSIDE}:{here.port}")
            talk = await here.desk.talk()
            session = talk.line.session
            assert session is not None
            assert session.dialog.target.host == INSIDE
            await here.desk.until(lambda: _hz(bytes(talk.heard)) == pytest.approx(440, abs=10))
            await _heard(bob, 1000)
            # A request of ours within the call, and the last one.
            await talk.line.hold()
            await talk.line.resume()
            await talk.line.hang_up()
            await bob.happens("CALL_CLOSED")


async def test_chorus_behind_nat(net: Network, tmp_path: Path) -> None:
    """With its public address stated and its ports forwarded, it is called and calls."""
    async with AsyncExitStack() as stack:
        with net.on("outside"):
            bob = await stack.enter_async_context(baresip(tmp_path / "bob", ip=OUTSIDE))
        with net.on("inside"):
            here = await stack.enter_async_context(
                exchange(ip=INSIDE, rtp_ports=RTP_PORTS, public_host=PUBLIC)
            )
            net.forward(here.port, here.port)
            net.forward(*RTP_PORTS)
            number = here.number({"sipMode": "ip_allowlist", "sipIp": OUTSIDE, "sipPort": bob.port})
            bob.command("dial", f"sip:{NUMBER}@{PUBLIC}:{here.port}")
            talk = await here.desk.talk()
            await here.desk.until(lambda: _hz(bytes(talk.heard)) == pytest.approx(440, abs=10))
            await _heard(bob, 1000)
            # Its goodbye goes to the address that we said is ours.
            bob.command("hangup")
            assert (await asyncio.wait_for(talk.ended, 10)).cause is LineCause.FAR_END
            await here.dial(number, ring_timeout_s=10)
            second = await here.desk.talk(2)
            await here.desk.until(lambda: _hz(bytes(second.heard)) == pytest.approx(440, abs=10))
            bob.command("hangup")
            assert (await asyncio.wait_for(second.ended, 10)).cause is LineCause.FAR_END


@needs_asterisk
async def test_chorus_registers_from_behind_nat(
    net: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stated and nothing forwarded. The router forgets after two seconds, so a call gets
    in after more only because the way was kept open."""
    monkeypatch.setattr(registration, "KEEPALIVE_S", 0.5)
    net.forget_after(2)
    async with AsyncExitStack() as stack:
        with net.on("outside"):
            pbx = stack.enter_context(asterisk(OUTSIDE))
            phone = baresip(tmp_path / "bob", pbx.account("1002"), ip=OUTSIDE)
            bob = await stack.enter_async_context(phone)
        with net.on("inside"):
            here = await stack.enter_async_context(exchange(ip=INSIDE, rtp_ports=RTP_PORTS))
            number = here.number(pbx.settings())
            standing = here.agent.registrations[number.phone_number_id]
            await here.desk.until(lambda: standing.standing.state == "registered")
            await asyncio.sleep(3.5)
            bob.command("dial", f"sip:1001@{OUTSIDE}:{pbx.port}")
            talk = await here.desk.talk()
            await here.desk.until(lambda: _hz(bytes(talk.heard)) == pytest.approx(440, abs=10))
            await _heard(bob, 1000)
            bob.command("hangup")
            assert (await asyncio.wait_for(talk.ended, 10)).cause is LineCause.FAR_END


def _hz(heard: bytes) -> float:
    return loudest_hz(heard[-8000:])


async def _heard(phone: Baresip, hz: float) -> None:
    async with asyncio.timeout(20):
        while _hz(phone.heard()) != pytest.approx(hz, abs=10):
            await asyncio.sleep(0.1)
