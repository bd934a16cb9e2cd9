"""`chorus doctor`: what works on this machine, what does not, and how to get it.

Each check gives findings; one that must hold for the server to run at all and does not makes
the exit status 1. Nothing is changed, except that the data folder is tried with a file that is
removed again.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.secrets import KEY_FILE
from chorus.accounts.tables import ApiKey, Organization
from chorus.catalogue.catalogue import Catalogue
from chorus.db import Database
from chorus.migrations import run as migrations
from chorus.settings import Settings
from chorus.speech.models import model_states

_LOCAL = "pip install 'chorus-voice[local]'"


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: it works, it is worth knowing, or the server cannot run with it."""

    state: Literal["ok", "note", "problem"]
    what: str
    says: str
    advice: str | None = None


def report(settings: Settings, *, as_json: bool) -> int:
    """Print the findings; returns the exit status."""
    findings = [
        *_data_folder(settings),
        *asyncio.run(_database(settings)),
        *_secret_key(settings),
        *_speech(settings),
        *_models(settings),
        *_lines(settings),
        *(Finding("note", "settings", warning) for warning in settings.unknown_warnings()),
    ]
    healthy = all(finding.state != "problem" for finding in findings)
    if as_json:
        print(json.dumps({"ok": healthy, "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
        for finding in findings:
            print(f"{marks[finding.state]}  {finding.what}: {finding.says}")
            if finding.advice:
                print(f"         → {finding.advice}")
        print("\nReady to serve." if healthy else "\nNot ready: see the problems above.")
    return 0 if healthy else 1


def _data_folder(settings: Settings) -> Iterable[Finding]:
    folder = settings.data_dir.absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=nearest):
            pass
    except OSError as error:
        yield Finding(
            "problem",
            "data folder",
            f"{nearest} cannot be written to ({error.strerror})",
            "set CHORUS_DATA_DIR to a folder that this user may write to",
        )
        return
    made = "" if nearest == folder else " (will be made)"
    yield Finding("ok", "data folder", f"{folder}{made}")


async def _database(settings: Settings) -> Iterable[Finding]:
    kind = "SQLite" if settings.is_sqlite else "Postgres"
    if settings.is_sqlite and not settings.sqlite_path.exists():
        return [Finding("ok", "database", f"SQLite at {settings.sqlite_path} (will be made)")]
    database = Database(settings)
    try:
        async with asyncio.timeout(10):
            current, head = await migrations.current(database), migrations.head()
            if current != head:
                advice = "run `chorus migrate`" + (
                    ", or just `chorus serve`" if settings.is_sqlite else ""
                )
                state = "note" if settings.is_sqlite else "problem"
                says = f"{kind}, schema {current or 'empty'}, this version needs {head}"
                return [Finding(state, "database", says, advice)]
            async with database.reading() as session:
                organizations = await session.scalar(
                    sa.select(sa.func.count()).select_from(Organization)
                )
                keys = await session.scalar(
                    sa.select(sa.func.count())
                    .select_from(ApiKey)
                    .where(ApiKey.revoked_at.is_(None))
                )
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        text = str(cause).strip() or type(cause).__name__
        advice = "check CHORUS_DATABASE_URL, and that the server runs"
        return [Finding("problem", "database", f"{kind} does not answer: {text}", advice)]
    finally:
        await database.close()
    found = [Finding("ok", "database", f"{kind}, schema {head}, {organizations} organization(s)")]
    if organizations and not keys:
        advice = "run `chorus keys create <name>`"
        found.append(Finding("note", "API keys", "there is none that works", advice))
    else:
        says = f"{keys} in use" if keys else "the first is made and printed at the first start"
        found.append(Finding("ok", "API keys", says))
    return found


def _secret_key(settings: Settings) -> Iterable[Finding]:
    path = settings.data_dir.absolute() / KEY_FILE
    if settings.secret_keys:
        yield Finding("ok", "secret key", f"{len(settings.secret_keys)} from CHORUS_SECRET_KEY")
        return
    says = f"{path}" if path.exists() else f"{path} (will be made)"
    yield Finding("ok", "secret key", says, "keep a copy: stored credentials are lost without it")
    if path.exists() and path.stat().st_mode & 0o077:
        yield Finding("note", "secret key", "others may read it", f"chmod 600 {path}")


def _speech(settings: Settings) -> Iterable[Finding]:
    for state in model_states():
        if state.path:
            yield Finding("ok", state.name, state.does)
        else:
            yield Finding("note", state.name, f"missing ({state.does})", state.advice)
    for module, what in (
        ("pocketsphinx", "transcription offline"),
        ("espeakng_loader", "espeak voices"),
    ):
        if find_spec(module):
            yield Finding("ok", what, "installed")
        else:
            yield Finding("note", what, "not installed", _LOCAL)
    voices = Catalogue.of(settings).voices
    if voices:
        yield Finding("ok", "voices", f"{len(voices)}, the default is {voices[0].name}")
    else:
        yield Finding("problem", "voices", "there is none", _LOCAL)


def _models(settings: Settings) -> Iterable[Finding]:
    names = ", ".join(model.name for model in Catalogue.of(settings).models)
    yield Finding("ok", "language models", names)
    if not settings.openai_usable:
        yield Finding(
            "note",
            "language models",
            "only scripted answers: no language model's API is set up",
            "set CHORUS_OPENAI_API_KEY, or CHORUS_OPENAI_BASE_URL for a server of your own",
        )


def _lines(settings: Settings) -> Iterable[Finding]:
    if settings.public_url is None:
        yield Finding(
            "note",
            "telephone lines",
            f"carriers cannot reach {settings.url}",
            "set CHORUS_PUBLIC_URL to the address where this server is reached from outside",
        )
    elif not settings.public_url.startswith("https://"):
        yield Finding(
            "note",
            "telephone lines",
            f"{settings.public_url} is not https; carriers ask for it",
            "put a proxy with a certificate in front of Chorus",
        )
    else:
        yield Finding("ok", "telephone lines", f"carriers reach {settings.public_url}")
