"""Where each call was when its server was killed, as the dead server's database has it.

`look` is asked right after a kill, before the server is started again: what is written stands
still. From the POST to the last webhook a call is in exactly one of `STAGES` at a time, and the
transfer of a caller in one of the last four besides. Those
that are told apart by what others know (whether the carrier was asked, whether the receiver has
answered) need them: the carrier's events and what the receiver noted since the last kill.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Set

from tests.soak.rig import Rig

STAGES = {
    "scheduled": "for later",
    "waits": "in line",
    "fenced": "behind the fence, the carrier was not asked yet",
    "asked": "the carrier was asked, its answer is not written down",
    "dialled": "the carrier's answer is written down",
    "rings": "the telephone rings",
    "talks": "people talk",
    "hung up": "nobody talks, the record is not written",
    "over": "the record is written, what follows has not begun",
    "analysing": "nothing of what follows is done",
    "settling": "analysed, the money is not settled",
    "announcing": "settled, not announced",
    "closing": "announced, the workflow is not closed",
    "to tell": "a webhook waits for its try",
    "telling": "a try has begun, the receiver has not got it",
    "told": "the receiver has it, and has not answered",
    "answered": "the receiver has answered, which is not written down",
    "to tell again": "a webhook waits for its next try",
    "initiated": "a caller is to be handed to a person",
    "ringing": "the person's telephone rings",
    "briefing": "the person is told who waits",
    "connected": "caller and person talk",
}

_CALLS = """
SELECT id, customer_number, call_sid, status, dialled_at IS NOT NULL, ended_at IS NOT NULL,
       scheduled_at IS NOT NULL
FROM calls
"""
_FOLLOWS = """
SELECT s.workflow_uuid, s.status, count(o.function_id)
FROM {dbos}workflow_status AS s
LEFT JOIN {dbos}operation_outputs AS o ON o.workflow_uuid = s.workflow_uuid
WHERE s.name = 'after_call'
GROUP BY s.workflow_uuid, s.status
"""
_NEWS = """
SELECT call_id, id, status, tries, attempt_id IS NOT NULL FROM webhook_deliveries
WHERE event = 'call.completed'
"""
_TRANSFERS = "SELECT status FROM transfers WHERE ended_at IS NULL"
_STEPS = ("analysing", "settling", "announcing", "closing")


async def look(rig: Rig, killed_at: float, reached: Set[str], answered: Set[str]) -> Counter[str]:
    """How many calls were in each stage; those of which all was told are in none. `killed_at`:
    on the monotonic clock. `reached`, `answered`: the webhooks that had been by then."""
    before = [event for event in rig.carrier.events if event["at_ms"] <= killed_at * 1000]
    asked = set(rig.dialled(before))
    over = {event["call"] for event in before if event["kind"] == "call.over"}
    follows = {id: (status, done) for id, status, done in await rig.rows(_FOLLOWS)}
    news = {_id(call_id): rest for call_id, *rest in await rig.rows(_NEWS)}
    found = Counter[str]()
    for id, number, sid, status, dialled, ended, scheduled in await rig.rows(_CALLS):
        if not ended:
            found[_under_way(number in asked, sid, sid in over, status, dialled, scheduled)] += 1
            continue
        call_id = _id(id)
        workflow, done = follows.get(f"after_call:{call_id}", ("ENQUEUED", 0))
        if call_id in news:
            found.update(_of_news(reached, answered, *news[call_id]))
        if workflow == "PENDING":
            found[_STEPS[min(done, 3)]] += 1
        elif workflow == "ENQUEUED":
            found["over"] += 1
    found.update(status for (status,) in await rig.rows(_TRANSFERS))
    return found


def _under_way(
    asked: bool, sid: str | None, over: bool, status: str, dialled: bool, scheduled: bool
) -> str:
    match status:
        case "in_progress":
            return "hung up" if over else "talks"
        case "ringing":
            return "rings"
        case _ if not dialled:
            return "scheduled" if scheduled else "waits"
        case _ if sid is not None:
            return "dialled"
        case _:
            return "asked" if asked else "fenced"


def _of_news(
    reached: Set[str],
    answered: Set[str],
    delivery_id: object,
    status: str,
    tries: int,
    trying: bool,
) -> Iterable[str]:
    id = _id(delivery_id)
    if status != "pending":
        return
    if not trying:
        yield "to tell again" if tries else "to tell"
    elif id in answered:
        yield "answered"
    else:
        yield "told" if id in reached else "telling"


def _id(value: object) -> str:
    """SQLite has ids without dashes."""
    return str(uuid.UUID(str(value)))
