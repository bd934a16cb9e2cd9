"""`SipLine` over a session that is played here: what a listener hears of holds and transfers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from tests.lines.sip.exchange import Talk

from chorus.audio.frame import MULAW_8K
from chorus.audio.pace import Ticker
from chorus.lines.line import (
    HoldableLine,
    JoinableLine,
    LineCause,
    LineEnded,
    LineMove,
    MoveRefused,
    TransferableLine,
)
from chorus.lines.loopback.line import pair
from chorus.lines.sip import line as sip_line
from chorus.lines.sip.line import SipLine
from chorus.lines.sip.media.ports import MediaPorts
from chorus.lines.sip.negotiate import Agreed
from chorus.lines.sip.refer import Reported
from chorus.lines.sip.sdp import Direction, Format
from chorus.lines.sip.session import Session
from chorus.lines.sip.uri import Uri

BOSS = "sip:boss@192.0.2.9"


class Played:
    """In place of a session: what it was asked for, and the way to answer."""

    def __init__(self) -> None:
        self.byes = 0
        self.line: SipLine | None = None
        self.target: Uri | None = None
        self.report: Reported | None = None
        self.replaces: object = None
        remote = SimpleNamespace(uri=Uri.sip("them", "192.0.2.1"))
        self.dialog = SimpleNamespace(remote=remote)

    def refer(self, target: Uri, report: Reported, *, replaces: object = None) -> None:
        self.target, self.report, self.replaces = target, report, replaces

    def offer(self, direction: Direction, told: object) -> None: ...

    def bye(self, reason: str = "") -> None:
        self.byes += 1
        assert self.line is not None
        self.line.ended(LineEnded(LineCause.LOCAL))


def agreed(direction: Direction) -> Agreed:
    return Agreed(Format(0, "PCMU", 8000), None, "127.0.0.1", 9, 10, direction, 20)


async def call() -> tuple[SipLine, Played, Talk]:
    socket = await MediaPorts(23000, 23100).open("127.0.0.1")
    line, session = SipLine("leg", socket, Ticker()), Played()
    session.line = line
    line.media(agreed("sendrecv"))
    line.answer(cast("Session", session))
    talk = Talk(line)
    line.start(talk)
    return line, session, talk


async def transferred(line: SipLine, session: Played, *statuses: int) -> None:
    """The transfer was taken, and this became of it."""
    asking = asyncio.ensure_future(line.transfer(BOSS))
    await asyncio.sleep(0)
    assert session.report is not None
    session.report(202, False)
    await asking
    for status in statuses:
        session.report(status, True)


async def test_a_transfer_that_succeeds_ends_the_call_as_transferred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sip_line, "LET_GO_S", 0.01)
    line, session, talk = await call()
    assert isinstance(line, TransferableLine)
    assert isinstance(line, HoldableLine)
    await transferred(line, session, 200)
    assert talk.moves == [LineMove.TRANSFERRED]
    # They wait for our goodbye (RFC 5589 §6.1).
    async with asyncio.timeout(20):
        assert await talk.ended == LineEnded(LineCause.TRANSFERRED)
    assert session.byes == 1
    with pytest.raises(MoveRefused):
        await line.transfer(BOSS)


async def test_a_goodbye_after_a_transfer_is_no_hang_up() -> None:
    line, session, talk = await call()
    await transferred(line, session, 200)
    line.ended(LineEnded(LineCause.FAR_END))
    assert (await talk.ended).cause is LineCause.TRANSFERRED
    assert session.byes == 0


async def test_a_transfer_that_fails_later_leaves_the_call_as_it_is() -> None:
    line, session, talk = await call()
    await transferred(line, session, 486)
    assert talk.moves == [LineMove.NOT_TRANSFERRED]
    assert not line.over
    line.ended(LineEnded(LineCause.FAR_END))
    assert (await talk.ended).cause is LineCause.FAR_END


async def test_a_transfer_of_which_nobody_tells_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sip_line, "TOLD_S", 0.05)
    line, session, talk = await call()
    asking = asyncio.ensure_future(line.transfer(BOSS, 0))
    await asyncio.sleep(0)
    assert session.report is not None
    session.report(202, False)
    await asking
    async with asyncio.timeout(20):
        while not talk.moves:
            await asyncio.sleep(0.01)
    assert talk.moves == [LineMove.NOT_TRANSFERRED]
    session.report(486, True)  # the news comes late, and is none
    assert talk.moves == [LineMove.NOT_TRANSFERRED]
    assert not line.over
    # Whoever answers all the same has the caller.
    await transferred(line, session, 200)
    assert talk.moves == [LineMove.NOT_TRANSFERRED, LineMove.TRANSFERRED]
    line.ended(LineEnded(LineCause.FAR_END))


async def test_two_calls_are_joined_in_place_of_the_second() -> None:
    line, session, talk = await call()
    other, others, _ = await call()
    assert isinstance(line, JoinableLine)
    asking = asyncio.ensure_future(line.connect_with(other))
    await asyncio.sleep(0)
    assert session.report is not None
    assert session.replaces is others
    assert session.target == others.dialog.remote.uri
    session.report(202, False)
    await asking
    session.report(200, True)
    assert talk.moves == [LineMove.TRANSFERRED]
    line.ended(LineEnded(LineCause.FAR_END))
    assert (await talk.ended).cause is LineCause.TRANSFERRED
    assert not other.over
    await other.hang_up()
    with pytest.raises(MoveRefused, match="over"):
        await line.connect_with(other)


async def test_what_cannot_be_joined_stays_as_it_is() -> None:
    line, session, talk = await call()
    other, _, _ = await call()
    with pytest.raises(MoveRefused, match="not by SIP"):
        await line.connect_with(pair(MULAW_8K)[0])
    asking = asyncio.ensure_future(line.connect_with(other))
    await asyncio.sleep(0)
    assert session.report is not None
    session.report(420, True)
    with pytest.raises(MoveRefused, match="SIP 420"):
        await asking
    assert talk.moves == []
    assert not line.over
    assert not other.over


async def test_silence_on_hold_is_no_dead_line() -> None:
    line, _, _ = await call()
    now_s = asyncio.get_running_loop().time()
    line.media(agreed("inactive"))
    assert line.silent_s(now_s + 600) == 0
    line.media(agreed("sendrecv"))
    assert line.silent_s(asyncio.get_running_loop().time() + 30) == pytest.approx(30, abs=1)
    await line.hang_up()


async def test_a_hold_by_the_other_side_is_told_once() -> None:
    line, _, talk = await call()
    # Who only listens hears us all the same.
    for direction in ("sendonly", "recvonly", "inactive", "sendrecv", "sendrecv"):
        line.media(agreed(direction))
    assert talk.moves == [LineMove.HELD, LineMove.RESUMED]
    await line.hang_up()
    assert (await talk.ended).cause is LineCause.LOCAL
