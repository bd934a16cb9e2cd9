"""An answered call, from its line to its record: the one path that all carriers join.

`claim` checks the token that a stream shows; `converse` takes the snapshot, marks the call in
progress, has the conversation held (`talk/call.py`) and its record written (`finish.py`),
whatever happens in between.
"""

from __future__ import annotations

import logging
import secrets as random
import uuid
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.secrets import SecretsUnreadable, digest
from chorus.agents import queries as agents
from chorus.agents.schemas import AgentPatch
from chorus.agents.snapshot import Snapshot, snapshot, with_changes
from chorus.calls.exchange import CallExchange
from chorus.calls.finish import finish, finish_unanswered
from chorus.calls.latency import Target
from chorus.calls.publishable import longest_s
from chorus.calls.schemas import FINAL
from chorus.calls.status import advance
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.catalogue.engines import NoEngine
from chorus.db import utcnow
from chorus.knowledge.library import OpenBases
from chorus.lines.browser.line import PROVIDER as BROWSER
from chorus.lines.desk import NotHere
from chorus.lines.line import Line, LineCause, LineEnded, TellingLine
from chorus.speech.engines import EngineFailed
from chorus.talk.call import Call
from chorus.talk.repeating import Repeating
from chorus.talk.second_leg import SecondLeg
from chorus.talk.spec import CallSpec, Engines
from chorus.telemetry import spans
from chorus.webhooks import announce

log = logging.getLogger(__name__)


async def claim(
    switchboard: Switchboard, call_id: str, token: str, *, within: timedelta | None = None
) -> bool:
    """Whether a stream that shows `token` may be this call's; true once only, and `within` so long
    after the call was begun. Raises `NotHere` for the second leg of a transfer that another process
    makes, if there is a way to it, and for a stream that returns to a call there (`new_token`)."""
    try:
        id = uuid.UUID(call_id)
    except ValueError:
        return False
    shown = digest(token)
    claimable: list[sa.ColumnElement[bool]] = [CallRow.id == id, CallRow.status.not_in(FINAL)]
    if within is not None:
        claimable.append(CallRow.started_at > utcnow() - within)
    # Read first: a token that somebody made up must not cost a turn of the writer.
    query = sa.select(
        CallRow.token_hash, CallRow.parent_call_id, CallRow.lease_owner, CallRow.answered_at
    )
    async with switchboard.database.reading() as session:
        row = (await session.execute(query.where(*claimable))).one_or_none()
    if row is None or row.token_hash is None or not random.compare_digest(row.token_hash, shown):
        return False
    returns = row.answered_at is not None and id not in switchboard.live
    is_elsewhere = row.parent_call_id is not None and id not in switchboard.second_legs
    if returns or is_elsewhere:
        relayed = await switchboard.relay.to(row.lease_owner)
        if relayed is not None:
            raise NotHere(relayed)
    if returns:
        return False  # the process that held it is gone, or there is no way to it
    async with switchboard.database.writing() as session:
        used = await session.execute(
            sa.update(CallRow)
            .where(*claimable, CallRow.token_hash == shown)
            .values(token_hash=None)
        )
        return used.rowcount == 1  # type: ignore[attr-defined] # an UPDATE yields a CursorResult


async def new_token(switchboard: Switchboard, call_id: uuid.UUID) -> str | None:
    """Another stream of a call that is talked on may show it, once; None if it is not."""
    token = random.token_urlsafe(32)
    async with switchboard.database.writing() as session:
        given = await session.execute(
            sa.update(CallRow)
            .where(CallRow.id == call_id, CallRow.status == "in_progress")
            .values(token_hash=digest(token))
        )
    # An UPDATE yields a CursorResult.
    return token if given.rowcount == 1 else None  # type: ignore[attr-defined]


async def converse(switchboard: Switchboard, line: Line, call_id: uuid.UUID) -> None:
    """Hold the conversation; returns when its record is written. The line is down by then."""
    row = await _answered(switchboard, line, call_id)
    if row is None:
        await line.hang_up()
        return
    leg = switchboard.second_legs.get(row.id)
    if row.parent_call_id is not None and leg is None:
        detail = "it was answered at a process that does not hold the call that is transferred"
        await line.hang_up()
        await finish_unanswered(
            switchboard, row.id, row.organization_id, LineEnded(LineCause.FAILED, detail)
        )
        return
    try:
        taken = await _snapshot(switchboard, row)
        if row.agent_changes is None and taken.version != row.agent_version:
            await _note_version(switchboard, row, taken.version)
        await switchboard.loaded()
        engines = switchboard.engines.select(taken.choice)
    except (NoEngine, EngineFailed, SecretsUnreadable, LookupError) as failure:
        log.error("call %s cannot be held: %s", call_id, failure)
        await line.hang_up()
        ended = LineEnded(LineCause.FAILED, str(failure))
        await finish_unanswered(switchboard, row.id, row.organization_id, ended)
        return
    if leg is not None:
        taken, engines = replace(taken, spec=leg.agent), _engines_of(leg, engines)
    await _converse(switchboard, line, row, taken, engines, leg)


def _engines_of(leg: SecondLeg, engines: Engines) -> Engines:
    """A second leg that only repeats what it was given needs no language model."""
    if leg.repeats is None:
        return engines
    stand_ins = replace(engines.stand_ins, models=())
    return replace(engines, model=Repeating(leg.repeats), stand_ins=stand_ins)


async def _answered(switchboard: Switchboard, line: Line, call_id: uuid.UUID) -> CallRow | None:
    """The row, now in progress; None if the call is over or somebody else holds it."""
    async with switchboard.database.writing() as session:
        row = await session.get(CallRow, call_id)
        if row is None:
            return None
        now = utcnow()
        tries_changes = row.agent_changes is not None
        version = None if tries_changes else await agents.version(session, row.agent_id)
        moved = await advance(
            session,
            row.id,
            row.organization_id,
            "in_progress",
            answered_at=now,
            started_at=row.started_at or now,
            call_sid=line.leg_id,
            lease_owner=switchboard.heartbeat.name,
            agent_version=version,
        )
        if not moved:
            log.warning("call %s was answered, but it is %s", call_id, row.status)
            return None
        await announce.call_answered(session, switchboard, row)
        return row


async def _snapshot(switchboard: Switchboard, row: CallRow) -> Snapshot:
    async with switchboard.database.reading() as session:
        whose = (session, row.organization_id, row.agent_id)
        catalogue = await switchboard.catalogues.of(session, row.organization_id)
        known = (switchboard.secrets, catalogue)
        if row.agent_changes is None:
            taken = await snapshot(*whose, *known)
        else:
            changes = AgentPatch.model_validate(row.agent_changes).changes()
            taken = await with_changes(*whose, changes, *known)
        most_s = await longest_s(session, row.id) if row.provider == BROWSER else None
    if taken is None:
        raise LookupError("the agent was deleted")
    if most_s is not None:
        least_s = min(most_s, taken.spec.max_call_duration_s)
        taken = replace(taken, spec=replace(taken.spec, max_call_duration_s=least_s))
    return taken


async def _knowledge(switchboard: Switchboard, row: CallRow, taken: Snapshot) -> OpenBases | None:
    """What the agent may look into. A call is held without it rather than not at all."""
    spec = taken.spec
    if not spec.knowledge_base_ids:
        return None
    try:
        async with switchboard.database.reading() as session:
            opened = await switchboard.library.open(
                session, row.organization_id, spec.knowledge_base_ids, spec.knowledge_instructions
            )
    except (SQLAlchemyError, OSError) as failure:
        log.error("call %s: its documents cannot be opened: %s", row.id, failure)
        return None
    if opened is not None:
        switchboard.spawn(opened.warm(), "open documents")
    return opened


async def _note_version(switchboard: Switchboard, row: CallRow, version: int) -> None:
    """The agent was changed between the answer and the snapshot."""
    async with switchboard.database.writing() as session:
        await session.execute(
            sa.update(CallRow).where(CallRow.id == row.id).values(agent_version=version)
        )


async def _converse(
    switchboard: Switchboard,
    line: Line,
    row: CallRow,
    taken: Snapshot,
    engines: Engines,
    leg: SecondLeg | None,
) -> None:
    knowledge = await _knowledge(switchboard, row, taken) if leg is None else None
    recording = f"recordings/{row.id}.wav"
    spec = CallSpec(
        call_id=str(row.id),
        direction="outbound" if row.direction == "outbound" else "inbound",
        customer_number=row.customer_number,
        # Who answers is a question about calls that are placed.
        agent=taken.spec if row.direction == "outbound" else replace(taken.spec, answering=None),
        variables=row.context_variables,
        recording_path=str(switchboard.settings.data_dir / recording),
    )
    journal = switchboard.journals.open(row.id, row.organization_id)
    target_ms = taken.spec.latency_target_ms if leg is None else None
    if target_ms is not None:
        journal.target = Target(row.organization_id, row.agent_id, target_ms)
    if isinstance(line, TellingLine):
        journal.told = line.tell
    exchange = CallExchange(switchboard, row) if leg is None else None
    if taken.spec.transfer_targets and taken.spec.hold_music_url is not None:
        switchboard.hold_sounds.prepare(taken.spec.hold_music_url)
    call = Call(
        spec,
        line,
        engines,
        journal,
        switchboard.ticker,
        switchboard.outbound,
        exchange=exchange,
        second=leg,
        knowledge=knowledge,
    )
    watch = journal.watch = switchboard.telemetry.call(
        row.id,
        row.direction,
        {
            "gen_ai.agent.id": str(row.agent_id),
            "gen_ai.request.model": engines.model.name,
            "chorus.organization.id": str(row.organization_id),
            "chorus.carrier": line.provider,
        },
        target_ms,
    )
    switchboard.began(row.id, call, line)
    watching = spans.current.set(watch)
    try:
        await call.run()
    finally:
        if (outcome := call.outcome) is not None:
            watch.ended(outcome.status, outcome.reason, outcome.duration_ms)
        spans.current.reset(watching)
        try:
            if exchange is not None:
                await exchange.settled()
            await switchboard.journals.close(journal)
            if call.outcome is not None:
                await finish(switchboard, journal, call.outcome, recording)
        finally:
            switchboard.ended(row.id, line)
