"""Calls that nobody holds any more, and the end that they are given.

Each call that rings or is talked on names the process that holds it (`lease_owner`), and lives as
long as that does: `Keeper.run` counts this process's heartbeat on, once for all its calls,
and sees to what others left:

1. A process whose heartbeat has stopped is dead, and one of this data folder that has lost the lock
   on its name (`durable/identity.py`). Its calls end as `worker_lost`, with what was said
   until then (`lost.py`), and are hung up at their carriers, which is durable work; what it had
   begun of such work goes back into the queues. Any living process ends the calls, and several
   may; the durable work is for those with the role `work`. One that its carrier was to connect with
   somebody else may go on there (`lost_release.py`).
2. A call that this process should hold but does not, because something in it broke, ends so too.
3. A call that was dialled or announced, and of which the carrier has said nothing since, ends as
   `provider_error`: no conversation will come of it. One from a browser that nobody has taken up
   ends as not answered, much sooner.

A call behind its fence may have rung: it is ended, never dialled again. One that only waits in
line is left there. All time is measured as in `durable/pulse.py`: no clock on the wall is asked.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.calls import lost, lost_release
from chorus.calls.room import TAKES_ROOM
from chorus.calls.status import Final
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.durable.heartbeat import BEAT_S
from chorus.durable.pulse import Stillness
from chorus.durable.tables import Executor
from chorus.lines.browser.line import PROVIDER
from chorus.settings import Settings

log = logging.getLogger(__name__)

ROUND_S = BEAT_S
UNHELD_S = 20.0
_HOLDER_DEAD = "the server that held the call died, or was cut off from the database"
SILENT_S = 240.0
"""Longer than any carrier lets a telephone ring."""
NOT_COME_S = 75.0
"""Longer than the token of a browser's call is good for."""

_RINGS = sa.and_(TAKES_ROOM, CallRow.status.in_(("queued", "ringing")))
_TALKS = sa.and_(TAKES_ROOM, CallRow.status == "in_progress")


async def end_own_calls(switchboard: Switchboard) -> int:
    """When a process starts: what it held the last time is lost. Returns how many ended so."""
    mine = CallRow.lease_owner == switchboard.heartbeat.name
    return await _end_lost(
        switchboard, mine, "the server was started again in the middle of the call"
    )


async def let_go(switchboard: Switchboard) -> None:
    """When a process stops in order: a call that still rings may be answered to another, or to
    this one when it is back."""
    async with switchboard.database.writing() as session:
        await session.execute(
            sa.update(CallRow)
            .where(
                _RINGS,
                CallRow.lease_owner == switchboard.heartbeat.name,
                CallRow.call_sid.is_not(None),
            )
            .values(lease_owner=None)
        )


def no_audio(settings: Settings, answered_s: int | None = None) -> str:
    """What to check when a carrier answered a call whose audio never came."""
    lasted = "" if answered_s is None else f" for {answered_s} s"
    url = settings.media_base
    return (
        f"The call was answered{lasted}, but its audio never reached this server at {url}. Check "
        "that the public URL can be reached from the internet over https and wss, that a proxy in "
        "front passes websockets, and that no firewall is in the way"
    )


class Keeper:
    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._unheld: Stillness[uuid.UUID] = Stillness(2 * ROUND_S)
        self._silent: Stillness[uuid.UUID] = Stillness(2 * ROUND_S)

    async def run(self) -> None:
        """For ever; started once by the application."""
        failures = 0
        while True:
            await asyncio.sleep(ROUND_S)
            try:
                await self.round()
                failures = 0
            except (SQLAlchemyError, OSError) as failure:
                failures += 1
                if failures == 1:
                    log.error("this process cannot show that it lives: %s", failure)
            except Exception:
                # The heartbeat has to go on, whatever else a round runs into.
                log.exception("a look after lost calls failed")

    async def round(self) -> None:
        switchboard = self._switchboard
        if not await switchboard.heartbeat.beat():
            self._given_up()
        dead = await switchboard.heartbeat.dead()
        for name in switchboard.heartbeat.others:
            with switchboard.identity.vacant(name) as vacant:
                if vacant or name in dead:
                    await self._look_after(name)
        ownerless = sa.or_(
            CallRow.lease_owner.not_in(sa.select(Executor.id)),
            sa.and_(CallRow.status == "in_progress", CallRow.lease_owner.is_(None)),
        )
        await _end_lost(switchboard, ownerless, _HOLDER_DEAD)
        await self._end_unheld()
        await self._end_silent()

    async def _look_after(self, name: str) -> None:
        """What a dead process has left."""
        switchboard = self._switchboard
        await _end_lost(switchboard, CallRow.lease_owner == name, _HOLDER_DEAD)
        if "work" in switchboard.settings.roles:
            log.warning("process %s is dead: its calls ended, its work is taken over", name)
            await switchboard.durable.take_over(name)
            await switchboard.heartbeat.bury(name)

    def _given_up(self) -> None:
        """Others have ended what this process held; going on would be a second truth."""
        held = list(self._switchboard.live.values())
        log.error("this process had been given up for dead, %d calls are ended", len(held))
        for call in held:
            call.hang_up("worker_lost", "the server lost its lease")

    async def _end_unheld(self) -> None:
        switchboard = self._switchboard
        async with switchboard.database.reading() as session:
            mine = await session.scalars(
                sa.select(CallRow.id).where(
                    _TALKS, CallRow.lease_owner == switchboard.heartbeat.name
                )
            )
            unheld = {id: None for id in mine if id not in switchboard.live}
        over = _over(self._unheld.look(unheld), UNHELD_S)
        if over:
            detail = "a fault of the server ended it; the log says which"
            # Among them any of which nobody could find out in time where its carrier has it.
            await _end_lost(switchboard, CallRow.id.in_(over), detail, ask=False)

    async def _end_silent(self) -> None:
        switchboard = self._switchboard
        async with switchboard.database.reading() as session:
            found = await session.execute(
                sa.select(CallRow.id, CallRow.status, CallRow.direction, CallRow.provider).where(
                    _RINGS
                )
            )
            ringing = found.all()
        still_s = self._silent.look({row.id: row.status for row in ringing})
        over = _over(still_s, SILENT_S)
        for direction, detail in (
            ("outbound", "the carrier said nothing more of the call"),
            # It was taken, and its carrier told where the audio is to go.
            ("inbound", no_audio(switchboard.settings)),
        ):
            silent = [row.id for row in ringing if row.id in over and row.direction == direction]
            if silent:
                await _end(switchboard, CallRow.id.in_(silent), "failed", "provider_error", detail)
        over = _over(still_s, NOT_COME_S)
        expected = [row.id for row in ringing if row.id in over and row.provider == PROVIDER]
        if expected:
            detail = "no browser connected"
            await _end(switchboard, CallRow.id.in_(expected), "no_answer", "no_answer", detail)


def _over(still_s: Mapping[uuid.UUID, float], limit_s: float) -> list[uuid.UUID]:
    return [id for id, still in still_s.items() if still >= limit_s]


async def _end_lost(
    switchboard: Switchboard, which: sa.ColumnElement[bool], detail: str, *, ask: bool = True
) -> int:
    """End those that nobody holds. `ask`: where only a carrier knows whether it goes on with a
    call, it is asked, and the call ends a moment later."""
    lost_now = 0
    for call_id, organization_id in await _found(switchboard, which):
        async with switchboard.database.writing() as session:
            fate = await lost_release.fate(session, switchboard, call_id)
            if fate == "unknown" and ask:
                await lost_release.ask(session, switchboard, call_id, which)
            elif fate == "released":
                await lost_release.end_released(session, switchboard, call_id, which)
            else:
                lost_now += await lost.end_lost(
                    session,
                    switchboard,
                    call_id,
                    organization_id,
                    lost_release.UNDECIDED if fate == "unknown" else detail,
                    only_if=(which,),
                )
    _tell(lost_now, "worker_lost")
    return lost_now


async def _end(
    switchboard: Switchboard,
    which: sa.ColumnElement[bool],
    status: Final,
    reason: str,
    detail: str,
) -> None:
    ended = 0
    for call_id, organization_id in await _found(switchboard, which):
        async with switchboard.database.writing() as session:
            ended += await lost.end_lost(
                session,
                switchboard,
                call_id,
                organization_id,
                detail,
                status=status,
                reason=reason,
                only_if=(which,),
            )
    _tell(ended, reason)


async def _found(
    switchboard: Switchboard, which: sa.ColumnElement[bool]
) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """The calls and their organizations. Each is ended in a transaction of its own, and only if it
    still is as it was found; one after another, since two ends of a transfer write to each other's
    rows."""
    async with switchboard.database.reading() as session:
        found = await session.execute(
            sa.select(CallRow.id, CallRow.organization_id).where(TAKES_ROOM, which)
        )
        return [(id, organization_id) for id, organization_id in found]


def _tell(ended: int, reason: str) -> None:
    if ended:
        log.warning("%d calls ended as %s: nobody held them any more", ended, reason)
