"""Behind a proxy: registered with a password, called and calling through it, with Record-Route."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.lines.sip.exchange import NUMBER, Exchange, exchange
from tests.lines.sip.kamailio import PASSWORD, kamailio
from tests.lines.sip.peers import baresip, loudest_hz, needs_baresip, needs_kamailio

from chorus.lines.desk import Connection, Stage
from chorus.lines.line import LineCause

pytestmark = [needs_kamailio, needs_baresip]


def _settings(port: int, **more: Any) -> dict[str, Any]:
    return {
        "sipMode": "registration",
        "sipUsername": NUMBER,
        "sipPassword": PASSWORD,
        "sipProxy": f"127.0.0.1:{port}",
        "sipPort": port,
        **more,
    }


async def _registered(here: Exchange, number: Connection) -> None:
    registration = here.agent.registrations[number.phone_number_id]
    await here.desk.until(lambda: registration.standing.state == "registered")


def _account(port: int) -> str:
    return (
        f"<sip:+4940999@127.0.0.1:{port};transport=udp>;auth_user=+4940999;auth_pass={PASSWORD};"
        "regint=60;answermode=auto;audio_codecs=PCMU/8000/1"
    )


async def test_calls_both_ways_through_the_proxy(tmp_path: Path) -> None:
    async with (
        kamailio(tmp_path / "pbx") as port,
        exchange() as here,
        baresip(tmp_path / "bob", _account(port)) as bob,
    ):
        number = here.number(_settings(port))
        await _registered(here, number)
        await bob.says("200 OK")
        # In.
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{port}")
        talk = await here.desk.talk()
        await here.desk.until(lambda: len(talk.heard) > 16000)
        assert loudest_hz(bytes(talk.heard[-8000:])) == pytest.approx(440, abs=10)
        session = talk.line.session
        assert session is not None
        assert session.dialog.routes
        session.offer("sendonly")
        agreed = session.negotiation
        await here.desk.until(lambda: agreed.agreed and agreed.agreed.direction == "sendonly")
        await talk.line.hang_up()
        await bob.happens("CALL_CLOSED")
        # Out, with a password.
        await here.dial(number, ring_timeout_s=10)
        second = await here.desk.talk(2)
        await here.desk.until(lambda: len(second.heard) > 8000)
        assert second.line.session is not None
        assert second.line.session.dialog.routes
        bob.command("hangup")
        assert (await asyncio.wait_for(second.ended, 10)).cause is LineCause.FAR_END


async def test_a_registration_is_renewed_and_taken_away(tmp_path: Path) -> None:
    async with kamailio(tmp_path / "pbx", expires=6) as port, exchange() as here:
        number = here.number(_settings(port))
        await _registered(here, number)
        registration = here.agent.registrations[number.phone_number_id]
        first_s = registration.standing.expires_s
        assert first_s is not None
        await here.desk.until(lambda: (registration.standing.expires_s or 0) > first_s + 1, 30)
        assert registration.standing.state == "registered"
        here.agent.set_numbers([])
        assert registration.standing.state == "stopped"
        assert here.agent.registrations == {}


async def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    async with kamailio(tmp_path / "pbx") as port, exchange() as here:
        number = here.number(_settings(port, sipPassword="wrong"))
        registration = here.agent.registrations[number.phone_number_id]
        await here.desk.until(lambda: registration.standing.state == "failed")
        assert registration.standing.status == 401
        await here.desk.until(lambda: here.desk.states)
        assert here.desk.states[-1].state == "failed"
        assert "password" in (here.desk.states[-1].last_error or "")


async def test_nobody_of_that_number(tmp_path: Path) -> None:
    async with kamailio(tmp_path / "pbx") as port, exchange() as here:
        number = here.number(_settings(port))
        await _registered(here, number)
        await here.dial(number, to="+4940111")
        ends = await here.desk.until(
            lambda: [p for p in here.desk.progresses if p.stage is Stage.ENDED]
        )
        assert ends[0].ended.detail == "SIP 404 Not Found"
