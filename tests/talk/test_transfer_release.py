"""A cold transfer for which the carrier connects the two."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.second import FakeExchange
from tests.fakes.stage import Result, Stage
from tests.talk.test_transfers import SORRY, hold, target

from chorus.lines.line import LineCause, LineEnded, LineMove, MoveRefused
from chorus.lines.loopback.line import LoopbackLine


class Releasing(LoopbackLine):
    """A line whose carrier is asked, and does what `becomes` says."""

    asked: list[str]
    becomes: LineMove | MoveRefused

    async def transfer(self, to: str) -> None:
        self.asked.append(to)
        if isinstance(self.becomes, MoveRefused):
            raise self.becomes
        loop, becomes = asyncio.get_running_loop(), self.becomes
        loop.call_later(2, self.inbox.moved, becomes)
        if becomes is LineMove.TRANSFERRED:
            loop.call_later(2.5, self.ended_at_carrier, LineEnded(LineCause.TRANSFERRED))


def released(becomes: LineMove | MoveRefused) -> tuple[Result, FakeExchange, list[str]]:
    exchange, asked = FakeExchange(), list[str]()

    async def scene(stage: Stage) -> None:
        near = stage.person.near
        near.__class__ = Releasing
        assert isinstance(near, Releasing)
        near.asked, near.becomes = asked, becomes
        if becomes is not LineMove.TRANSFERRED:
            await stage.until("reply_heard", 2)
            await stage.person.hang_up()

    return hold(scene, exchange, target("cold", release=True)), exchange, asked


def test_a_carrier_that_connects_the_two_ends_the_call_here() -> None:
    result, exchange, asked = released(LineMove.TRANSFERRED)
    assert asked == ["+15557654321"]
    assert result.ending == ("completed", "transferred")
    assert exchange.statuses == ["initiated", "ringing", "connected", "completed"]
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
