"""Usage is read from sums of months and days, and is what the ledger's lines would say."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.billing.office import Office, opened

from chorus.billing import sums
from chorus.billing.schemas import GroupBy
from chorus.billing.tables import LedgerLine
from chorus.billing.usage import _by_months as by_months  # pyright: ignore[reportPrivateUsage]
from chorus.billing.usage import _parts as parts_of  # pyright: ignore[reportPrivateUsage]
from chorus.billing.usage import usage
from chorus.db import utcnow

KEYS: dict[GroupBy | None, str] = {
    None: "organization_id",
    "agent": "agent_id",
    "meter": "meter",
    "day": "called_at",
}
NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncGenerator[Office, None]:
    async with opened(tmp_path, database_url) as office:
        yield office


@pytest.mark.parametrize(
    ("start", "end", "parts"),
    [
        ("2026-05-01T00:00", "2026-05-03T00:00", [("01T00", "03T00", True)]),
        ("2026-05-01T06:00", "2026-05-01T07:00", [("01T06", "01T07", False)]),
        ("2026-05-01T06:00", "2026-05-02T00:00", [("01T06", "02T00", False)]),
        (
            "2026-05-01T06:00",
            "2026-05-03T08:00",
            [("01T06", "02T00", False), ("02T00", "03T00", True), ("03T00", "03T08", False)],
        ),
        (
            "2026-05-09T06:00",
            "2026-05-10T12:00",
            [("09T06", "10T00", False), ("10T00", "11T00", True)],
        ),
        ("2026-05-10T00:00", "2027-01-01T00:00", [("10T00", "11T00", True)]),
        ("2026-05-20T00:00", "2026-05-21T00:00", [("20T00", "21T00", False)]),
    ],
)
def test_which_days_are_whole(start: str, end: str, parts: list[tuple[str, str, bool]]):
    found = parts_of(
        datetime.fromisoformat(start + "+00:00"), datetime.fromisoformat(end + "+00:00"), NOW
    )
    assert [(f"{a:%dT%H}", f"{b:%dT%H}", whole) for a, b, whole in found] == parts


@pytest.mark.parametrize(
    ("start", "end", "parts"),
    [
        ("2026-03-01", "2026-05-01", ["months 03-01 05-01"]),
        (
            "2026-02-27",
            "2026-04-03",
            ["days 02-27 03-01", "months 03-01 04-01", "days 04-01 04-03"],
        ),
        ("2026-03-02", "2026-04-01", ["days 03-02 04-01"]),
        ("2026-03-02", "2026-05-11", ["days 03-02 04-01", "months 04-01 06-01"]),  # up to now
        ("2025-12-31", "2026-02-01", ["days 12-31 01-01", "months 01-01 02-01"]),
        ("2026-05-10", "2026-05-11", ["days 05-10 05-11"]),
    ],
)
def test_which_months_are_whole(start: str, end: str, parts: list[str]):
    first, last = (datetime.fromisoformat(f"{each}T00:00+00:00") for each in (start, end))
    found = by_months(first, last, NOW)
    names = {"usage_days": "days", "usage_months": "months"}
    assert [f"{names[table.name]} {a:%m-%d} {b:%m-%d}" for a, b, table in found] == parts


async def test_a_year_by_months_is_what_its_lines_are(office: Office):
    """Whole months from their sums, the days at its beginning, and the hours before those."""
    own, now = await office.organization(1), utcnow()
    agents = [uuid.uuid4() for _ in range(3)]
    rows: list[dict[str, Any]] = []
    for days in range(1, 400, 6):
        at = now - timedelta(days=days, hours=days % 24)
        rows.append(
            {
                "id": uuid.uuid4(),
                "organization_id": own,
                "kind": "charge",
                "call_id": uuid.uuid4(),
                "meter": ("telephony", "voice")[days % 2],
                "sequence": 0,
                "engine": "e",
                "discarded": days % 5 == 0,
                "quantity": days,
                "amount_micros": 1000 * days,
                "charged": False,
                "agent_id": agents[days % 3],
                "called_at": at,
                "created_at": at,
            }
        )
    start = now - timedelta(days=365, hours=5)
    inside = [row for row in rows if row["called_at"] >= start]
    async with office.database.writing() as session:
        await session.execute(sa.insert(LedgerLine), rows)
        await sums.recount(session, own)
    async with office.database.reading() as session:
        for group, key in KEYS.items():
            expected: dict[str, int] = {}
            for row in inside:
                name = f"{row[key]:%Y-%m-%d}" if group == "day" else str(row[key])
                expected[name] = expected.get(name, 0) + row["amount_micros"]
            found = await usage(session, own, start, now, group)
            assert {each.key: round(each.cost * 1_000_000) for each in found} == expected
            assert sum(each.calls for each in found) == len(inside)
