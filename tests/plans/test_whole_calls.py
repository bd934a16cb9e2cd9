"""How the database goes to rows on all ways of a call, of statements that a real server sent.

`walk.py` has calls held, and each statement is asked how it would be done on a thousand calls, on
SQLite without and with statistics, because it chooses otherwise in each, and on Postgres. That the
walk is a whole one is shown from the other side: every line of what calls consist of that asks the
database has to be among those that asked, or in `ELSEWHERE` with a reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.conftest import settings_for
from tests.e2e.test_after_call import plain
from tests.plans.heard import SOURCE, Asked, heard
from tests.plans.judged import count_rows, forget_rows, walks
from tests.plans.walk import walk

from chorus.accounts.secrets import Secrets
from chorus.calls import room
from chorus.db import Database
from chorus.recordings import retention
from chorus.webhooks import due

OF_CALLS = (
    *("agents/snapshot.py", "analysis", "billing", "calls", "numbers", "recordings"),
    *("webhooks",),
)
"""Below `src/chorus`: what calls consist of."""
ELSEWHERE = {
    ("billing/balance.py", "extend"): "holds by their keys, in the second minute of a call",
    ("billing/queries.py", "without_price"): "of `chorus doctor`, which may take its time",
    ("billing/readings.py", "charge"): "writes one line, of vectors that a vendor made",
    ("billing/sums.py", "recount"): "an operator's command, for which all lines must be read",
    ("calls/desk.py", "quality"): "a call by its key; only other lines tell it",
    ("calls/finish.py", "_write"): "a call by its key that was given up for lost and was not",
    ("calls/released.py", "_ask"): "a call by its key, hours after it",
    ("calls/released.py", "_not_counted"): "a call by its key, a day after it",
    ("numbers/routing.py", "note_registration"): "a number by its key; of SIP",
    ("numbers/routing.py", "of_provider"): "all numbers at a SIP trunk, when a server starts",
    ("webhooks/due.py", "database_now"): "of Postgres, and of no table",
    ("webhooks/due.py", "give_back"): "a delivery by its key, as the process stops",
    ("webhooks/due.py", "_mark_lost"): "a try by its key, of a process that died",
    ("webhooks/record.py", "_switch_off"): "an endpoint by its key that says it is gone",
    ("webhooks/secret.py", "ensure"): "a row by its key that two make at once",
}
"""A file and a function in it → why it is not walked."""


@pytest.mark.timeout(500)
async def test_no_statement_on_the_way_of_a_call_reads_a_table_that_grows(
    tmp_path: Path, database_url: str
):
    database = Database(settings_for(tmp_path, database_url=database_url))
    try:
        asked = await walk(tmp_path, plain(database_url), database)
        with heard(database) as more:
            await retention.keep_to_rules(database, Secrets.of(database.settings))
            async with database.reading() as session:
                # For whoever watches the queues.
                await room.waiting(session)
                await due.how_many(session, await due.database_now(session))
        asked += more
        assert list(not_walked(asked)) == []
        for counted in (False, True):
            await (count_rows if counted else forget_rows)(database)
            long = await walks(database, asked, counted=counted)
            assert not long, "\n".join(long)
    finally:
        await database.close()


def not_walked(asked: Iterable[Asked]) -> Iterator[str]:
    """The lines that ask the database, of what calls consist of, from which nothing came."""
    came = {(site.file, site.line) for each in asked for site in each.by}
    known = set[tuple[str, str]]()
    files = [file for part in OF_CALLS for file in _files(SOURCE / part)]
    assert len(files) > 50
    for file in files:
        name = str(file.relative_to(SOURCE))
        for function, first, last in _asking(ast.parse(file.read_text("utf-8"))):
            known.add((name, function))
            walked = any((name, line) in came for line in range(first, last + 1))
            if not walked and (name, function) not in ELSEWHERE:
                yield f"{name}:{first} in {function}"
    yield from (f"{gone} is not there any more" for gone in ELSEWHERE.keys() - known)


def _files(path: Path) -> Iterable[Path]:
    return path.rglob("*.py") if path.is_dir() else [path]


_VERBS = frozenset(
    ("execute", "scalar", "scalars", "get", "get_one", "stream", "merge", "refresh", "flush")
)


def _asking(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Where a session is asked for something, or a list is read: function, first and last line."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for function in (node for node in ast.walk(tree) if isinstance(node, functions)):
        for node in ast.walk(function):
            match node:
                case ast.Await(ast.Call(ast.Attribute(ast.Name("session"), verb))) if (
                    verb in _VERBS
                ):
                    yield function.name, node.lineno, node.end_lineno or node.lineno
                case ast.Await(ast.Call(ast.Attribute(ast.Name("lists"), _))):
                    yield function.name, node.lineno, node.end_lineno or node.lineno
                case _:
                    pass
