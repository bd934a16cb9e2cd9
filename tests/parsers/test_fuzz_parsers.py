"""The short form of `make fuzz-parsers`."""

from __future__ import annotations

import pytest
from tests.parsers.fuzzing import TARGETS, Target, fuzz


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_is_nearly_right_is_taken_or_refused(target: Target) -> None:
    outcome = fuzz(target, 100, 1)
    assert outcome.inputs >= 100
    # It is not all refused at the door, nor all taken.
    assert outcome.refused < outcome.inputs
    if target.refusal:
        assert outcome.refused > 0
