"""`chorus models`: which models that hear and speak are here, and how to get the others.

Nothing but these commands fetches anything: a server and a call take what is in the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from chorus.languages import code_of
from chorus.settings import Settings
from chorus.speech.weights.bring import CannotBring, bring
from chorus.speech.weights.fetch import PullFailed
from chorus.speech.weights.fetch import pull as fetch
from chorus.speech.weights.manifest import DEFAULTS, MANIFEST, File, Weights, find
from chorus.speech.weights.store import Store, defaults, for_languages, megabytes

_DECLINED = ".declined"
_BAR = 24


def show(settings: Settings, options: argparse.Namespace) -> int:
    store = Store(settings.models_dir)
    rows = [(weights, _state(store, weights)) for weights in MANIFEST]
    if options.json:
        print(json.dumps([_as_json(weights, state) for weights, state in rows], indent=2))
        return 0
    wide = max(len(weights.name) for weights in MANIFEST)
    for weights, state in rows:
        print(f"{weights.name:{wide}}  {megabytes(weights.size):>6}  {state:8}  {weights.does}")
        print(f"{'':{wide}}  {weights.licence}")
    print(f"\nin {store.root.absolute()}; what a call needs: chorus models pull")
    return 0


def pull(settings: Settings, options: argparse.Namespace) -> int:
    wanted = _named(options.names or DEFAULTS)
    if wanted is None:
        return 2
    store = Store(settings.models_dir)
    source = Path(options.source).expanduser() if options.source else None
    worked = [_pull(settings, store, weights, source) for weights in wanted]
    return 0 if all(worked) else 1


def offer(settings: Settings, options: argparse.Namespace) -> int:
    """Before a start: what a call needs, and what the languages of the agents need. Asked once, on
    a terminal only, and a no is remembered. Always 0, as the server runs without them."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return 0
    store = Store(settings.models_dir)
    declined = store.root / _DECLINED
    refused = _refused(declined)
    others = for_languages(asyncio.run(spoken_languages(settings)))
    if any(each.kind == "transcriber" and not each.languages for each in store.installed()):
        others = [each for each in others if each.kind != "transcriber"]  # a larger one is here
    wanted = [
        weights
        for weights in (*defaults(), *others)
        if not store.complete(weights) and weights.name not in refused
    ]
    if not wanted:
        return 0
    print("For a free conversation with a natural voice Chorus needs these files:")
    for weights in wanted:
        print(f"  {weights.name}: {weights.does}, {megabytes(weights.size)}; {weights.licence}")
    total = megabytes(sum(weights.size for weights in wanted))
    try:
        answer = input(f"Fetch them now ({total} into {store.root})? [Y/n] ")
    except (EOFError, KeyboardInterrupt):
        print()
        return 0
    if answer.strip().lower() in ("", "y", "yes"):
        for weights in wanted:
            _pull(settings, store, weights, None)
        return 0
    store.root.mkdir(parents=True, exist_ok=True)
    declined.write_text("".join(f"{name}\n" for name in refused | {w.name for w in wanted}))
    print("Not now. `chorus models pull` does it at any time.")
    return 0


def _refused(declined: Path) -> set[str]:
    """Names of models that nobody wanted. An empty file is an older one, of the defaults."""
    try:
        return set(declined.read_text().split()) or set(DEFAULTS)
    except OSError:
        return set()


async def spoken_languages(settings: Settings) -> set[str]:
    """Which the agents' callers speak; none where there is no database yet."""
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    from chorus.agents.tables import Agent
    from chorus.db import Database

    if settings.is_sqlite and not settings.sqlite_path.exists():
        return set()
    database = Database(settings)
    try:
        async with asyncio.timeout(10), database.reading() as session:
            rows = (await session.execute(sa.select(Agent.language_hint, Agent.languages))).all()
    except (SQLAlchemyError, OSError, TimeoutError):
        return set()
    finally:
        await database.close()
    return {code_of(tag) for hint, several in rows for tag in (hint, *several)}


def verify(settings: Settings, options: argparse.Namespace) -> int:
    store = Store(settings.models_dir)
    wanted = _named(options.names) if options.names else store.installed()
    if wanted is None:
        return 2
    if not wanted:
        print(f"No model is in {store.root}.")
    worked = True
    for weights in wanted:
        problems = store.verify(weights)
        print(f"{weights.name}: {'as it should be' if not problems else 'damaged'}")
        for problem in problems:
            print(f"  {problem}")
        if problems:
            print(f"  → chorus models remove {weights.name} && chorus models pull {weights.name}")
            worked = False
    return 0 if worked else 1


def remove(settings: Settings, options: argparse.Namespace) -> int:
    store = Store(settings.models_dir)
    wanted = _named(options.names)
    if wanted is None:
        return 2
    for weights in wanted:
        print(f"{weights.name}: {'removed' if store.remove(weights) else 'was not here'}")
    return 0


def _named(names: Sequence[str]) -> list[Weights] | None:
    """None, after a sentence, where there is no such model."""
    found = [(name, find(name)) for name in names]
    for name, weights in found:
        if weights is None:
            known = ", ".join(weights.name for weights in MANIFEST)
            print(f"There is no model {name!r}; there are {known}.", file=sys.stderr)
            return None
    return [weights for _, weights in found if weights is not None]


def _pull(settings: Settings, store: Store, weights: Weights, source: Path | None) -> bool:
    try:
        if source is None:
            with _Bar(weights) as bar:
                fetch(weights, store, mirror=settings.models_mirror, progress=bar)
        elif missing := bring(weights, store, source):
            names = ", ".join(missing)
            print(f"{weights.name}: {names} not in {source}, by size and hash", file=sys.stderr)
            return False
    except (PullFailed, CannotBring) as failure:
        print(f"{weights.name}: {failure}", file=sys.stderr)
        return False
    except OSError as error:
        print(f"{weights.name}: {store.root} cannot be used: {error}", file=sys.stderr)
        return False
    except KeyboardInterrupt:
        print(f"\n{weights.name}: stopped; the next pull goes on from here", file=sys.stderr)
        return False
    print(f"{weights.name}: here, {megabytes(weights.size)}; {weights.licence}")
    return True


def _state(store: Store, weights: Weights) -> str:
    if store.complete(weights):
        return "here"
    return "in part" if store.begun(weights) else "-"


def _as_json(weights: Weights, state: str) -> dict[str, object]:
    return {
        "name": weights.name,
        "kind": weights.kind,
        "does": weights.does,
        "languages": list(weights.languages),
        "licence": weights.licence,
        "bytes": weights.size,
        "installed": state == "here",
        "default": weights.name in DEFAULTS,
        "tried": weights.tried,
    }


class _Bar:
    """How far a model's files have come: drawn over itself on a terminal, a line a quarter
    elsewhere."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._done: dict[str, int] = {}
        self._drawn = -1
        self._began = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._drawn >= 0:
            print("\r\x1b[K", end="", flush=True)

    def __call__(self, file: File, done: int) -> None:
        self._done[file.name] = done
        here, size = sum(self._done.values()), self._weights.size
        step = here * (1000 if self._terminal else 4) // size
        if step == self._drawn:
            return
        self._drawn = step
        if not self._terminal:
            print(f"{self._weights.name}: {megabytes(here)} of {megabytes(size)}", flush=True)
            return
        full = here * _BAR // size
        bar = "█" * full + "·" * (_BAR - full)
        rate = here / 1e6 / max(0.001, time.monotonic() - self._began)
        line = f"{self._weights.name} {bar} {here / 1e6:.0f}/{megabytes(size)} {rate:.1f} MB/s"
        print(f"\r\x1b[K{line}", end="", flush=True)
