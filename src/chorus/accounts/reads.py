"""Entries of the audit log for what changes nothing: who looked at what is confidential, and who
failed to log in.

They are collected in memory and written together every few seconds, so that no read waits for a
write; a process that is killed loses those of its last seconds. The same by the same again, within
`AGAIN_S`, makes no entry of its own: the next one says how often that was (`detail.repeated`). So
neither a page that asks every second nor somebody who guesses passwords can fill the log.
"""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chorus.accounts.principal import Principal
from chorus.accounts.tables import AuditEntry
from chorus.clock import Clock
from chorus.db import Database

log = logging.getLogger(__name__)

AGAIN_S = 300
_WAITING = 10_000
_KNOWN = 20_000
_BATCH = 500

CONFIDENTIAL = frozenset(
    (
        # What was said: with transcripts, and with sound.
        *("getCall", "listCallEvents", "listLiveCalls", "getCallRecording", "getCallPeaks"),
        "getToolHistory",
        # Bodies hold transcripts; the others are what signs webhooks.
        *("getWebhookDelivery", "getWebhookSecret", "getAgentWebhook"),
    )
)
"""Operations of the OpenAPI document that are written down when they are answered."""

SEARCHES = {"listCalls": "text"}
"""Those that are written down where this query parameter is given: whether somebody said a word is
told without showing the call. What was searched for is not written down."""

Handler = Callable[[Request], Awaitable[Response]]


class Reads:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: deque[dict[str, Any]] = deque()
        self._lost = 0
        # When each was written down last, and how often it came since; the oldest first.
        self._known: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def add(
        self,
        principal: Principal,
        action: str,
        resource: str,
        resource_id: uuid.UUID | None,
        *,
        request_id: str,
        address: str,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """`action` and `resource` as in `audit.record`."""
        key = (principal.id, action, resource_id)
        now = self._clock.monotonic()
        last, repeated = self._known.get(key, (float("-inf"), 0))
        if now - last < AGAIN_S:
            self._known[key] = (last, repeated + 1)
            return
        self._known[key] = (now, 0)
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        if len(self._waiting) >= _WAITING:
            self._lost += 1
            return
        self._waiting.append(
            {
                "organization_id": principal.organization_id,
                "actor": principal.kind,
                "actor_id": principal.id,
                "actor_name": principal.name,
                "action": action,
                "resource": resource,
                "resource_id": resource_id,
                "fields": [],
                "detail": {**(detail or {}), **({"repeated": repeated} if repeated else {})}
                or None,
                "request_id": request_id,
                "address": address[:64],
                "created_at": self._clock.utcnow(),
            }
        )

    async def flush(self) -> None:
        """Write what there is. What cannot be written is kept for the next time."""
        if self._lost:
            log.warning("%d entries of the audit log were lost: too many at once", self._lost)
            self._lost = 0
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                async with self._database.writing() as session:
                    session.add_all([AuditEntry(**each) for each in batch])
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                raise


def watched(handle: Handler, action: str | None, resource: str) -> Handler:
    """The handler of a route, which is written down if it is answered and confidential."""
    if action is None or (action not in CONFIDENTIAL and action not in SEARCHES):
        return handle
    searched = SEARCHES.get(action)

    async def then(request: Request) -> Response:
        response = await handle(request)
        principal: Principal | None = request.state.principal
        if searched is not None and not request.query_params.get(searched):
            return response
        if principal is not None and response.status_code < 400:
            given = request.path_params.get("id")
            request.app.state.process.reads.add(
                principal,
                action,
                resource,
                uuid.UUID(str(given)) if given else None,
                request_id=request.state.request_id,
                address=request.state.address,
                detail=None if searched is None else {"searched": searched},
            )
        return response

    return then
