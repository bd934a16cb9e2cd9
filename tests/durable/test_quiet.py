"""The library's log: through Chorus's handlers, and not once a second."""

from __future__ import annotations

import logging

import pytest

from chorus.durable import quiet
from chorus.durable.quiet import Quiet


def test_a_line_is_said_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    now = [100.0]
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now[0])
    logger = logging.getLogger("a library's")
    logger.addHandler(logging.StreamHandler())
    logger.propagate = False
    Quiet.hush(logger)
    Quiet.hush(logger)
    for n in range(3):
        logger.warning("the database is away %d", n)
        now[0] += 31
    logger.warning("something else")
    assert [record.message for record in caplog.records] == [
        "the database is away 0",
        "the database is away 2",
        "something else",
    ]
    assert logger.handlers == []
