"""What people do to a call while it is talked on, from whichever process they ask.

`send` refuses what is for a call that nobody talks on. If the call is held here it is done as
soon as the request's transaction is committed. If another process holds it, a row of
`call_commands` is written instead, and `Commands.run` of that process finds it: it looks when it is
told to (`news.py`), and now and then while it has live calls, one query for all of them. It takes
rows by deleting them, commits, and does what they say, so each is done at most once, and what was
said to whom stays nowhere but in the call's timeline. What is for a call that has ended meanwhile
is dropped.

What a carrier says of a call goes the same way (`pass_on`), to whichever process its webhook came;
of a call that is not answered yet it waits for whoever will hold it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.agents.snapshot import transfer_target
from chorus.calls import queries
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallCommand, CallRow
from chorus.db import Database, after_commit
from chorus.lines.line import AbsentLine, LineCause, LineEnded
from chorus.talk.call import Call
from chorus.talk.transfer import Wish

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
LOOK_SELDOM_S = 1.0
"""Where news of other processes arrive at once."""
RETRY_S = 2.0
TIMEOUT_S = 10.0

Verb = Literal["hang_up", "say", "advise", "transfer", "press_keys", "supervise"]
News = Literal["answered_by", "line_over", "line_transferred"]


async def send(
    session: AsyncSession,
    switchboard: Switchboard,
    organization_id: uuid.UUID,
    call_id: uuid.UUID,
    verb: Verb,
    text: str,
) -> None:
    """Have the process that holds the call do `verb`. Raises `Error` 404, or 409 `call_not_live`
    if nobody talks on it."""
    row = await queries.one(session, organization_id, call_id)
    if row.status != "in_progress":
        raise errors.conflict("call_not_live", _why_not(row))
    call = switchboard.live.get(call_id)
    if call is not None:
        after_commit(session, lambda: _do(switchboard, call, verb, text))
    else:
        session.add(
            CallCommand(organization_id=organization_id, call_id=call_id, verb=verb, text=text)
        )
        await switchboard.news.tell(session, "commands")


async def pass_on(
    switchboard: Switchboard, row: CallRow, news: News, told: Mapping[str, Any]
) -> None:
    """Have the process that holds the call, or will hold it, take note of what its carrier said:
    `answered_by` {who, found, messageEnded}, `line_over` {legId, cause, detail},
    `line_transferred` {legId}."""
    text = orjson.dumps(told).decode()
    call = switchboard.live.get(row.id)
    if call is not None:
        _do(switchboard, call, news, text)
    elif row.ended_at is None:
        async with switchboard.database.writing() as session:
            session.add(
                CallCommand(
                    organization_id=row.organization_id, call_id=row.id, verb=news, text=text
                )
            )
            await switchboard.news.tell(session, "commands")
    else:
        log.info("call %s was over when its carrier said: %s %s", row.id, news, text)


def transfer_text(target: Mapping[str, Any], reason: str) -> str:
    """What `transfer` is told: a target as agents store it, and what the person is to know."""
    return orjson.dumps({"target": target, "reason": reason}).decode()


def _why_not(row: CallRow) -> str:
    if row.ended_at is not None:
        return f"The call is over: it is {row.status}"
    if row.dialled_at is None and row.direction == "outbound":
        return f"The call is still queued: POST /v1/calls/{row.id}/cancel takes it back"
    return "The call was not answered yet"


class Commands:
    """Does what other processes have left for the calls of this one."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    async def run(self) -> None:
        """For ever; started once by the application."""
        failures = 0
        while True:
            await self._wait(failures)
            if not self._switchboard.live:
                continue
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    commands = await self._take()
                failures = 0
            except (SQLAlchemyError, OSError) as failure:
                failures += 1
                if failures == 1:
                    log.error("commands to calls wait for the database: %s", failure)
                continue
            for command in commands:
                self._apply(command)

    async def _wait(self, failures: int) -> None:
        """For news, or for the time to look without any."""
        news = self._switchboard.news
        if failures:
            await asyncio.sleep(RETRY_S)
            return
        told = news.events["commands"]
        try:
            async with asyncio.timeout(LOOK_SELDOM_S if news.arrives else LOOK_EVERY_S):
                await told.wait()
        except TimeoutError:
            return
        told.clear()

    async def _take(self) -> Sequence[CallCommand]:
        """In their order. They are gone from the table, and so nobody else's."""
        switchboard = self._switchboard
        async with switchboard.database.reading() as session:
            found = await session.execute(
                sa.select(CallCommand.id, CallCommand.call_id, CallRow.ended_at)
                .join(CallRow, CallRow.id == CallCommand.call_id)
                .where(
                    sa.or_(
                        CallRow.lease_owner == switchboard.heartbeat.name,
                        CallRow.ended_at.is_not(None),
                    )
                )
            )
            # One that was answered a moment ago is not in `live` yet: its commands wait for it.
            ids = [
                id
                for id, call_id, ended_at in found
                if call_id in switchboard.live or ended_at is not None
            ]
        if not ids:
            return ()
        async with switchboard.database.writing() as session:
            taken = await session.scalars(
                sa.delete(CallCommand).where(CallCommand.id.in_(ids)).returning(CallCommand)
            )
            return sorted(taken.all(), key=lambda command: command.id)

    def _apply(self, command: CallCommand) -> None:
        call = self._switchboard.live.get(command.call_id)
        if call is None:
            log.info("call %s ended before it was told to %s", command.call_id, command.verb)
        else:
            _do(self._switchboard, call, command.verb, command.text)


def _do(switchboard: Switchboard, call: Call, verb: str, text: str) -> None:
    try:
        match verb:
            case "hang_up":
                call.hang_up("operator_ended", text)
            case "say":
                call.say(text)
            case "advise":
                call.advise(text)
            case "supervise":
                told = orjson.loads(text)
                call.supervisors.set_mode(told["id"], told["mode"])
            case "press_keys":
                call.press_keys(text)
            case "transfer":
                told = orjson.loads(text)
                call.transfer(Wish(transfer_target(told["target"]), told["reason"], by="api"))
            case "answered_by":
                told = orjson.loads(text)
                call.answered_by(
                    told["who"], found=told["found"], message_ended=told["messageEnded"]
                )
            case "line_over":
                told = orjson.loads(text)
                line = switchboard.line(call.provider, told["legId"])
                if line is not None:
                    line.ended_at_carrier(LineEnded(LineCause(told["cause"]), told["detail"]))
            case "line_transferred":
                line = switchboard.line(call.provider, orjson.loads(text)["legId"])
                if isinstance(line, AbsentLine):
                    line.transferred_at_carrier()
            case _:
                # Written by a process of another version.
                log.error("call %s was told to %r, which is unknown", call.spec.call_id, verb)
    except Exception:
        # The one who asked has been answered, and other calls wait for theirs.
        log.exception("call %s: to %s failed", call.spec.call_id, verb)


async def sweep(database: Database) -> None:
    """Delete what is left of calls whose process died."""
    # Of each command its call: there are few commands, if any. By a list of ids, all calls that
    # ever ended would be read for it.
    over = sa.exists().where(CallRow.id == CallCommand.call_id, CallRow.ended_at.is_not(None))
    async with database.writing() as session:
        await session.execute(
            sa.delete(CallCommand).where(over).execution_options(synchronize_session=False)
        )
