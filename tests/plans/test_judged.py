"""What is a long way, in the words of both databases."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.plans.heard import Asked, Site
from tests.plans.judged import FEW, PARTIAL, Schema, growing

from chorus.db import Base

SQLITE = Schema(sqlite=True, tables=frozenset(("calls", "agents")), of_index={})
POSTGRES = Schema(
    sqlite=False,
    tables=frozenset(("calls", "agents")),
    of_index={"ix_calls_newest": "calls", "ix_calls_live": "calls", "ix_agents_x": "agents"},
)
LISTED = (Site("lists.py", 1, "page"), Site("calls/queries.py", 1, "page"))


def asked(statement: str = "SELECT 1 FROM calls", *, listed: bool = False) -> Asked:
    return Asked(statement, (), LISTED if listed else LISTED[1:])


@pytest.mark.parametrize(
    ("step", "is_long"),
    [
        ("SCAN calls", True),
        ("SCAN calls USING COVERING INDEX ix_calls_newest", True),
        ("SCAN calls USING INDEX ix_calls_live", False),
        ("SCAN calls_1", True),
        ("SCAN anon_1", False),
        ("SCAN json_each VIRTUAL TABLE INDEX 1:", False),
        ("SCAN calls LEFT-JOIN", True),
        ("SEARCH calls USING AUTOMATIC COVERING INDEX (agent_id=?)", True),
        ("SEARCH calls USING INDEX ix_calls_newest (organization_id=?)", True),
        ("SEARCH calls_1 USING INDEX ix_calls_newest (organization_id=?)", True),
        ("SEARCH calls USING INDEX ix_x (organization_id=? AND direction=?)", True),
        ("SEARCH calls USING INDEX ix_x (organization_id=? AND created_at>?)", False),
        ("SEARCH calls USING INDEX ix_x (organization_id=? AND (created_at,id)<(?,?))", False),
        ("SEARCH calls USING INDEX sqlite_autoindex_calls_1 (id=?)", False),
        ("SEARCH calls USING COVERING INDEX ix_calls_live (status=?)", False),
        ("SEARCH agents USING INDEX ix_agents_x (organization_id=?)", False),
        ("SEARCH calls USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN", False),
        ("SEARCH calls BY WAYS THAT NOBODY KNOWS", True),
    ],
)
def test_sqlite(step: str, is_long: bool):
    assert SQLITE.is_long(asked("SELECT 1 FROM calls, calls AS calls_1"), [step]) is is_long


@pytest.mark.parametrize(
    ("step", "condition", "is_long"),
    [
        ("Seq Scan on calls  (cost=0.00..4.31 rows=5 width=0)", "Filter: (id = $1)", True),
        ("->  Parallel Seq Scan on calls calls_1  (cost=", "", True),
        ("Seq Scan on executors  (cost=", "", False),
        ("Index Scan using ix_calls_newest on calls  (cost=", "Filter: (id = $1)", True),
        ("Index Only Scan Backward using ix_calls_newest on calls  (cost=", "", True),
        ("Index Scan using ix_calls_live on calls  (cost=", "", False),
        *(
            (step, f"Index Cond: ({condition})", is_long)
            for step in (
                "Index Scan using ix_calls_newest on calls  (cost=0.28..8.30 rows=1 width=9)",
                "        ->  Bitmap Index Scan on ix_calls_newest  (cost=0.00..4.31 rows=5)",
            )
            for condition, is_long in (
                ("organization_id = '6f2c'::uuid", True),
                ("calls.organization_id = $1", True),
                (
                    "(organization_id = '6f2c'::uuid) AND ((direction)::text = 'inbound'::text)",
                    True,
                ),
                ("(organization_id = '6f2c'::uuid) AND (created_at >= '2026'::timestamp)", False),
                ("ROW(created_at, id) < ROW('2026'::timestamp, '6f2c'::uuid)", False),
                ("id = ANY ('{6f2c}'::uuid[])", False),
                ("id = '6f2c'::uuid", False),
            )
        ),
        ("Index Scan using ix_agents_x on agents", "Index Cond: (organization_id = $1)", False),
    ],
)
def test_postgres(step: str, condition: str, is_long: bool):
    assert POSTGRES.is_long(asked(), [step, f"  {condition}"]) is is_long


def test_a_page_of_a_list_ends():
    for schema, plan, sort in (
        (SQLITE, ["SEARCH calls USING INDEX x (organization_id=?)"], "USE TEMP B-TREE FOR ORDER"),
        (
            POSTGRES,
            ["Index Scan using ix_calls_newest on calls", "Index Cond: (organization_id = $1)"],
            "Sort  (cost=1)",
        ),
    ):
        assert schema.is_long(asked(), plan)
        assert not schema.is_long(asked(listed=True), plan)
        assert schema.is_long(asked(listed=True), [sort, *plan])


def test_every_table_grows_but_for_those_that_are_there_and_do_not():
    assert len(growing()) > 40
    indexes = {index.name for table in Base.metadata.tables.values() for index in table.indexes}
    assert FEW.keys() <= Base.metadata.tables.keys()
    assert PARTIAL.keys() <= indexes


def test_what_goes_with_a_row_is_found_by_an_index():
    """No plan tells of what a deletion takes along. Organizations are never deleted."""
    slow: list[str] = []
    for name in growing():
        table = Base.metadata.tables[name]
        indexed = [list(key.columns) for key in (table.primary_key, *table.indexes)]
        indexed += [
            list(key.columns) for key in table.constraints if isinstance(key, sa.UniqueConstraint)
        ]
        first = {columns[0].name for columns in indexed}
        slow += [
            f"{name}.{key.parent.name}"
            for key in table.foreign_keys
            if key.column.table.name != "organizations" and key.parent.name not in first
        ]
    assert slow == []
