"""What durable work is made of: queues, workflows, their steps, and what happens by the calendar.

These are plain values and functions. A workflow is an async function that reads top-down; it
gets what the process shares (whatever was given to `Durable.launch`) and then the arguments that
it was enqueued with:

    async def after_call(switchboard: Switchboard, call_id: str) -> None:
        await step(settle, switchboard, call_id)
        await step(announce, switchboard, call_id, retries=Retries(attempts=3))

    AFTER_CALL = Workflow("after_call", after_call, AFTER_CALLS)

After a crash it is run again from its first line, and each `step` that had finished gives the
result that it gave then. A step that was interrupted runs again: it must be idempotent. Between
steps there must be nothing that comes out differently the second time.

In a test, the function is awaited as it is: outside of a workflow `step` just calls.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = logging.getLogger(__name__)

T = TypeVar("T")

in_workflow: ContextVar[bool] = ContextVar("in_workflow", default=False)
"""Set by `Durable` around a workflow that it runs."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Work of a kind. `at_once` is how much of it one process does at the same time."""

    name: str
    at_once: int


@dataclass(frozen=True, slots=True)
class Workflow:
    """`name` is stored with the work that waits: renaming it loses that. The arguments after the
    first must be JSON (text, numbers, lists, dicts)."""

    name: str
    run: Callable[..., Awaitable[None]]
    queue: Queue


@dataclass(frozen=True, slots=True)
class Periodic:
    """Done by one process of all, at the times of a cron expression (UTC; `17 3 * * *`). A time
    that passes while no process runs is left out."""

    name: str
    cron: str
    run: Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a step that raises is tried, and how long it waits in between, each time twice as
    long. For waits longer than a minute or so enqueue a workflow with a delay instead: one that
    sleeps occupies its place in the queue."""

    attempts: int = 8
    first_wait_s: float = 0.5


# What the database's drivers raise while it is away, or full.
_AWAY = (OperationalError, InterfaceError, PoolTimeout)
_PATIENCE_S = 86_400.0
_WAIT_S = (0.5, 30.0)


async def step(
    do: Callable[..., Awaitable[T]], *args: Any, retries: Retries = Retries(), name: str = ""
) -> T:
    """Do something once, as far as that is possible, and remember the result, which must be JSON.
    `args` are not stored. A database that is away is waited for, which is no attempt. Raises what
    the last attempt raised."""
    if not in_workflow.get():
        return await do(*args)

    async def patiently() -> T:
        until, (wait_s, longest_s) = time.monotonic() + _PATIENCE_S, _WAIT_S
        while True:
            try:
                return await do(*args)
            except _AWAY as failure:
                if time.monotonic() > until:
                    raise
                log.warning("%s waits for the database: %s", do.__name__, failure)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, longest_s)

    from dbos import DBOS  # loaded by now; others need not wait for it

    return await DBOS.run_step_async(
        {
            "name": name or do.__name__,
            "retries_allowed": retries.attempts > 1,
            "max_attempts": retries.attempts,
            "interval_seconds": retries.first_wait_s,
            "backoff_rate": 2.0,
        },
        patiently,
    )
