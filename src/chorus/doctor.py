"""`chorus doctor`: what works on this machine, what does not, and how to get it.

Each check gives findings; one that must hold for the server to run and to hold calls, and does not,
makes the exit status 1. What can be tried is tried: the data folder with a file that is removed
again, the models by loading them, the voice and the transcriber by starting them, the language
models' API by asking it for its models, each of the operator's keys by one small request. Nothing
is changed.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from chorus import doctor_keys, doctor_prices
from chorus.accounts import seal
from chorus.accounts.secrets import KEY_FILE, Secrets, SecretsUnreadable
from chorus.accounts.tables import ApiKey, Organization
from chorus.agents.check import heard_here
from chorus.agents.tables import Agent
from chorus.catalogue.catalogue import Catalogue
from chorus.catalogue.catalogues import Catalogues
from chorus.catalogue.engines import hears_too_little
from chorus.db import Database
from chorus.db_trouble import trouble
from chorus.doctor_beside import beside
from chorus.extras import how_to_install
from chorus.finding import Finding, Findings
from chorus.llm.model import ModelFailed
from chorus.llm.openai import Endpoint
from chorus.migrations import run as migrations
from chorus.numbers.queries import connection
from chorus.numbers.tables import PhoneNumber
from chorus.recordings.store import Store, StoreFailed
from chorus.settings import Settings
from chorus.speech import local
from chorus.speech.engines import EngineFailed
from chorus.speech.eot.smart_turn import SmartTurn
from chorus.speech.models import ModelName, ModelState, model_states
from chorus.speech.threads import ModelThreads
from chorus.speech.weights.manifest import OTHER_LANGUAGES
from chorus.speech.weights.store import Store as WeightsStore
from chorus.speech.weights.store import missing_for_a_call

_ENOUGH_BYTES, _LEAST_BYTES = 1024**3, 32 * 1024**2
_DATABASE_S = 15
"""Longer than SQLite waits for a lock, so that it can say that it did."""


def report(settings: Settings, *, as_json: bool) -> int:
    """Print the findings; returns the exit status."""
    findings = [
        *_data_folder(settings),
        *asyncio.run(_database(settings)),
        *_secret_key(settings),
        *asyncio.run(doctor_prices.findings(settings)),
        *asyncio.run(_storage(settings)),
        *asyncio.run(_engines(settings)),
        *asyncio.run(doctor_keys.findings(settings)),
        *_lines(settings),
        *(Finding("note", "settings", warning) for warning in settings.warnings()),
    ]
    return tell(findings, as_json=as_json)


def tell(findings: Findings, *, as_json: bool) -> int:
    """Print them; returns the exit status."""
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
    if nearest == folder and folder.stat().st_mode & 0o077:
        says = "others on this machine may read it: transcripts, numbers, recordings"
        yield Finding("note", "data folder", says, f"chmod -R go= {folder}")
    free = shutil.disk_usage(nearest).free
    if free < _ENOUGH_BYTES:
        says = f"{free // 2**20} MiB are left on its disk"
        yield Finding("note" if free > _LEAST_BYTES else "problem", "disk", says, "make room")


async def _database(settings: Settings) -> Iterable[Finding]:
    kind = "SQLite" if settings.is_sqlite else "Postgres"
    if settings.is_sqlite and not settings.sqlite_path.exists():
        return [Finding("ok", "database", f"SQLite at {settings.sqlite_path} (will be made)")]
    database = Database(settings)
    try:
        async with asyncio.timeout(_DATABASE_S):
            current, head = await migrations.current(database), migrations.head()
            if current != head:
                advice = "run `chorus migrate`" + (
                    ", or just `chorus serve`" if settings.is_sqlite else ""
                )
                state = "note" if settings.is_sqlite else "problem"
                says = f"{kind}, schema {current or 'empty'}, this version needs {head}"
                return [Finding(state, "database", says, advice)]
            if settings.is_sqlite:
                async with database.engine.connect() as connection:
                    # Whether the write lock can be had; nothing is written.
                    await connection.execution_options(chorus_writes=True)
                    await connection.execute(sa.text("SELECT 1"))
                    await connection.rollback()
            async with database.reading() as session:
                sealed = await _seal(settings, session)
                organizations = await session.scalar(
                    sa.select(sa.func.count()).select_from(Organization)
                )
                numbers = list(await session.scalars(sa.select(PhoneNumber)))
                heard = await _heard_here(settings, database, session)
                keys = await session.scalar(
                    sa.select(sa.func.count())
                    .select_from(ApiKey)
                    .where(ApiKey.revoked_at.is_(None))
                )
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        found = trouble(settings, error)
        says = f"{kind} cannot be used: {found.says}"
        if isinstance(error, TimeoutError):
            says = f"{kind} does not answer within {_DATABASE_S} s"
        return [Finding("problem", "database", says, found.advice)]
    finally:
        await database.close()
    found = [Finding("ok", "database", f"{kind}, schema {head}, organizations: {organizations}")]
    if organizations and not keys:
        advice = "run `chorus keys create <name>`"
        found.append(Finding("note", "API keys", "there is none that works", advice))
    else:
        says = f"{keys} in use" if keys else "the first is made and printed at the first start"
        found.append(Finding("ok", "API keys", says))
    return [*found, *sealed, *_numbers(settings, numbers), *_languages(settings, heard)]


def _numbers(settings: Settings, numbers: Sequence[PhoneNumber]) -> Iterable[Finding]:
    if not numbers:
        advice = "create one with POST /v1/phone-numbers"
        yield Finding("note", "phone numbers", "there is none: nobody can call", advice)
        return
    carriers = Counter(number.provider for number in numbers)
    says = ", ".join(f"{count} of {provider}" for provider, count in sorted(carriers.items()))
    yield Finding("ok", "phone numbers", says)
    silent = sum(number.agent_id is None for number in numbers)
    if silent:
        advice = "set their agentId with PATCH /v1/phone-numbers/{id}"
        yield Finding("note", "phone numbers", f"{silent} without an agent take no calls", advice)
    advice = "bring back the key that they were encrypted with, or enter them anew"
    try:
        secrets = _secrets(settings)
        for number in numbers:
            connection(number, secrets)
    except SecretsUnreadable as error:
        yield Finding("note", "phone numbers", f"credentials cannot be read: {error}", advice)


async def _heard_here(
    settings: Settings, database: Database, session: AsyncSession
) -> Counter[str]:
    """For how many agents this machine is to hear which language. Where a vendor hears it need
    not; keys that cannot be read are a finding of their own, and their vendors hear nobody."""
    base = Catalogue.of(settings)
    catalogues = Catalogues(settings, database, lambda: _secrets(settings), base)
    query = sa.select(Agent).options(
        load_only(Agent.organization_id, Agent.transcriber_id, Agent.language_hint, Agent.languages)
    )
    agents = defaultdict[uuid.UUID, list[Agent]](list)
    for agent in await session.scalars(query):
        agents[agent.organization_id].append(agent)
    counts = Counter[str]()
    for organization_id, of_it in agents.items():
        catalogue = await catalogues.of(session, organization_id)
        for agent in of_it:
            counts.update(heard_here(catalogue, agent))
    return counts


def _secrets(settings: Settings) -> Secrets:
    """Raises `SecretsUnreadable` where the key is gone: another is made by nobody but a server."""
    if not settings.secret_keys and not _key_file(settings).exists():
        raise SecretsUnreadable(f"{_key_file(settings)} is gone")
    try:
        return Secrets.of(settings)
    except OSError as error:
        raise SecretsUnreadable(str(error)) from error


def _languages(settings: Settings, heard: Counter[str]) -> Iterable[Finding]:
    """Agents whose callers speak what nothing on this machine hears, where no vendor hears them."""
    for code, count in sorted(heard.items()):
        if code in ("", "en") or local.whisper_for(settings.models_dir, code) is not None:
            continue
        says = f"callers of {count} agents speak {code!r}; what is installed hears English only"
        advice = f"run `chorus models pull {OTHER_LANGUAGES}`, or name a vendor's transcriber"
        yield Finding("note", "hearing", says, advice)


async def _seal(settings: Settings, session: AsyncSession) -> Findings:
    """Whether the key is the one that the database was written with."""
    if not settings.secret_keys and not _key_file(settings).exists():
        return []
    try:
        await seal.check(session, Secrets.of(settings))
    except (SecretsUnreadable, OSError) as error:
        advice = "bring back the key that the secrets were encrypted with"
        return [Finding("problem", "secret key", str(error), advice)]
    return []


def _key_file(settings: Settings) -> Path:
    return settings.data_dir.absolute() / KEY_FILE


def _secret_key(settings: Settings) -> Iterable[Finding]:
    path = _key_file(settings)
    if settings.secret_keys:
        yield Finding("ok", "secret key", f"{len(settings.secret_keys)} from CHORUS_SECRET_KEY")
        return
    if path.exists():
        try:
            Secrets.of(settings)
        except (SecretsUnreadable, OSError) as error:
            yield Finding("problem", "secret key", str(error), f"bring back a copy of {path}")
            return
    says = f"{path}" if path.exists() else f"{path} (will be made)"
    yield Finding("ok", "secret key", says, "keep a copy: stored credentials are lost without it")
    if path.exists() and path.stat().st_mode & 0o077:
        yield Finding("note", "secret key", "others may read it", f"chmod 600 {path}")


async def _storage(settings: Settings) -> Findings:
    """Recordings that have to go somewhere else than into the data folder."""
    if not settings.storage_url:
        return []
    what = "recordings"
    try:
        store = Store.of(settings)
        await store.check()
    except (StoreFailed, OSError) as failure:
        advice = "check CHORUS_STORAGE_URL and the CHORUS_S3 settings: until then they stay here"
        return [Finding("problem", what, str(failure), advice)]
    return [Finding("ok", what, f"can be stored in {store.where}")]


async def _engines(settings: Settings) -> Iterable[Finding]:
    """All at once: each takes a second or so to come up."""
    catalogue = Catalogue.of(settings)
    found = await asyncio.gather(
        asyncio.to_thread(_detecting),
        _judging(),
        _hearing(settings),
        _speaking(settings, catalogue),
        _thinking(settings, catalogue),
    )
    return [finding for findings in found for finding in findings]


def _detecting() -> Findings:
    state = _model("silero_vad")
    if state.advice:
        return [_unusable(state)]
    loaded = local.local_detector()
    if loaded.name == "silero":
        return [Finding("ok", state.name, state.does)]
    return [_unloadable(state, f"{loaded.name} takes its place")]


async def _judging() -> Findings:
    """The end of turns: its model, in the process in which a call has it."""
    state = _model("smart_turn")
    if state.advice:
        return [_unusable(state)]
    engine = await asyncio.to_thread(local.local_end_of_turn)
    if not isinstance(engine, SmartTurn):
        return [_unloadable(state, f"{engine.name} takes its place")]
    try:
        await engine.warm()
    except EngineFailed as failure:
        return [_unloadable(state, f"{failure.detail}; turns end by silence")]
    finally:
        await engine.aclose()
    return [Finding("ok", state.name, state.does)]


def _model(name: ModelName) -> ModelState:
    return next(state for state in model_states() if state.name == name)


def _unusable(state: ModelState) -> Finding:
    return Finding("note", state.name, f"cannot be used ({state.does})", state.advice)


def _unloadable(state: ModelState, instead: str) -> Finding:
    says = f"{state.path} cannot be loaded; {instead}"
    return Finding("note", state.name, says, f"install it anew: {how_to_install('local')}")


async def _hearing(settings: Settings) -> Findings:
    """Without it a call hears nobody, unless all callers are simulated."""
    what = "transcription offline"
    bad: Literal["note", "problem"] = "note" if settings.simulated else "problem"
    missing = missing_for_a_call(WeightsStore(settings.models_dir))
    pull = [Finding("note", "models", f"not here: {missing}")] if missing else []
    if weights := local.whisper_for(settings.models_dir, None):
        threads = ModelThreads(1)
        try:
            await local.local_whisper(settings.models_dir, weights, threads).warm()
        except EngineFailed as failure:
            advice = f"chorus models verify {weights.name}"
            return [*pull, Finding(bad, what, f"{weights.name}: {failure.detail}", advice)]
        finally:
            await threads.aclose()
        return [*pull, Finding("ok", what, f"{weights.name} is loaded and decodes")]
    try:
        engine = local.local_transcriber(workers=1)
    except EngineFailed:
        says = "not installed: no caller can be understood"
        return [*pull, Finding(bad, what, says, how_to_install("local"))]
    try:
        await engine.warm()
    except EngineFailed as failure:
        says = f"installed, but {failure.detail}"
        return [*pull, Finding(bad, what, says, f"reinstall: {how_to_install('local')}")]
    finally:
        await engine.aclose()
    found = [*pull, Finding("ok", what, f"{engine.name} starts; English")]
    if why := hears_too_little(settings):
        found.append(Finding("note", "hearing and thinking", why, "chorus models pull"))
    return found


async def _speaking(settings: Settings, catalogue: Catalogue) -> Findings:
    if not catalogue.voices:
        return [Finding("problem", "voices", "there is none", how_to_install("local"))]
    default = catalogue.voices[0]
    ok = Finding("ok", "voices", f"{len(catalogue.voices)}, the default is {default.name}")
    if default.engine not in ("espeak", "piper"):
        return [ok]
    threads, espeak = ModelThreads(1), local.local_voice()
    try:
        await espeak.warm()
        if default.engine == "piper":
            piper = local.local_piper(settings.models_dir, threads, espeak)
            await piper.warm(default.engine_id)
    except EngineFailed as failure:
        says = f"{default.name} is installed, but {failure.detail}"
        return [Finding("problem", "voices", says, f"reinstall: {how_to_install('local')}")]
    finally:
        await espeak.aclose()
        await threads.aclose()
    return [ok]


async def _thinking(settings: Settings, catalogue: Catalogue) -> Findings:
    what = "language models"
    names = ", ".join(model.name for model in catalogue.models)
    offered = Finding("ok", what, names)
    if not settings.openai_usable:
        says = "only scripted answers: no language model's API is set up"
        advice = "set CHORUS_OPENAI_API_KEY, or CHORUS_OPENAI_BASE_URL for a server of your own"
        if settings.has_foreign_openai_key:
            says += "; OPENAI_API_KEY is set, but Chorus does not use it"
            advice = "export CHORUS_OPENAI_API_KEY=$OPENAI_API_KEY"
        return [offered, Finding("note", what, says, advice), *await beside()]
    endpoint = Endpoint("openai", settings.openai_base_url, settings.openai_api_key or "")
    try:
        known = await endpoint.models()
    except ModelFailed as failure:
        says = f"{settings.openai_base_url} cannot be used: {failure.detail}"
        advice = "check CHORUS_OPENAI_BASE_URL and CHORUS_OPENAI_API_KEY"
        return [offered, Finding("note", what, says, advice)]
    finally:
        await endpoint.aclose()
    missing = ", ".join(name for name in settings.openai_models if name not in known)
    if missing:
        says = f"{settings.openai_base_url} does not list {missing}"
        return [offered, Finding("note", what, says, "check CHORUS_OPENAI_MODELS")]
    return [offered, Finding("ok", what, f"{settings.openai_base_url} answers")]


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
