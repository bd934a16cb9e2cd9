"""Each script in tests/scripts/ leads to exactly the events that it says; see `turn_script`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.talk.turns.turn_script import Script

SCRIPTS = sorted(Path(__file__).parents[2].joinpath("scripts").glob("*.turns"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    assert Script(path).run() == path.read_text(encoding="utf-8")


def test_scripts_are_there() -> None:
    assert len(SCRIPTS) >= 25
