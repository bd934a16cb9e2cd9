"""What happens once a call is over: one durable workflow, top to bottom.

It is enqueued in the transaction that ends the call (`status.end`), however the call ended, and
it finishes although the process may die in between. Each step is idempotent and stands alone:
one that fails for good is in the log, and the next ones are done all the same, because a
customer waits for the news of a call whatever became of its summary.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from chorus.analysis.analyse import analyse
from chorus.billing.settle import settle
from chorus.durable.work import Queue, Workflow, step
from chorus.webhooks.announce import call_over

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

log = logging.getLogger(__name__)

STEPS: tuple[Callable[[Switchboard, uuid.UUID], Awaitable[None]], ...] = (
    analyse,
    settle,
    call_over,
)
"""In their order: the call is analysed, the money settled (with what that has cost), then the
call is announced, with both in what is told."""


async def after_call(switchboard: Switchboard, call_id: str) -> None:
    for do in STEPS:
        try:
            await step(do, switchboard, uuid.UUID(call_id))
        except Exception:
            log.exception("call %s: %s failed for good", call_id, do.__name__)


AFTER_CALL = Workflow("after_call", after_call, Queue("after-call", at_once=20))
