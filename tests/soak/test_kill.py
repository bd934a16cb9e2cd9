"""The server dies at any moment of a call: nobody is called twice, no call is left hanging."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.soak.kill import Report, run


def fine(report: Report, kills: int) -> None:
    print(report)
    assert report.problems == []
    assert report.kills == kills
    assert report.dialled > 0


@pytest.mark.timeout(240)
async def test_killed_once(tmp_path: Path, database_url: str):
    postgres = database_url if database_url.startswith("postgresql") else None
    url = postgres.replace("+psycopg", "") if postgres else None
    fine(await run(tmp_path, kills=1, database_url=url, calls_a_round=12), 1)


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_a_hundred_times(tmp_path: Path, database_url: str, seed: int):
    postgres = database_url if database_url.startswith("postgresql") else None
    url = postgres.replace("+psycopg", "") if postgres else None
    fine(await run(tmp_path, kills=100, database_url=url, seed=seed), 100)
