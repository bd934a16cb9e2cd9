"""A transfer for which the carrier connects the two: who rings, or who talk already."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.second import FakeExchange
from tests.fakes.stage import Result, Stage
from tests.talk.test_transfers import SORRY, briefed, hold, target, yes

from chorus.lines.line import Line, LineCause, LineEnded, LineMove, MoveRefused
from chorus.lines.loopback.line import LoopbackLine


class Releasing(LoopbackLine):
    """A line whose carrier is asked, and does what `becomes` says."""

    asked: list[tuple[str, int]]
    becomes: LineMove | MoveRefused

    async def transfer(self, to: str, ring_timeout_s: int = 0) -> None:
        self.asked.append((to, ring_timeout_s))
        if isinstance(self.becomes, MoveRefused):
            raise self.becomes
        loop, becomes = asyncio.get_running_loop(), self.becomes
        loop.call_later(2, self.inbox.moved, becomes)
        if becomes is LineMove.TRANSFERRED:
            loop.call_later(2.5, self.ended_at_carrier, LineEnded(LineCause.TRANSFERRED))


def released(becomes: LineMove | MoveRefused) -> tuple[Result, FakeExchange, list[tuple[str, int]]]:
    exchange, asked = FakeExchange(), list[tuple[str, int]]()

    async def scene(stage: Stage) -> None:
        near = stage.person.near
        near.__class__ = Releasing
        assert isinstance(near, Releasing)
        near.asked, near.becomes = asked, becomes
        if becomes is not LineMove.TRANSFERRED:
            await stage.until("reply_heard", 2)
            await stage.person.hang_up()

    return hold(scene, exchange, target("cold", release=True, ring_timeout_s=45)), exchange, asked


def test_a_carrier_that_connects_the_two_ends_the_call_here() -> None:
    result, exchange, asked = released(LineMove.TRANSFERRED)
    assert asked == [("+15557654321", 45)]
    assert result.ending == ("completed", "transferred")
    assert exchange.statuses == ["initiated", "ringing", "connected", "completed"]
    wish = {"name": "Sales", "type": "cold", "merge": "release"}
    assert result.of("transfer_initiated") == [wish]
    assert exchange.running is None


@pytest.mark.parametrize(
    ("becomes", "ended"),
    [
        (MoveRefused("SIP 603"), ("failed", "SIP 603")),
        (
            LineMove.NOT_TRANSFERRED,
            ("no_answer", "the carrier could not connect the caller"),
        ),
    ],
)
def test_a_carrier_that_does_not_leaves_the_caller_with_the_agent(
    becomes: LineMove | MoveRefused, ended: tuple[str, str]
) -> None:
    result, exchange, _ = released(becomes)
    assert exchange.moves[-1] == ended
    assert ("assistant", SORRY) in result.transcript
    assert result.ending == ("completed", "customer_ended")


class Joining(Releasing):
    others: list[Line]

    async def connect_with(self, other: Line) -> None:
        self.others.append(other)
        await self.transfer("")


def joined(becomes: LineMove | MoveRefused | None) -> tuple[Result, FakeExchange, list[Line]]:
    """A person takes the caller, and the carrier is to connect the two. None: it cannot."""
    exchange, others = FakeExchange(model=yes()), list[Line]()

    async def scene(stage: Stage) -> None:
        near = stage.person.near
        if becomes is not None:
            near.__class__ = Joining
            assert isinstance(near, Joining)
            near.asked, near.becomes, near.others = [], becomes, others
        person = await briefed(exchange)
        await person.says("yes, put her through")
        await stage.until("transfer_connected")
        # Until it is done, and where it is not, they hear each other here.
        await asyncio.sleep(1)
        assert exchange.call is not None
        assert person.near is exchange.call.caller.line
        if becomes is LineMove.TRANSFERRED:
            await stage.until("transfer_released")
            return
        await stage.until("transfer_bridged")
        await asyncio.sleep(3)
        await person.hang_up()

    result = hold(scene, exchange, target(release=True))
    return result, exchange, others


def test_a_carrier_that_connects_two_who_talk_ends_both_calls_here() -> None:
    result, exchange, others = joined(LineMove.TRANSFERRED)
    assert exchange.call is not None
    assert others == [exchange.call.caller.line]
    assert result.ending == ("completed", "transferred")
    assert exchange.statuses == ["initiated", "briefing", "connected", "completed"]
    assert exchange.running is not None
    assert exchange.running.result().reason == "transferred"


@pytest.mark.parametrize(
    ("becomes", "told"),
    [
        (MoveRefused("SIP 420 Bad Extension"), "SIP 420 Bad Extension"),
        (LineMove.NOT_TRANSFERRED, "the carrier could not connect the two"),
        (None, "loopback connects no two calls"),
    ],
)
def test_a_carrier_that_does_not_connect_them_leaves_them_bridged(
    becomes: LineMove | MoveRefused | None, told: str
) -> None:
    result, exchange, _ = joined(becomes)
    assert result.of("transfer_bridged") == [{"detail": told}]
    assert result.ending == ("completed", "transferred")
    assert exchange.statuses[-2:] == ["connected", "completed"]
    assert exchange.running is not None
    assert exchange.running.result().reason == "customer_ended"


def test_who_hangs_up_while_the_carrier_is_asked_ends_both() -> None:
    exchange = FakeExchange(model=yes())

    async def scene(stage: Stage) -> None:
        near = stage.person.near
        near.__class__ = Joining
        assert isinstance(near, Joining)
        near.asked, near.becomes, near.others = [], LineMove.TRANSFERRED, []
        person = await briefed(exchange)
        await person.says("yes, put her through")
        await stage.until("transfer_connected")
        await asyncio.sleep(1)
        await stage.person.hang_up()

    result = hold(scene, exchange, target(release=True))
    assert exchange.statuses[-2:] == ["connected", "completed"]
    assert result.of("transfer_released") == []
    assert exchange.running is not None
    assert exchange.running.result().reason == "caller_ended"
