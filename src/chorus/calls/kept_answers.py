"""Taking what was said in a call out of the answers that are kept for Idempotency-Keys.

For a day, a POST that is repeated gets its first answer again (`accounts/idempotency.py`). Such an
answer may tell of a call: of one that was placed or cancelled, its variables; of a test case that
was made of it, and of a webhook that was sent again, all that was said. When the texts of the call
are deleted, they are emptied in there too: whoever repeats the request is told what a GET would
tell now; of a test case that was deleted with it, that there was one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts import idempotency
from chorus.accounts.secrets import Secrets
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.webhooks.tables import WebhookDelivery

_PLACED = "/v1/calls"
_CASES = "/v1/test-cases"
_LONGEST = timedelta(minutes=2)
"""From the claim of a key to the call that its request makes: the work of a request that waits for
the database's lock as long as it may."""
_EMPTY: Mapping[str, Any] = {
    "contextVariables": {},
    "transcript": None,
    "analysis": None,
    # Of a webhook that was sent again.
    "requestBody": None,
    "responseBody": None,
    # Of a test case, which is called by the first words if nobody gave it a name.
    "name": "",
    "note": "",
    "script": [],
    "expected": {"endedReason": None, "tools": [], "extractions": {}},
}
_PARTS = ("attempts", "transferCalls")
"""Lists whose members have such fields too."""


async def forget(
    session: AsyncSession, secrets: Secrets, call: CallRow, *, with_copies: bool
) -> int:
    """Returns how many answers were changed. `with_copies`: test cases that were made of the call
    are deleted too."""
    sent = sa.select(WebhookDelivery.id).where(WebhookDelivery.call_id == call.id)
    paths = [f"{_PLACED}/{call.id}/cancel"]
    paths += [f"/v1/webhook-deliveries/{id}/redeliver" for id in await session.scalars(sent)]
    if with_copies:
        paths.append(_CASES)
    found = [idempotency.of(call.organization_id, paths)]
    began = call.created_at - _LONGEST
    if began > utcnow() - idempotency.SWEPT_AFTER:
        found.append(
            idempotency.claimed_between(call.organization_id, _PLACED, began, call.created_at)
        )
    id = str(call.id)
    return sum([await idempotency.change(session, secrets, each, _without(id)) for each in found])


def _without(call_id: str) -> Callable[[Any], dict[str, Any] | None]:
    """What of an answer is kept on; None where it is of another call or holds no texts."""

    def left(answer: Any) -> dict[str, Any] | None:
        data = _members(_members(answer).get("data"))
        if call_id not in (data.get("id"), data.get("callId")):
            return None
        emptied = _emptied(data)
        return None if emptied == data else {**answer, "data": emptied}

    return left


def _emptied(data: Mapping[str, Any]) -> dict[str, Any]:
    parts = {
        name: [_emptied(_members(each)) for each in data[name]] for name in _PARTS if name in data
    }
    return {**data, **{name: _EMPTY[name] for name in _EMPTY.keys() & data.keys()}, **parts}


def _members(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
