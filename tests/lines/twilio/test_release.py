"""Two calls that are talked on are connected by the carrier, and Chorus leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial

import pytest
import pytest_asyncio
from tests.lines.twilio.switchboard import OURS, THEIRS, Switchboard, Talk

from chorus.demo.carrier.client import CarrierCall, CarrierClient
from chorus.demo.carrier.person import HangUp, Person, Say
from chorus.demo.carrier.sound import audible
from chorus.lines.carrier import CarrierFailed
from chorus.lines.line import Dial, JoinableLine, LineCause, LineMove, MoveRefused

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLLEAGUE = "+15551116666"
REFUSES = '{"code": 20001, "message": "Not today", "status": 400}'


class Two:
    """A caller and the person who is to have them: at Chorus, and at the carrier."""

    def __init__(self, caller: Talk, calls: CarrierCall, person: Talk, called: CarrierCall) -> None:
        self.caller, self.calls = caller, calls
        self.person, self.called = person, called

    def connected(self) -> Awaitable[None]:
        assert isinstance(self.caller.line, JoinableLine)
        return self.caller.line.connect_with(self.person.line)

    async def over(self) -> None:
        for call in (self.calls, self.called):
            await call.wait("call.over", status="completed")

    async def in_conference(self, call: CarrierCall) -> None:
        await call.wait("conference.joined")


@pytest_asyncio.fixture(loop_scope="module")
async def two(board: Switchboard, carrier: CarrierClient) -> Two:
    calls = await carrier.call(OURS, THEIRS)
    caller = await board.desk.talk()
    await carrier.expect(COLLEAGUE, Person(ring_ms=20))
    sid = await board.dial(Dial(f"out-{calls.sid[-6:]}", COLLEAGUE, OURS))
    person = await board.desk.talk()
    for talk in (caller, person):
        await talk.until(lambda talk=talk: bool(talk.audio))
    return Two(caller, calls, person, carrier.placed(sid))


async def test_both_go_to_a_conference_and_hear_each_other_there(
    board: Switchboard, two: Two
) -> None:
    await two.connected()
    for talk in (two.caller, two.person):
        assert (await talk.end()).cause is LineCause.TRANSFERRED
        assert talk.moves == [LineMove.TRANSFERRED]
    await two.in_conference(two.calls)
    await two.in_conference(two.called)
    await two.called.do(Say(sound="tone", ms=300, name="hello"))
    await two.called.wait("said.ended")
    async with asyncio.timeout(20):
        while not audible(await two.calls.heard()):
            await asyncio.sleep(0.05)
    # Who asks is told so.
    ours = board.desk.connection
    joined = partial(board.carrier.has_connected, ours, two.caller.call_id, two.calls.sid)
    assert await joined(two.called.sid)
    assert not await joined("CA" + "0" * 32)
    assert await board.carrier.lasted_s(ours, two.called.sid) is None
    board.desk.updates.clear()
    await two.called.do(HangUp())
    await two.over()
    assert not await joined(two.called.sid)
    # How both ended is told, of the one that came in as well.
    await board.desk.until(lambda: len({u.leg_id for u in board.desk.updates if u.ended}) == 2)
    for update in board.desk.updates:
        if update.ended:
            assert update.answered_s is not None
            assert await board.carrier.lasted_s(ours, update.leg_id) == update.answered_s
    with pytest.raises(CarrierFailed, match="was not found"):
        await board.carrier.lasted_s(ours, "CA" + "0" * 32)


@pytest.mark.parametrize("body", [REFUSES, "gone"])
async def test_a_person_who_is_not_moved_stays_where_they_are(
    carrier: CarrierClient, two: Two, body: str
) -> None:
    await carrier.fault(status=400 if body == REFUSES else 503, body=body, times=2)
    with pytest.raises(MoveRefused):
        await two.connected()
    if body == REFUSES:  # which was asked once
        with pytest.raises(MoveRefused):
            await two.connected()
    await still_heard(two.caller, two.person)
    await two.connected()
    assert (await two.caller.end()).cause is LineCause.TRANSFERRED
    await two.calls.do(HangUp())
    await two.over()


async def still_heard(*talks: Talk) -> None:
    for talk in talks:
        heard = len(talk.audio)
        await talk.until(lambda talk=talk, heard=heard: len(talk.audio) > heard + 3)
        assert not talk.ended


async def test_a_person_comes_back_from_where_the_caller_does_not_follow(
    carrier: CarrierClient, two: Two
) -> None:
    await carrier.fault(status=400, body=REFUSES, after=1)
    with pytest.raises(MoveRefused, match="Not today"):
        await two.connected()
    await two.in_conference(two.called)
    await two.person.until(lambda: two.person.moves == [LineMove.NOT_TRANSFERRED])
    await still_heard(two.caller, two.person)
    assert two.caller.moves == []
    # And once more, with more luck.
    await two.connected()
    assert (await two.person.end()).cause is LineCause.TRANSFERRED
    await two.calls.do(HangUp())
    await two.over()


async def test_a_person_who_does_not_come_back_is_let_go(
    carrier: CarrierClient, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    await carrier.fault(status=400, body=REFUSES, times=2, after=1)
    with pytest.raises(MoveRefused):
        await two.connected()
    assert (await two.person.end()).cause is LineCause.FAR_END
    await two.called.wait("call.over", status="completed")
    await still_heard(two.caller)
    await two.caller.line.hang_up()
    await two.over()


@pytest.mark.parametrize("who", ["caller", "person"])
async def test_who_hangs_up_while_the_carrier_is_asked_leaves_nobody_alone(
    board: Switchboard, two: Two, who: str
) -> None:
    """Whichever comes first: both calls are over at the carrier, or it tells of the end of the one
    that left, upon which `calls/released.py` ends the other."""
    leaves = two.calls if who == "caller" else two.called
    asked, _ = await asyncio.gather(two.connected(), leaves.do(HangUp()), return_exceptions=True)
    assert asked is None or isinstance(asked, MoveRefused)
    await leaves.wait("call.over", status="completed")
    if not two.caller.ended and not two.person.ended:
        await asyncio.wait(
            [asyncio.create_task(talk.end()) for talk in (two.caller, two.person)],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=5,
        )
    # As a call does, one of whose two lines has ended.
    for talk in (two.caller, two.person):
        await talk.line.hang_up()
    stays = two.called if who == "caller" else two.calls
    if (await stays.look())["status"] == "in-progress":
        await board.desk.until(
            lambda: leaves.sid in {u.leg_id for u in board.desk.updates if u.ended}
        )
        await board.carrier.end(board.desk.connection, stays.sid)
    await two.over()


async def test_a_call_that_is_given_up_meanwhile_ends_both(
    carrier: CarrierClient, two: Two
) -> None:
    """The operator hangs up while the caller is to follow the person."""
    await carrier.fault(status=503, body=UNSURE, delay_s=2, after=1)
    joining = asyncio.ensure_future(two.connected())
    await two.in_conference(two.called)
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    for talk in (two.caller, two.person):
        await talk.line.hang_up()
    await two.over()


UNSURE = '{"code": 20500, "message": "Try again", "status": 503}'
LEFT = '{"code": 21220, "message": "Call is not in-progress. Cannot redirect.", "status": 400}'
UNKNOWN = '{"code": 20404, "message": "The requested resource was not found", "status": 404}'


async def test_a_caller_whom_the_carrier_fails_to_move_once_is_moved(
    carrier: CarrierClient, two: Two
) -> None:
    await carrier.fault(status=503, body=UNSURE, after=1)
    await two.connected()
    for talk in (two.caller, two.person):
        assert (await talk.end()).cause is LineCause.TRANSFERRED
    await two.in_conference(two.calls)
    await two.in_conference(two.called)
    await two.calls.do(HangUp())
    await two.over()


async def test_a_person_comes_back_if_the_carrier_fails_to_move_the_caller_twice(
    carrier: CarrierClient, two: Two
) -> None:
    await carrier.fault(status=503, body=UNSURE, times=2, after=1)
    with pytest.raises(MoveRefused, match="Try again"):
        await two.connected()
    await two.in_conference(two.called)
    await two.person.until(lambda: two.person.moves == [LineMove.NOT_TRANSFERRED])
    await still_heard(two.caller, two.person)
    await two.caller.line.hang_up()
    await two.person.line.hang_up()
    await two.over()


@pytest.mark.parametrize(("status", "body"), [(400, LEFT), (404, UNKNOWN)], ids=["left", "unknown"])
async def test_a_person_is_not_left_where_a_caller_who_has_gone_does_not_come(
    carrier: CarrierClient, two: Two, status: int, body: str
) -> None:
    """The caller's goodbye comes only after the carrier has said that they are not there."""
    await carrier.fault(status=status, body=body, after=1)
    with pytest.raises(MoveRefused):
        await two.connected()
    await two.calls.do(HangUp())
    await two.person.until(lambda: two.person.moves == [LineMove.NOT_TRANSFERRED])
    await still_heard(two.person)
    assert (await two.caller.end()).cause is LineCause.FAR_END
    await two.person.line.hang_up()  # as a call does, when it has told them
    await two.over()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_caller_who_was_moved_without_the_carrier_saying_so_is_not_left_alone(
    carrier: CarrierClient, two: Two, times: int
) -> None:
    """Once: they are sent there again. Twice: nobody knows where they are, and both are let go."""
    await carrier.fault(status=503, body=UNSURE, times=times, after=1, done=True)
    if times == 1:
        await two.connected()
        await two.in_conference(two.calls)
        await two.in_conference(two.called)
        await two.calls.do(HangUp())
    else:
        with pytest.raises(MoveRefused):
            await two.connected()
        await two.caller.end()
        await two.person.line.hang_up()  # as a call does, one of whose two lines has ended
    await two.over()
