"""Two calls that are talked on are connected by jambonz in a conference, and Chorus leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse
from tests.lines.jambonz.board import Board
from tests.lines.jambonz.standin_call import Call
from tests.lines.twilio.switchboard import OURS, Talk

from chorus.lines.line import Dial, JoinableLine, LineCause, LineMove, MoveRefused

COLLEAGUE = "+15551116666"
SOUND = b"a sentence of theirs"
GUARD_S = 20
REFUSED = {"msg": "call session is gone"}


class Two:
    """A caller and the person who is to have them: at Chorus, and at jambonz."""

    def __init__(self, caller: Talk, calls: Call, person: Talk, called: Call) -> None:
        self.caller, self.calls = caller, calls
        self.person, self.called = person, called

    def connected(self) -> Awaitable[None]:
        assert isinstance(self.caller.line, JoinableLine)
        return self.caller.line.connect_with(self.person.line)

    async def over(self) -> None:
        for call in (self.calls, self.called):
            await call.wait("over", GUARD_S, status="completed")

    async def in_conference(self) -> None:
        await self.called.wait("joined", GUARD_S, members=1)
        await self.calls.wait("joined", GUARD_S, members=2)


@pytest_asyncio.fixture
async def two(board: Board) -> Two:
    calls = board.ring()
    caller = await board.desk.talk()
    called = await board.dial(Dial("out-1", COLLEAGUE, OURS))
    person = await board.desk.talk()
    for talk in (caller, person):
        await talk.until(lambda talk=talk: bool(talk.audio))
    return Two(caller, calls, person, called)


async def still_heard(*talks: Talk) -> None:
    for talk in talks:
        heard = len(talk.audio)
        await talk.until(lambda talk=talk, heard=heard: len(talk.audio) > heard + 3)
        assert not talk.ended


async def released(*talks: Talk) -> None:
    for talk in talks:
        assert (await talk.end()).cause is LineCause.TRANSFERRED
        assert talk.moves[-1] is LineMove.TRANSFERRED


async def test_both_go_to_a_conference_and_hear_each_other_there(board: Board, two: Two) -> None:
    await two.connected()
    await released(two.caller, two.person)
    await two.in_conference()
    verbs = [await call.wait("verb", verb="conference") for call in (two.calls, two.called)]
    assert verbs[0]["name"] == verbs[1]["name"]
    two.called.say(SOUND)
    assert bytes(two.calls.heard_there) == SOUND
    assert not two.called.heard_there
    board.desk.updates.clear()
    two.called.hang_up()
    await two.over()
    # How both ended is told, of the one whom jambonz let go as well.
    await board.desk.until(lambda: len({u.leg_id for u in board.desk.updates if u.ended}) == 2)
    assert all(u.answered_s is not None for u in board.desk.updates if u.ended)


async def test_a_person_who_is_not_moved_stays_where_they_are(board: Board, two: Two) -> None:
    board.jambonz.faults.append(JSONResponse(REFUSED, 422))
    with pytest.raises(MoveRefused, match="call session is gone"):
        await two.connected()
    await still_heard(two.caller, two.person)
    await two.connected()
    await released(two.caller, two.person)
    await two.in_conference()
    two.calls.hang_up()
    await two.over()


async def test_a_command_that_was_taken_and_not_carried_out_moves_nobody(
    board: Board, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jambonz has said 202, and cannot reach Chorus when it asks what to do."""
    monkeypatch.setattr("chorus.lines.jambonz.stream.MOVED_S", 0.5)
    board.jambonz.unreachable = "/conference/"
    with pytest.raises(MoveRefused, match="did not move the call"):
        await two.connected()
    await still_heard(two.caller, two.person)
    monkeypatch.undo()
    board.jambonz.unreachable = ""
    await two.connected()
    await two.in_conference()
    two.called.hang_up()
    await two.over()


@pytest.mark.parametrize("done", [True, False])
async def test_a_command_without_a_clear_answer_may_have_been_carried_out(
    board: Board, two: Two, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not given again: who is sent to a conference twice leaves it, and ends it."""
    if done:
        board.jambonz.unsure = True
        await two.connected()
        await two.in_conference()
        two.calls.hang_up()
    else:
        monkeypatch.setattr("chorus.lines.jambonz.stream.MOVED_S", 0.5)
        board.jambonz.faults.append(JSONResponse({"msg": "no feature server"}, 503))
        with pytest.raises(MoveRefused):
            await two.connected()
        await still_heard(two.caller, two.person)
        for talk in (two.caller, two.person):
            await talk.line.hang_up()
    await two.over()
    assert len([kind for kind, _ in two.called.events if kind == "joined"]) == int(done)


async def test_a_person_comes_back_from_where_the_caller_does_not_follow(
    board: Board, two: Two
) -> None:
    board.jambonz.refuses = two.calls.sid
    with pytest.raises(MoveRefused, match="call session is gone"):
        await two.connected()
    await two.person.until(lambda: two.person.moves == [LineMove.NOT_TRANSFERRED])
    await still_heard(two.caller, two.person)
    assert two.caller.moves == []
    # And once more, with more luck.
    board.jambonz.refuses = ""
    await two.connected()
    await released(two.caller, two.person)
    await two.in_conference()
    two.calls.hang_up()
    await two.over()


async def test_a_person_who_does_not_come_back_is_let_go(
    board: Board, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chorus.lines.conference.BACK_S", 0.3)
    board.jambonz.refuses, board.jambonz.unreachable = two.calls.sid, "/back/"
    with pytest.raises(MoveRefused):
        await two.connected()
    assert (await two.person.end()).cause is LineCause.FAR_END
    await two.called.wait("over", status="completed")
    await still_heard(two.caller)
    await two.caller.line.hang_up()
    await two.over()


@pytest.mark.parametrize("who", ["caller", "person"])
async def test_who_hangs_up_while_jambonz_is_asked_leaves_nobody_alone(
    board: Board, two: Two, who: str
) -> None:
    """Whichever comes first: both calls are over at jambonz, or it tells of the end of the one
    that left, upon which `calls/released.py` ends the other."""
    leaves, stays = (two.calls, two.called) if who == "caller" else (two.called, two.calls)
    joining = asyncio.ensure_future(two.connected())
    await asyncio.sleep(0)
    leaves.hang_up()
    [asked] = await asyncio.gather(joining, return_exceptions=True)
    assert asked is None or isinstance(asked, MoveRefused)
    await leaves.wait("over", status="completed")
    if not two.caller.ended and not two.person.ended:
        ends = [asyncio.create_task(talk.end()) for talk in (two.caller, two.person)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    # As a call does, one of whose two lines has ended.
    for talk in (two.caller, two.person):
        await talk.line.hang_up()
    if stays.sid in board.jambonz.calls:
        await board.desk.until(
            lambda: leaves.sid in {u.leg_id for u in board.desk.updates if u.ended}
        )
        await board.carrier.end(board.desk.connection, stays.sid)
    await two.over()


async def test_a_call_that_is_given_up_meanwhile_ends_both(board: Board, two: Two) -> None:
    """The operator hangs up while the caller is to follow the person."""
    board.jambonz.faults += [0.0, 1.0]
    joining = asyncio.ensure_future(two.connected())
    await two.called.wait("joined")
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    for talk in (two.caller, two.person):
        await talk.line.hang_up()
    await two.over()
