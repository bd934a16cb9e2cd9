"""Whether a process can do its work, and what is missing if it cannot: `GET /readyz`."""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec
from os import W_OK, access

from chorus.accounts import seal
from chorus.accounts.secrets import SecretsUnreadable
from chorus.calls.switchboard import Switchboard
from chorus.migrations import run as migrations
from chorus.speech.local import whisper_for

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0


async def parts(switchboard: Switchboard) -> dict[str, str]:
    """What the process needs, by name: `ok`, or a sentence that says what is wrong with it."""
    found = {"database": "ok"}
    if "media" in switchboard.settings.roles:
        found |= {"engines": _engines(switchboard), "recordings": _recordings(switchboard)}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            schema = await migrations.current(switchboard.database)
            async with switchboard.database.reading() as session:
                await seal.check(session, switchboard.secrets)
    except SecretsUnreadable as wrong:
        log.error("not ready: %s", wrong)
        found["secrets"] = "cannot be read: CHORUS_SECRET_KEY is not the one they were written with"
    except Exception:
        log.exception("not ready: the database does not answer")
        found["database"] = "unreachable"
    else:
        found["schema"] = _schema(schema)
    if (unwritten_s := switchboard.heartbeat.unwritten_s) is not None:
        found["database"] = f"cannot be written to, for {unwritten_s:.0f} s"
    if switchboard.stopping:
        found["server"] = "is stopping"
    return found


class Looks:
    """One look at a time, shared by all who ask meanwhile: anybody may ask, and each reads the
    database."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._looking: asyncio.Task[dict[str, str]] | None = None

    async def parts(self) -> dict[str, str]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(parts(self._switchboard), name="readiness")
        # Whoever goes away leaves it to the others.
        return await asyncio.shield(self._looking)


def _schema(found: str | None) -> str:
    try:
        wanted = migrations.head()
    except Exception:
        log.exception("not ready: the migrations cannot be read")
        return "cannot be compared: this installation's migrations cannot be read"
    return "ok" if found == wanted else f"is {found}, needs {wanted}: run `chorus migrate`"


def _engines(switchboard: Switchboard) -> str:
    if switchboard.loading:
        return f"are being loaded: {', '.join(switchboard.engines.loading) or 'nearly done'}"
    if switchboard.catalogues.base.default_voice is None:
        return "no voice is installed; see `chorus doctor`"
    settings = switchboard.settings
    hears = find_spec("pocketsphinx") is not None or whisper_for(settings.models_dir, None)
    if not hears and not settings.simulated:
        return "no transcriber is installed; see `chorus doctor`"
    return "ok"


def _recordings(switchboard: Switchboard) -> str:
    # Made when the first server starts; until then its folder's parent counts.
    folder = switchboard.recordings
    folder = folder if folder.exists() else switchboard.settings.data_dir
    return "ok" if access(folder, W_OK) else f"the folder {folder.name} cannot be written"
