"""Calls with a real telephone: sound both ways, keys, hold, refusals, encryption."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import numpy as np
import pytest
from tests.lines.sip.exchange import NUMBER, exchange
from tests.lines.sip.peers import baresip, loudest_hz, needs_baresip

from chorus.lines.desk import Refused, Stage
from chorus.lines.line import LineCause
from chorus.lines.sip.media.codecs import usable

pytestmark = needs_baresip


async def test_the_telephone_calls_in_and_both_hear_each_other(tmp_path: Path) -> None:
    async with exchange() as here, baresip(tmp_path / "bob", hz=440) as bob:
        here.trust()
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{here.port}")
        talk = await here.desk.talk()
        await bob.happens("CALL_ESTABLISHED")
        assert here.desk.inbound[0].from_ == "+4940999"
        assert here.desk.inbound[0].to == NUMBER
        await here.desk.until(lambda: len(talk.heard) > 16000 * 2)
        assert loudest_hz(bytes(talk.heard[-16000:])) == pytest.approx(440, abs=5)
        for key in "1#":
            bob.command("sndcode", key)
            await asyncio.sleep(0.3)
            bob.command("sndcode", "\x04")
        await here.desk.until(lambda: talk.keys == ["1", "#"])
        talk.line.send_digits("5")
        await asyncio.sleep(1.0)
        bob.command("hangup")
        ended = await asyncio.wait_for(talk.ended, 10)
        assert ended.cause is LineCause.FAR_END
        quality = talk.line.quality
        assert quality is not None
        assert quality.loss < 0.05
        assert quality.packets_received > 50
        assert quality.mos > 3.5
    assert loudest_hz(bob.heard()[8000:24000]) == pytest.approx(1000, abs=5)


async def test_a_call_out_is_answered_and_hung_up_by_us(tmp_path: Path) -> None:
    async with exchange() as here, baresip(tmp_path / "bob") as bob:
        number = here.trust(bob.port)
        leg_id = await here.dial(number)
        talk = await here.desk.talk()
        assert talk.line.leg_id == leg_id
        await here.desk.until(lambda: len(talk.heard) > 16000)
        assert loudest_hz(bytes(talk.heard[-8000:])) == pytest.approx(440, abs=10)
        await talk.line.hang_up()
        await bob.happens("CALL_CLOSED")
        assert (await talk.ended).cause is LineCause.LOCAL


async def test_the_telephone_holds_and_resumes(tmp_path: Path) -> None:
    async with exchange() as here, baresip(tmp_path / "bob") as bob:
        here.trust()
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{here.port}")
        talk = await here.desk.talk()
        session = talk.line.session
        assert session is not None
        agreed = session.negotiation
        await here.desk.until(lambda: len(talk.heard) > 8000)
        bob.command("hold")
        await here.desk.until(lambda: agreed.agreed and agreed.agreed.direction != "sendrecv")
        bob.command("resume")
        await here.desk.until(lambda: agreed.agreed and agreed.agreed.direction == "sendrecv")
        heard = len(talk.heard)
        await here.desk.until(lambda: len(talk.heard) > heard + 8000)
        bob.command("hangup")
        await asyncio.wait_for(talk.ended, 10)


async def test_we_hold_and_resume(tmp_path: Path) -> None:
    async with exchange() as here, baresip(tmp_path / "bob") as bob:
        number = here.trust(bob.port)
        await here.dial(number)
        talk = await here.desk.talk()
        session = talk.line.session
        assert session is not None
        session.offer("sendonly")
        await here.desk.until(lambda: session.negotiation.agreed.direction == "sendonly")  # type: ignore[union-attr]
        session.offer("sendrecv")
        await here.desk.until(lambda: session.negotiation.agreed.direction == "sendrecv")  # type: ignore[union-attr]
        heard = len(talk.heard)
        await here.desk.until(lambda: len(talk.heard) > heard + 8000)


async def test_a_refused_call_is_refused(tmp_path: Path) -> None:
    async with exchange() as here, baresip(tmp_path / "bob") as bob:
        here.trust()
        here.desk.says = Refused("as many calls as there may be", "busy")
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{here.port}")
        closed = await bob.happens("CALL_CLOSED")
        assert "486" in closed["param"]


async def test_a_number_that_is_nobodys_gets_no_call(tmp_path: Path) -> None:
    async with exchange() as here, baresip(tmp_path / "bob") as bob:
        here.trust()
        bob.command("dial", f"sip:+4900000000@127.0.0.1:{here.port}")
        closed = await bob.happens("CALL_CLOSED")
        assert "403" in closed["param"]
        assert here.desk.inbound == []


async def test_a_telephone_that_is_busy_and_one_that_is_called_again(tmp_path: Path) -> None:
    manual = "<sip:+4940999@127.0.0.1:{port}>;regint=0;answermode=manual"
    async with exchange() as here, baresip(tmp_path / "bob", manual) as bob:
        number = here.trust(bob.port)
        await here.dial(number)
        await bob.happens("CALL_INCOMING")
        bob.command("hangup")
        ended = await here.desk.until(
            lambda: [p for p in here.desk.progresses if p.stage is Stage.ENDED]
        )
        assert ended[0].ended.cause in (LineCause.BUSY, LineCause.REJECTED)
        assert ended[0].ended.detail.startswith("SIP ")
        assert here.desk.progresses[0].stage is Stage.RINGING
        # Given up, and called again at once, as by a transfer that is tried again.
        given_up = await here.dial(number)
        await bob.happens("CALL_INCOMING", count=2)
        here.agent.calls.cancel(given_up)
        again = await here.dial(number)
        await bob.happens("CALL_INCOMING", count=3)
        await bob.happens("CALL_CLOSED", count=2)
        bob.command("accept")
        talk = await here.desk.talk()
        assert talk.line.leg_id == again
        await talk.line.hang_up()


async def test_wideband(tmp_path: Path) -> None:
    pytest.importorskip("G722")
    wide = "<sip:+4940999@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs=G722/16000/1"
    async with exchange() as here, baresip(tmp_path / "bob", wide) as bob:
        number = here.trust(bob.port)
        await here.dial(number)
        talk = await here.desk.talk()
        assert talk.line.format.rate_hz == 16000
        await here.desk.until(lambda: len(talk.heard) > 32000)
        assert loudest_hz(bytes(talk.heard[-16000:]), 16000) == pytest.approx(440, abs=10)


async def test_opus(tmp_path: Path) -> None:
    """A telephone that speaks Opus at 48 kHz: both hear each other, and keys are told."""
    if not usable(("OPUS",)):
        pytest.skip("libopus is not installed")
    account = (
        "<sip:+4940999@127.0.0.1:{port}>;regint=0;answermode=auto;dtmfmode=rtpevent;"
        "audio_codecs=opus/48000/2"
    )
    async with (
        exchange() as here,
        baresip(
            tmp_path / "bob", account, modules="module opus.so", rate_hz=48000,
            more="opus_bitrate 28000\nopus_inbandfec yes\nopus_packet_loss 10",
        ) as bob,
    ):  # fmt: skip
        here.trust()
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{here.port}")
        talk = await here.desk.talk()
        assert talk.line.format.rate_hz == 16000
        await here.desk.until(lambda: len(talk.heard) > 32000)
        assert loudest_hz(bytes(talk.heard[-16000:]), 16000) == pytest.approx(440, abs=10)
        bob.command("sndcode", "7")
        await asyncio.sleep(0.2)
        bob.command("sndcode", "\x04")
        await here.desk.until(lambda: talk.keys == ["7"])
        bob.command("hangup")
        await asyncio.wait_for(talk.ended, 10)
        assert talk.line.quality is not None
        assert talk.line.quality.codec == "OPUS"
        assert talk.line.quality.loss < 0.05
    left = np.frombuffer(bob.heard(), "<i2")[::2].tobytes()  # it plays two channels
    assert loudest_hz(left[24000:96000], 48000) == pytest.approx(1000, abs=5)


async def test_tcp(tmp_path: Path) -> None:
    async with exchange() as here, baresip(tmp_path / "bob") as bob:
        here.trust()
        tcp = here.agent.ports["tcp"]
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{tcp};transport=tcp")
        talk = await here.desk.talk()
        await here.desk.until(lambda: len(talk.heard) > 8000)
        await talk.line.hang_up()
        await bob.happens("CALL_CLOSED")


async def test_tls_and_srtp(tmp_path: Path) -> None:
    pytest.importorskip("pylibsrtp")
    from tests.lines.sip.certificates import certificate

    cert, key = certificate(tmp_path)
    assert ssl.create_default_context(cafile=cert)
    secure = (
        "<sip:+4940999@127.0.0.1:{port};transport=tls>;regint=0;answermode=auto;"
        "mediaenc=srtp-mand;audio_codecs=PCMU/8000/1"
    )
    joined = tmp_path / "both.pem"
    joined.write_text(cert.read_text() + key.read_text())
    async with (
        exchange(transports=("udp", "tls"), tls_cert=cert, tls_key=key, tls_ca=cert) as here,
        baresip(
            tmp_path / "bob",
            secure,
            modules="module srtp.so",
            more=f"sip_certificate {joined}\nsip_cafile {cert}",
        ) as bob,
    ):
        here.trust(transport="tls")
        tls = here.agent.ports["tls"]
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{tls};transport=tls")
        talk = await here.desk.talk()
        await here.desk.until(lambda: len(talk.heard) > 16000)
        assert loudest_hz(bytes(talk.heard[-8000:])) == pytest.approx(440, abs=10)
        await talk.line.hang_up()
        assert talk.line.quality is not None
        assert talk.line.quality.encrypted
