"""A call that is transferred at Telnyx, and comes back if that comes to nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.lines.telnyx.board import Board
from tests.lines.telnyx.standin import Call, Person, problem
from tests.lines.telnyx.test_calls import SOUND, feed, streaming, until_played
from tests.lines.twilio.switchboard import OURS, Talk

from chorus.lines.line import AbsentLine, LineCause, LineMove, MoveRefused, TransferableLine

THEM = "+15551112222"
RINGS = Person("silent")


async def transferred(board: Board, person: Person, to: str = THEM) -> tuple[Call, Talk]:
    """A call that is being transferred to this person, as Telnyx and Chorus see it."""
    call = board.ring()
    talk = await streaming(board, call)
    await talk.until(lambda: bool(talk.audio))
    board.telnyx.person = person
    assert isinstance(talk.line, AbsentLine)
    await talk.line.transfer(to, 45)
    return call, talk


async def test_a_transfer_is_no_hang_up(board: Board) -> None:
    to = "sip:ann@pbx.example"
    call, talk = await transferred(board, RINGS, to)
    assert call.bridged is not None
    await call.bridged.wait("webhook", event="call.initiated")
    assert not talk.ended, "before anybody answered"
    await call.bridged.pick_up()
    assert (await talk.end()).cause is LineCause.TRANSFERRED
    assert talk.moves == [LineMove.TRANSFERRED]
    command = await call.wait("command", action="transfer")
    assert (command["to"], command["from"], command["timeout_secs"]) == (to, OURS, 45)
    # The two go on talking without Chorus, until one hangs up.
    assert not call.over.is_set()
    call.bridged.hang_up()
    await call.wait("over")
    assert [action for action, _ in call.commands] == ["answer", "transfer", "streaming_stop"]


@pytest.mark.parametrize(
    "person",
    [
        Person("user_busy", "486"),
        Person("call_rejected", "603"),
        Person("timeout", "487"),
        Person("not_found", "404"),
    ],
    ids=lambda person: person.answer,
)
async def test_who_is_not_reached_brings_the_caller_back(board: Board, person: Person) -> None:
    """On a stream of its own: the same line goes on, in its own time."""
    board.telnyx.sends_twice = True
    call, talk = await transferred(board, person)
    first = call.streams[0]  # where the machine is slow, the caller is back by now
    heard = bytes(first.heard)
    talk.line.play(SOUND)  # music for somebody who does not hear it
    await talk.until(lambda: bool(talk.moves))
    assert talk.moves == [LineMove.NOT_TRANSFERRED]
    assert SOUND not in bytes(first.heard)[len(heard) :]
    assert call.stream is not None
    assert call.stream is not first
    call.stream.mic += SOUND
    await talk.until(lambda: SOUND in talk.heard)
    times = [at_ms for _, at_ms in talk.audio]
    assert times == sorted(set(times))
    await feed(talk, SOUND)
    await until_played(call, SOUND)
    assert sorted(action for action, _ in call.commands) == [
        "answer",
        "streaming_start",
        "streaming_stop",
        "transfer",
    ]
    assert first.over
    # The caller may be transferred once more.
    board.telnyx.person = Person()
    assert isinstance(talk.line, TransferableLine)
    await talk.line.transfer(THEM)
    assert (await talk.end()).cause is LineCause.TRANSFERRED
    call.hang_up()
    await call.wait("over")


async def test_a_caller_who_leaves_while_somebody_is_called_has_hung_up(board: Board) -> None:
    call, talk = await transferred(board, RINGS)
    assert call.bridged is not None
    await call.bridged.wait("webhook", event="call.initiated")
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END
    assert talk.moves == []
    await call.bridged.wait("over", cause="originator_cancel")


async def _refused(board: Board, call: Call) -> None:
    board.telnyx.faults.append(problem(500, "", "Unexpected"))


async def _does_not_arrive(board: Board, call: Call) -> None:
    call.person = Person(connects=False)


async def _is_over_here(board: Board, call: Call) -> None:
    board.desk.lines.clear()


@pytest.mark.parametrize("fails", [_refused, _does_not_arrive, _is_over_here])
async def test_a_caller_who_cannot_come_back_is_not_left_in_silence(
    board: Board, fails: Callable[[Board, Call], Awaitable[None]]
) -> None:
    call, talk = await transferred(board, RINGS)
    assert call.bridged is not None
    await call.bridged.wait("webhook", event="call.initiated")
    await fails(board, call)
    call.bridged.end("user_busy", "486")
    await call.wait("command", action="hangup")
    await call.wait("over")
    if board.desk.lines:
        assert (await talk.end()).cause is LineCause.FAR_END


async def test_a_refused_transfer_leaves_the_call(board: Board) -> None:
    call = board.ring()
    talk = await streaming(board, call)
    assert isinstance(talk.line, TransferableLine)
    board.telnyx.faults.append(problem(422, "10015", "Invalid destination"))
    with pytest.raises(MoveRefused, match="422 Invalid destination"):
        await talk.line.transfer("+15551112222")
    assert not talk.ended
    call.hang_up()
    assert (await talk.end()).cause is LineCause.FAR_END
