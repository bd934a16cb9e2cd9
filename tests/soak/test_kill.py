"""The server dies at any moment of a call: nobody is called twice, no call is left hanging."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.soak.handing import OPEN
from tests.soak.kill import Report, run
from tests.soak.stages import STAGES

from chorus.demo.ways import way_of


def fine(report: Report, kills: int) -> None:
    print(f"\n{report}\n{report.reached}")
    assert report.problems == []
    assert report.kills == kills
    assert report.dialled > 0


def _plain(database_url: str) -> str | None:
    """As psycopg takes it; None for SQLite."""
    on_postgres = database_url.startswith("postgresql")
    return database_url.replace("+psycopg", "") if on_postgres else None


@pytest.mark.timeout(240)
async def test_killed_a_few_times(tmp_path: Path, database_url: str):
    fine(await run(tmp_path, kills=2, database_url=_plain(database_url)), 2)


@pytest.mark.timeout(240)
async def test_killed_with_calls_over_sip(tmp_path: Path):
    """Calls, their records, their news and their money, as with media streams."""
    # By this seed, as soon as five are talking.
    report = await run(tmp_path, kills=1, seed=12, way=way_of("sip"))
    fine(report, 1)
    assert report.came_in > 0
    assert report.calls_in["talks"] + report.calls_in["rings"] > 0


@pytest.mark.slow
@pytest.mark.timeout(5400)
async def test_killed_a_hundred_times_with_calls_over_sip(tmp_path: Path):
    fine(await run(tmp_path, kills=100, way=way_of("sip")), 100)


@pytest.mark.slow
@pytest.mark.timeout(5400)
async def test_killed_while_callers_are_handed_on(tmp_path: Path, database_url: str):
    report = await run(tmp_path, kills=40, database_url=_plain(database_url), transfers=True)
    fine(report, 40)
    assert set(OPEN) <= set(report.kills_in), "no transfer was in that state at any kill"


@pytest.mark.slow
@pytest.mark.timeout(5400)
async def test_killed_a_hundred_times(tmp_path: Path, database_url: str):
    report = await run(tmp_path, kills=100, database_url=_plain(database_url))
    fine(report, 100)
    assert set(report.kills_in) == set(STAGES), "no call was there at any kill"


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_workers_killed_a_few_times(tmp_path: Path, postgres_url: str):
    fine(await run(tmp_path, kills=4, workers=2, calls_a_round=8, database_url=postgres_url), 4)


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_workers_killed_a_hundred_times(tmp_path: Path, postgres_url: str):
    report = await run(tmp_path, kills=100, workers=2, calls_a_round=8, database_url=postgres_url)
    fine(report, 100)
