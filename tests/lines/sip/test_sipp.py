"""Calls as sipp plays them: refusals, early media, withdrawn calls, repetitions, losses, offers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.lines.sip import sipp as scenario
from tests.lines.sip.exchange import NUMBER, Exchange, exchange
from tests.lines.sip.peers import free_port, needs_sipp
from tests.lines.sip.sipp import INVITE, in_dialog, pause, receive, response, send, sipp

from chorus.lines.desk import Refused, Stage
from chorus.lines.line import LineCause

pytestmark = needs_sipp

ANSWERED = [receive(100, optional=True), receive(180, optional=True), receive(200, save=True)]
HANG_UP = [send(in_dialog("BYE", 9)), receive(200)]


def _caller(here: Exchange, *more: str) -> list[str]:
    return [f"127.0.0.1:{here.port}", "-s", NUMBER, "-p", str(free_port()), "-m", "1", *more]


async def _ended(here: Exchange) -> tuple[LineCause, str]:
    ends = await here.desk.until(
        lambda: [p for p in here.desk.progresses if p.stage is Stage.ENDED]
    )
    return ends[0].ended.cause, ends[0].ended.detail


async def test_a_call_in_and_its_headers(tmp_path: Path) -> None:
    async with exchange() as here:
        here.trust()
        steps = [send(INVITE), *ANSWERED, send(in_dialog("ACK", 1), retrans=False), pause(300),
                 *HANG_UP]  # fmt: skip
        done = await sipp(tmp_path, steps, *_caller(here))
        assert done.code == 0, done.text
        inbound = here.desk.inbound[0]
        assert inbound.from_ == "+4940555"
        assert inbound.variables == {"sip_x_order_id": "77", "sip_user_to_user": "Hello"}
        assert (await here.desk.talks[0].ended).cause is LineCause.FAR_END
        assert here.agent.user_agent.dialogs == 0


async def test_many_calls_at_once(tmp_path: Path) -> None:
    async with exchange() as here:
        here.trust()
        steps = [send(INVITE), *ANSWERED, send(in_dialog("ACK", 1), retrans=False), pause(500),
                 *HANG_UP]  # fmt: skip
        done = await sipp(tmp_path, steps, *_caller(here)[:-2], "-m", "60", "-r", "30", "-l", "60")
        assert done.code == 0, done.text
        assert len(here.desk.talks) == 60
        await here.desk.until(lambda: here.agent.user_agent.dialogs == 0)


async def test_a_call_that_is_withdrawn_while_it_rings(tmp_path: Path) -> None:
    async with exchange() as here:
        here.trust()
        waiting = asyncio.Event()

        async def slowly(inbound: object) -> Refused:
            await waiting.wait()
            return Refused("too late")

        here.desk.answer = slowly  # type: ignore[method-assign,assignment]
        cancel = INVITE.replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL").replace(
            "INVITE sip:", "CANCEL sip:"
        )
        cancel = cancel.split("Content-Type")[0] + "Content-Length: 0\n\n"
        # The branch of the INVITE, which sipp counts on for every message.
        cancel = cancel.replace("branch=[branch]", "branch=[branch-3]")
        steps = [send(INVITE), receive(100, optional=True), receive(180), send(cancel),
                 receive(200), receive(487), send(in_dialog("ACK", 1).replace("[branch]",
                 "[branch-6]"), retrans=False)]  # fmt: skip
        done = await sipp(tmp_path, steps, *_caller(here))
        waiting.set()
        assert done.code == 0, done.text
        assert here.desk.talks == []
        assert here.agent.user_agent.dialogs == 0


async def test_a_call_for_which_no_port_is_left_is_refused_and_told(tmp_path: Path) -> None:
    async with exchange(rtp_ports=(24990, 24991)) as here:
        here.trust()
        ports = await here.agent.calls.ports.open("0.0.0.0")
        steps = [send(INVITE), receive(100, optional=True), receive(180, optional=True),
                 receive(503), send(in_dialog("ACK", 1).replace("[branch]", "[branch-4]"),
                 retrans=False)]  # fmt: skip
        done = await sipp(tmp_path, steps, *_caller(here))
        ports.close()
        assert done.code == 0, done.text
        cause, detail = await _ended(here)
        assert cause is LineCause.FAILED
        assert "no free RTP port" in detail
        assert here.desk.progresses[-1].call_id == "call-1"
        assert here.agent.user_agent.dialogs == 0


async def test_a_call_without_an_offer_is_offered_one(tmp_path: Path) -> None:
    async with exchange() as here:
        here.trust()
        bare = INVITE.split("Content-Type")[0] + "Content-Length: 0\n\n"
        steps = [send(bare), *ANSWERED,
                 send(in_dialog("ACK", 1, scenario._SDP), retrans=False), pause(300),
                 *HANG_UP]  # fmt: skip
        done = await sipp(tmp_path, steps, *_caller(here))
        assert done.code == 0, done.text
        assert here.desk.talks[0].line.format.encoding == "mulaw"


async def test_a_moved_address_and_a_hold_by_the_other_side(tmp_path: Path) -> None:
    async with exchange() as here:
        here.trust()
        moved = scenario._SDP.replace("[media_port]", "45678").replace("o=sipp 1 1", "o=sipp 1 2")
        held = scenario._SDP.replace("t=0 0", "t=0 0\na=sendonly").replace("1 1 IN", "1 3 IN")
        steps = [send(INVITE), *ANSWERED, send(in_dialog("ACK", 1), retrans=False), pause(200),
                 send(in_dialog("INVITE", 2, moved)), receive(200, save=True),
                 send(in_dialog("ACK", 2), retrans=False), pause(200),
                 send(in_dialog("UPDATE", 3, held)), receive(200), pause(200),
                 *HANG_UP]  # fmt: skip
        done = await sipp(tmp_path, steps, *_caller(here))
        assert done.code == 0, done.text
        agreed = here.desk.talks[0].line.session.negotiation.agreed  # type: ignore[union-attr]
        assert agreed is not None
        assert agreed.direction == "recvonly"


async def test_one_packet_in_five_is_lost(tmp_path: Path) -> None:
    async with exchange() as here:
        here.trust()
        steps = [send(INVITE, lost=20), *ANSWERED, send(in_dialog("ACK", 1), retrans=False),
                 pause(300), send(in_dialog("BYE", 9), lost=20), receive(200)]  # fmt: skip
        done = await sipp(tmp_path, steps, *_caller(here)[:-2], "-m", "30", "-r", "15")
        assert done.code == 0, done.text
        assert len(here.desk.talks) == 30


@pytest.mark.parametrize(
    ("status", "reason", "cause"),
    [
        (486, "Busy Here", LineCause.BUSY),
        (404, "Not Found", LineCause.FAILED),
        (480, "Temporarily Unavailable", LineCause.NO_ANSWER),
        (503, "Service Unavailable", LineCause.FAILED),
        (603, "Decline", LineCause.REJECTED),
    ],
)
async def test_a_call_out_that_is_refused(
    tmp_path: Path, status: int, reason: str, cause: LineCause
) -> None:
    async with exchange() as here:
        port = free_port()
        number = here.trust(port)
        steps = [receive("INVITE"), send(response(100, "Trying"), retrans=False),
                 send(response(status, reason)), receive("ACK")]  # fmt: skip
        playing = asyncio.create_task(sipp(tmp_path, steps, "-p", str(port), "-m", "1"))
        await asyncio.sleep(0.5)
        await here.dial(number)
        assert await _ended(here) == (cause, f"SIP {status} {reason}")
        done = await playing
        assert done.code == 0, done.text


async def test_a_call_out_that_nobody_answers(tmp_path: Path) -> None:
    async with exchange() as here:
        port = free_port()
        number = here.trust(port)
        steps = [receive("INVITE"), send(response(180, "Ringing"), retrans=False),
                 receive("CANCEL"), send(response(200, "OK").replace(";tag=[pid]s[call_number]",
                 ""), retrans=False)]  # fmt: skip
        playing = asyncio.create_task(sipp(tmp_path, steps, "-p", str(port), "-m", "1"))
        await asyncio.sleep(0.5)
        await here.dial(number, ring_timeout_s=1)
        done = await playing
        assert done.code == 0, done.text


async def test_early_media_prack_and_an_answer(tmp_path: Path) -> None:
    async with exchange() as here:
        port = free_port()
        number = here.trust(port)
        early = response(183, "Session Progress", sdp=True, more="Require: 100rel\nRSeq: 17")
        ok = response(200, "OK", sdp=True).replace("[last_CSeq:]", "CSeq: 1 INVITE")
        ok = ok.replace("[last_Via:]", "Via: [$via]")
        store = (
            '<recv request="INVITE"><action><ereg regexp=".*" search_in="hdr" header="Via:" '
            'assign_to="via"/></action></recv>\n'
        )
        steps = [store, send(early, retrans=False), receive("PRACK"),
                 send(response(200, "OK").replace(";tag=[pid]s[call_number]", ""), retrans=False),
                 send(ok), receive("ACK"), pause(300), receive("BYE"),
                 send(response(200, "OK").replace(";tag=[pid]s[call_number]", ""),
                 retrans=False)]  # fmt: skip
        playing = asyncio.create_task(sipp(tmp_path, steps, "-p", str(port), "-m", "1"))
        await asyncio.sleep(0.5)
        await here.dial(number, variables={"sip_x_order_id": "A\r\nEvil: 1", "name": "Ann"})
        talk = await here.desk.talk()
        await asyncio.sleep(0.4)
        await talk.line.hang_up()
        done = await playing
        assert done.code == 0, done.text
        assert here.desk.progresses[0].stage is Stage.RINGING
