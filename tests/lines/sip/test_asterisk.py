"""Asterisk as the PBX, set up as the page says: registered, called and calling, held, moved to
another codec and address, and transferred, blind and attended, by either side."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.lines.sip.asterisk import Pbx, asterisk, needs_asterisk
from tests.lines.sip.exchange import Exchange, Talk, exchange
from tests.lines.sip.peers import Baresip, baresip, loudest_hz, needs_baresip

from chorus.lines.desk import Connection
from chorus.lines.line import LineCause, LineMove

pytestmark = [needs_asterisk, needs_baresip, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", name="pbx")
def _pbx() -> Generator[Pbx]:
    with asterisk() as pbx:
        yield pbx


async def _registered(here: Exchange, pbx: Pbx, extension: str = "1001") -> Connection:
    number = here.number(pbx.settings(extension))
    registration = here.agent.registrations[number.phone_number_id]
    await here.desk.until(lambda: registration.standing.state == "registered")
    return number


@asynccontextmanager
async def _phone(
    pbx: Pbx, folder: Path, extension: str, hz: float, **more: str
) -> AsyncGenerator[Baresip, None]:
    async with baresip(folder / extension, pbx.account(extension, **more), hz=hz) as phone:
        await phone.says("200 OK")
        yield phone


async def _hears(here: Exchange, talk: Talk, hz: float, seconds: float = 20) -> None:
    """Until the last half second of what Chorus heard is that tone."""
    rate_hz = talk.line.format.rate_hz

    def last_hz() -> float:
        return loudest_hz(bytes(talk.heard[-rate_hz:]), rate_hz)

    await here.desk.until(lambda: abs(last_hz() - hz) < 10, seconds)


async def _heard(phone: Baresip, hz: float, seconds: float = 20) -> None:
    """The same of what the telephone heard, of its newest call."""
    try:
        async with asyncio.timeout(seconds):
            while abs(loudest_hz(phone.heard()[-8000:]) - hz) > 10:
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(
            f"no tone of {hz:g} Hz, but {loudest_hz(phone.heard()[-8000:]):g} Hz; "
            f"the telephone's log ends with\n{phone.log()[-4000:]}"
        )


async def _transfer_attended(here: Exchange) -> None:
    """Connect the far ends of its first and second call (REFER with Replaces). Asterisk lets go of
    the second by itself, and the first is hung up by whoever asked."""
    talk, other = here.desk.talks[:2]
    await talk.line.connect_with(other.line)
    assert (await asyncio.wait_for(other.ended, 10)).cause is LineCause.FAR_END
    assert (await asyncio.wait_for(talk.ended, 10)).cause is LineCause.TRANSFERRED
    assert talk.moves[-1] is LineMove.TRANSFERRED


async def test_calls_in_and_out_with_sound_keys_and_hold(pbx: Pbx, tmp_path: Path) -> None:
    async with (
        exchange() as here,
        _phone(pbx, tmp_path, "1002", 440) as bob,
    ):
        number = await _registered(here, pbx)
        assert "1001/sip:" in await pbx.cli("pjsip show contacts")
        # In.
        bob.command("dial", f"sip:1001@127.0.0.1:{pbx.port}")
        talk = await here.desk.talk()
        assert here.desk.inbound[0].from_ == "1002"
        await _hears(here, talk, 440)
        await _heard(bob, 1000)
        bob.command("sndcode", "7")
        await asyncio.sleep(0.3)
        bob.command("sndcode", "\x04")
        await here.desk.until(lambda: talk.keys == ["7"])
        # The telephone holds, and Asterisk passes it on by a re-INVITE.
        bob.command("hold")
        await here.desk.until(lambda: talk.moves == [LineMove.HELD])
        bob.command("resume")
        await here.desk.until(lambda: talk.moves == [LineMove.HELD, LineMove.RESUMED])
        talk.heard.clear()
        await _hears(here, talk, 440)
        # We hold. Asterisk plays its music to the telephone, of which none is installed here.
        await talk.line.hold()
        await talk.line.resume()
        await _heard(bob, 1000)
        bob.command("hangup")
        assert (await asyncio.wait_for(talk.ended, 10)).cause is LineCause.FAR_END
        # Out, with a password.
        await here.dial(number, to="1002", ring_timeout_s=10)
        second = await here.desk.talk(2)
        await _hears(here, second, 440)
        await second.line.hang_up()
        await bob.happens("CALL_CLOSED", count=2)
        here.agent.set_numbers([])
        async with asyncio.timeout(10):
            while "1001/sip:" in await pbx.cli("pjsip show contacts"):
                await asyncio.sleep(0.2)


async def test_sound_goes_straight_and_in_another_codec(pbx: Pbx, tmp_path: Path) -> None:
    async with (
        exchange() as here,
        _phone(pbx, tmp_path, "1004", 440) as bob,
    ):
        number = await _registered(here, pbx, "1011")
        await here.dial(number, to="1004", ring_timeout_s=10)
        talk = await here.desk.talk()
        session = talk.line.session
        assert session is not None
        agreed = session.negotiation
        # The address of the sound moves from Asterisk's ports to the telephone's.
        await here.desk.until(lambda: agreed.agreed and agreed.agreed.port >= 40_000)
        talk.heard.clear()
        await _hears(here, talk, 440)
        await _heard(bob, 1000)
        await talk.line.hang_up()
        await bob.happens("CALL_CLOSED")
        await here.dial(number, to="700", ring_timeout_s=10)
        talk = await here.desk.talk(2)
        assert talk.line.session is not None
        agreed = talk.line.session.negotiation
        assert agreed.agreed is not None
        assert agreed.agreed.codec.name == "PCMU"
        await here.desk.until(lambda: agreed.agreed and agreed.agreed.codec.name == "PCMA")
        talk.heard.clear()
        await _hears(here, talk, 600)
        await talk.line.hang_up()


async def test_chorus_transfers_blind(pbx: Pbx, tmp_path: Path) -> None:
    async with (
        exchange() as here,
        _phone(pbx, tmp_path, "1002", 440) as bob,
        _phone(pbx, tmp_path, "1003", 700) as carol,
    ):
        await _registered(here, pbx)
        bob.command("dial", f"sip:1001@127.0.0.1:{pbx.port}")
        talk = await here.desk.talk()
        await _hears(here, talk, 440)
        await talk.line.transfer("1003")
        await carol.happens("CALL_ESTABLISHED")
        assert (await asyncio.wait_for(talk.ended, 10)).cause is LineCause.TRANSFERRED
        assert talk.moves == [LineMove.TRANSFERRED]
        await _heard(carol, 440)
        await _heard(bob, 700)
        bob.command("hangup")
        await carol.happens("CALL_CLOSED")


async def test_a_transfer_to_nobody_leaves_the_caller_with_us(pbx: Pbx, tmp_path: Path) -> None:
    async with (
        exchange() as here,
        _phone(pbx, tmp_path, "1002", 440) as bob,
    ):
        await _registered(here, pbx)
        bob.command("dial", f"sip:1001@127.0.0.1:{pbx.port}")
        talk = await here.desk.talk()
        await _hears(here, talk, 440)
        # Asterisk takes the REFER (202) and only then looks for the extension.
        await talk.line.transfer("no-such-extension")
        await here.desk.until(lambda: talk.moves == [LineMove.NOT_TRANSFERRED])
        talk.heard.clear()
        await _hears(here, talk, 440)


async def test_chorus_transfers_attended(pbx: Pbx, tmp_path: Path) -> None:
    async with (
        exchange() as here,
        _phone(pbx, tmp_path, "1002", 440) as bob,
        _phone(pbx, tmp_path, "1003", 700) as carol,
    ):
        number = await _registered(here, pbx)
        bob.command("dial", f"sip:1001@127.0.0.1:{pbx.port}")
        talk = await here.desk.talk()
        await _hears(here, talk, 440)
        await talk.line.hold()
        await here.dial(number, to="1003", ring_timeout_s=10)
        asked = await here.desk.talk(2)
        await _hears(here, asked, 700)
        await _transfer_attended(here)
        await _heard(carol, 440)
        await _heard(bob, 700)
        bob.command("hangup")
        await carol.happens("CALL_CLOSED")


async def test_the_telephone_transfers_us_blind(pbx: Pbx, tmp_path: Path) -> None:
    async with (
        exchange() as here,
        _phone(pbx, tmp_path, "1002", 440) as bob,
        _phone(pbx, tmp_path, "1003", 700) as carol,
    ):
        await _registered(here, pbx)
        bob.command("dial", f"sip:1001@127.0.0.1:{pbx.port}")
        talk = await here.desk.talk()
        await _hears(here, talk, 440)
        bob.command("transfer", f"sip:1003@127.0.0.1:{pbx.port}")
        await carol.happens("CALL_ESTABLISHED")
        await _hears(here, talk, 700)
        await _heard(carol, 1000)
        assert len(here.desk.talks) == 1
        carol.command("hangup")
        assert (await asyncio.wait_for(talk.ended, 10)).cause is LineCause.FAR_END


def test_the_page_names_what_the_test_reads() -> None:
    from tests.lines.sip.asterisk import blocks

    page = blocks()
    assert set(page) == {"pjsip.conf", "extensions.conf"}
    assert re.search(r"^password=…$", page["pjsip.conf"], re.MULTILINE)


async def test_the_telephone_transfers_us_attended(pbx: Pbx, tmp_path: Path) -> None:
    """baresip has no attended transfer, so the telephone is another user agent of ours."""
    async with (
        exchange() as here,
        exchange(rtp_ports=(22000, 22099)) as bob,
        _phone(pbx, tmp_path, "1003", 700) as carol,
    ):
        await _registered(here, pbx)
        extension = await _registered(bob, pbx, "1002")
        bob.desk.on_talk = lambda talk: talk.sing(440, 30)
        await bob.dial(extension, to="1001", ring_timeout_s=10)
        talk = await here.desk.talk()
        await _hears(here, talk, 440)
        await (await bob.desk.talk()).line.hold()
        await here.desk.until(lambda: talk.moves == [LineMove.HELD])
        await bob.dial(extension, to="1003", ring_timeout_s=10)
        await _hears(bob, await bob.desk.talk(2), 700)
        await _transfer_attended(bob)
        await here.desk.until(lambda: talk.moves == [LineMove.HELD, LineMove.RESUMED])
        await _hears(here, talk, 700)
        await _heard(carol, 1000)
        carol.command("hangup")
        assert (await asyncio.wait_for(talk.ended, 10)).cause is LineCause.FAR_END


async def test_it_encrypts_by_dtls(pbx: Pbx, tmp_path: Path) -> None:
    async with exchange() as here, _phone(pbx, tmp_path, "1002", 440) as bob:
        await _registered(here, pbx, "1021")
        bob.command("dial", f"sip:1021@127.0.0.1:{pbx.port}")
        talk = await here.desk.talk()
        await _hears(here, talk, 440)
        await _heard(bob, 1000)
        await talk.line.hang_up()
        assert talk.line.quality is not None
        assert talk.line.quality.encrypted
