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

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

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


async def step(
    do: Callable[..., Awaitable[T]], *args: Any, retries: Retries = Retries(), name: str = ""
) -> T:
    """Do something once, as far as that is possible, and remember the result, which must be JSON.
    `args` are not stored. Raises what the last attempt raised."""
    if not in_workflow.get():
        return await do(*args)
    from dbos import DBOS  # loaded by now; others need not wait for it

    return await DBOS.run_step_async(
        {
            "name": name or do.__name__,
            "retries_allowed": retries.attempts > 1,
            "max_attempts": retries.attempts,
            "interval_seconds": retries.first_wait_s,
            "backoff_rate": 2.0,
        },
        do,  # type: ignore[arg-type] # an Awaitable from an async function is a Coroutine
        *args,
    )
