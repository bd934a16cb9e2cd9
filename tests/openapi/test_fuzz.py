"""Every operation, with data that fits its schema and data that does not, on both databases.

The short form: the same requests every time. `make fuzz` is the long one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import settings_for
from tests.openapi.fuzzing import fuzz, listening

# "coverage", which is wrong in every way that the schema knows, takes two minutes: `make fuzz`.
PHASES = "examples,fuzzing,stateful"


@pytest.mark.timeout(400)
async def test_the_server_keeps_to_its_document(tmp_path: Path, database_url: str):
    async with listening(settings_for(tmp_path, database_url=database_url)) as url:
        outcome = await fuzz(
            url,
            tmp_path,
            *("--generation-deterministic", "--max-examples", "3", "--phases", PHASES),
        )
    assert outcome.passed, outcome.output
    # That it did what it was to do.
    assert outcome.operations >= 70
    assert outcome.cases > 300
