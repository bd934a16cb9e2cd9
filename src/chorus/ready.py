"""Whether a process can do its work, and what is missing if it cannot: `GET /readyz`."""

from __future__ import annotations

import asyncio
import logging
import os
from importlib.util import find_spec

import sqlalchemy as sa

from chorus.calls.switchboard import Switchboard
from chorus.migrations import run as migrations

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0


async def parts(switchboard: Switchboard) -> dict[str, str]:
    """What the process needs, by name: `ok`, or a sentence that says what is wrong with it."""
    found = {
        "database": "ok",
        "engines": _engines(switchboard),
        "recordings": _recordings(switchboard),
    }
    try:
        async with asyncio.timeout(TIMEOUT_S):
            async with switchboard.database.reading() as session:
                await session.execute(sa.text("SELECT 1"))
            schema, wanted = await migrations.current(switchboard.database), migrations.head()
        found["schema"] = (
            "ok" if schema == wanted else f"is {schema}, needs {wanted}: run `chorus migrate`"
        )
    except Exception:
        log.exception("not ready")
        found["database"] = "unreachable"
    if switchboard.draining:
        found["server"] = "is stopping"
    return found


def _engines(switchboard: Switchboard) -> str:
    if switchboard.catalogue.default_voice is None:
        return "no voice is installed; see `chorus doctor`"
    if find_spec("pocketsphinx") is None and not switchboard.settings.simulated:
        return "no transcriber is installed; see `chorus doctor`"
    return "ok"


def _recordings(switchboard: Switchboard) -> str:
    # Made when the first server starts; until then its folder's parent counts.
    folder = switchboard.recordings
    folder = folder if folder.exists() else switchboard.settings.data_dir
    return "ok" if os.access(folder, os.W_OK) else f"the folder {folder.name} cannot be written"
