"""Durable work: what must happen although this process may die at any moment.

`enqueue` writes work down in the caller's own transaction, so it is there exactly if the fact is
that made it necessary. When that has committed, this process is told and takes it at once; the
library's own look at the queues once in `POLL_S` finds what nobody was told of: work that waited
for its delay, or that another process left behind.

DBOS (https://docs.dbos.dev) does the bookkeeping. This file and `schema.py` are the only ones
that know it, apart from `step`.

In the life of a process: `launch`, then work, then `close`, which lets what runs be interrupted:
it goes on at the next start, here or elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import after_commit, utcnow
from chorus.durable import schema
from chorus.durable.quiet import Quiet
from chorus.durable.work import Periodic, Queue, Workflow, in_workflow
from chorus.settings import Settings

if TYPE_CHECKING:
    from dbos import DBOS, DBOSClient
    from dbos import Queue as DbosQueue

log = logging.getLogger(__name__)

VERSION = "1"
"""Of the workflows, not of Chorus: work that waits is done by whatever process has the same. To
be raised when a workflow's steps change so that one that is half done could not go on; what the
old version began must then be done by the old version."""

POLL_S = 1.0
_LISTENER_S = 0.1
"""On SQLite the library's listener sleeps so long between two looks, and a stop waits until it
wakes. Nothing here sends what it listens for."""
KEPT_FOR = timedelta(days=30)
"""How long what was done is remembered, for people who look for what went wrong."""

_PAUSES_S = (0.2, 1, 3, 10, 30, 60, 120)
"""Before each further try to begin what was claimed."""

CHORES = Queue("chores", at_once=4)
_APPLICATION = "chorus"
_CLOSE_S = 5.0
_FORGET_AT_ONCE = 500


class Durable:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: Engine | None = None
        self._client: DBOSClient | None = None
        self._dbos: DBOS | None = None
        self._queues: dict[str, DbosQueue] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._told: set[str] = set()
        self._behind: set[str] = set()
        self._taking: asyncio.Task[None] | None = None

    async def enqueue(
        self,
        session: AsyncSession,
        workflow: Workflow,
        *args: Any,
        id: str | None = None,
        delay_s: float = 0,
    ) -> str:
        """Have `workflow` run with `args` once the session's transaction has committed, and
        `delay_s` have passed. Work with an `id` that was enqueued before is not enqueued again.
        Returns the id."""
        options: dict[str, Any] = {
            "workflow_name": workflow.name,
            "queue_name": workflow.queue.name,
            "workflow_id": id or f"{workflow.name}:{uuid.uuid4()}",
            "app_version": VERSION,
        }
        if delay_s > 0:
            options["delay_seconds"] = delay_s
        client = self._client or await asyncio.to_thread(self._open_client)
        connection = await session.connection()

        def write(sync: Connection) -> None:
            client.enqueue_in_transaction(sync, options, *args)  # type: ignore[arg-type] # a TypedDict

        await connection.run_sync(write)
        if delay_s <= 0:
            after_commit(session, lambda: self._tell(workflow.queue.name))
        return options["workflow_id"]

    async def launch(
        self,
        executor_id: str,
        shared: object,
        workflows: Iterable[Workflow],
        periodic: Iterable[Periodic] = (),
    ) -> None:
        """Begin to work. `shared` is what every workflow gets as its first argument. Blocks the
        loop for a moment: nothing is served yet."""
        from dbos import DBOS, DBOSClient, DBOSConfig
        from dbos._serialization import DBOSPortableJSON  # the package exports only its class

        self._client = self._client or self._open_client()
        assert self._engine is not None
        assert isinstance(self._client, DBOSClient)
        config = DBOSConfig(
            name=_APPLICATION,
            executor_id=executor_id,
            application_version=VERSION,
            system_database_engine=self._engine,
            serializer=DBOSPortableJSON,
            run_migrations=False,
            notification_listener_polling_interval_sec=_LISTENER_S,
            log_level="WARNING",
        )
        self._dbos = DBOS(config=config)
        Quiet.hush(logging.getLogger("dbos"))
        known = [*workflows]
        for workflow in known:
            DBOS.workflow(name=workflow.name)(self._body(workflow, shared))
        forgetting = Periodic("forget-finished-work", "23 3 * * *", self._forget_old)
        schedules = [self._scheduled(entry, shared) for entry in (*periodic, forgetting)]
        DBOS.launch()
        for queue in {workflow.queue for workflow in known} | {CHORES}:
            self._queues[queue.name] = await DBOS.register_queue_async(
                queue.name,
                worker_concurrency=queue.at_once,
                polling_interval_sec=POLL_S,
                on_conflict="always_update",
            )
        await self._apply(schedules)

    async def take_over(self, executor_id: str) -> None:
        """Put back in its queue what a process had begun that is dead. Doing so twice, or from
        two processes, is the same as once."""
        from dbos import DBOS

        # The public `resume_workflows` would also put back what somebody has taken meanwhile.
        recover = DBOS._recover_pending_workflows  # pyright: ignore[reportPrivateUsage]
        await asyncio.to_thread(recover, [executor_id])
        for name in self._queues:
            self._tell(name)

    async def forget(self, finished_before: datetime) -> int:
        """Delete the records of work that was finished, well or badly, before a time; returns how
        many. Their ids may be enqueued again after that."""
        client = self._client or await asyncio.to_thread(self._open_client)
        forgotten = 0
        while True:
            old = await client.list_workflows_async(
                status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
                completed_before=finished_before.isoformat(),
                limit=_FORGET_AT_ONCE,
                load_input=False,
                load_output=False,
            )
            if not old:
                return forgotten
            await client.delete_workflows_async([workflow.workflow_id for workflow in old])
            forgotten += len(old)

    async def _forget_old(self, _: object) -> None:
        await self.forget(utcnow() - KEPT_FOR)

    async def close(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait({self._taking})
        if self._dbos is not None:
            from dbos import DBOS

            # The loop's own threads are the library's since `launch`, and end with it.
            threads = ThreadPoolExecutor(thread_name_prefix="asyncio")
            loop = asyncio.get_running_loop()
            loop.set_default_executor(threads)
            closing = loop.run_in_executor(threads, lambda: DBOS.destroy(destroy_registry=True))
            # Not recorded as failed: a workflow that is cancelled was not finished.
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running, timeout=_CLOSE_S)
            await closing
            self._dbos = None
        if self._client is not None:
            self._client.destroy()
        if self._engine is not None:
            self._engine.dispose()

    # --- how a workflow is run ----------------------------------------------------------------

    def _body(self, workflow: Workflow, shared: object) -> Any:
        async def run(*args: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._running.add(task)
            token = in_workflow.set(True)
            try:
                await workflow.run(shared, *args)
            finally:
                in_workflow.reset(token)
                self._running.discard(task)
                if workflow.queue.name in self._behind:
                    self._tell(workflow.queue.name)

        run.__name__ = run.__qualname__ = workflow.name
        return run

    def _scheduled(self, entry: Periodic, shared: object) -> dict[str, Any]:
        from dbos import DBOS

        async def run(_: datetime, __: Any) -> None:
            await entry.run(shared)

        run.__name__ = run.__qualname__ = entry.name
        return {
            "schedule_name": entry.name,
            "workflow_fn": DBOS.workflow(name=entry.name)(run),
            "schedule": entry.cron,
            "queue_name": CHORES.name,
        }

    async def _apply(self, schedules: list[dict[str, Any]]) -> None:
        from dbos import DBOS

        wanted = {entry["schedule_name"] for entry in schedules}
        for known in await DBOS.list_schedules_async():
            if known["schedule_name"] not in wanted:
                await DBOS.delete_schedule_async(known["schedule_name"])
        await DBOS.apply_schedules_async(schedules)  # type: ignore[arg-type] # TypedDicts

    def _open_client(self) -> DBOSClient:
        from dbos import DBOSClient
        from dbos._serialization import DBOSPortableJSON

        self._engine = self._engine or schema.engine(self._settings)
        self._client = DBOSClient(
            system_database_engine=self._engine,
            serializer=DBOSPortableJSON,
            application_name=_APPLICATION,
            lazy=True,
        )
        return self._client

    # --- taking work at once ------------------------------------------------------------------

    def _tell(self, queue: str) -> None:
        """Look at a queue now. Without a loop or before `launch` nothing is lost: the poll."""
        if queue not in self._queues:
            return
        self._told.add(queue)
        if self._taking is None or self._taking.done():
            self._taking = asyncio.get_running_loop().create_task(self._take(), name="take-work")

    async def _take(self) -> None:
        while self._told:
            name = self._told.pop()
            try:
                ids, token = await asyncio.to_thread(self._claim, self._queues[name])
            except Exception as failure:
                # The poll will find it; it is the one that must work.
                log.warning("queue %s is left to the next look: %s", name, failure)
                continue
            # What is claimed is nobody else's to begin for as long as this process lives.
            for pause_s in (*_PAUSES_S, None):
                ids = await asyncio.to_thread(self._begin, ids, token)
                if not ids:
                    break
                if pause_s is None:
                    log.error("%s of queue %s go on when this process has ended", ids, name)
                else:
                    await asyncio.sleep(pause_s)

    def _claim(self, queue: DbosQueue) -> tuple[list[str], str]:
        """What the library's thread does after it has slept, which cannot be woken: the work that
        is this process's now, and what it was claimed by."""
        from dbos._utils import GlobalParams

        dbos = self._dbos
        assert dbos is not None
        token = str(uuid.uuid4())
        ids, stopped_by = dbos._sys_db.start_queued_workflows(  # pyright: ignore[reportPrivateUsage]
            queue,
            GlobalParams.executor_id,
            GlobalParams.app_version,
            None,
            dbos._active_workflows_set.count_for_queue(queue.name),  # pyright: ignore[reportPrivateUsage]
            owner_xid=token,
        )
        (self._behind.add if stopped_by else self._behind.discard)(queue.name)
        return list(ids), token

    def _begin(self, ids: list[str], token: str) -> list[str]:
        """Begins each by itself; returns those that could not be, such as without the database."""
        from dbos._core import execute_dequeued_workflow

        dbos = self._dbos
        assert dbos is not None
        database = dbos._sys_db  # pyright: ignore[reportPrivateUsage]
        try:
            statuses = database.get_workflow_statuses(ids)
        except Exception as failure:
            log.warning("work that was claimed could not be read: %s", failure)
            return ids
        left: list[str] = []
        for status in statuses:
            try:
                execute_dequeued_workflow(dbos, status, token)
            except Exception as failure:
                id = status["workflow_uuid"]
                log.warning("work %s could not be begun: %s", id, failure)
                left.append(id)
        return left
