"""The folder of model files: one folder for each model, and in it the files of the manifest.

A file gets its name only when its hash was right (`fetch.py`, `bring.py`), so that what has
its name and its size is taken for whole; `verify` reads it all again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chorus.speech.weights.manifest import (
    DEFAULTS,
    MANIFEST,
    OTHER_LANGUAGES,
    File,
    Weights,
    find,
)

PART = ".part"


@dataclass(frozen=True, slots=True)
class Store:
    root: Path

    def folder(self, weights: Weights) -> Path:
        return self.root / weights.name

    def has(self, weights: Weights, file: File) -> bool:
        try:
            return (self.folder(weights) / file.name).stat().st_size == file.size
        except OSError:
            return False

    def complete(self, weights: Weights) -> bool:
        return all(self.has(weights, file) for file in weights.files)

    def begun(self, weights: Weights) -> bool:
        """Some of it is there, but not all."""
        names = {file.name for file in weights.files}
        names |= {name + PART for name in names}
        return not self.complete(weights) and any(
            path.name in names for path in self.folder(weights).glob("*")
        )

    def installed(self) -> tuple[Weights, ...]:
        return tuple(weights for weights in MANIFEST if self.complete(weights))

    def verify(self, weights: Weights) -> list[str]:
        """What is wrong, one sentence for each file; reads every byte."""
        found: list[str] = []
        for file in weights.files:
            path = self.folder(weights) / file.name
            if not path.exists():
                found.append(f"{path} is missing")
            elif path.stat().st_size != file.size:
                found.append(f"{path} has {path.stat().st_size} bytes, not {file.size}")
            elif sha256_of(path) != file.sha256:
                found.append(f"{path} holds something else than it should")
        return found

    def remove(self, weights: Weights) -> bool:
        """False where there was nothing."""
        folder = self.folder(weights)
        if not folder.exists():
            return False
        shutil.rmtree(folder)
        return True


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def defaults() -> list[Weights]:
    """What a free conversation needs."""
    return [weights for name in DEFAULTS if (weights := find(name)) is not None]


def for_languages(codes: Iterable[str]) -> list[Weights]:
    """What hears other languages than English, and a voice for each that has one. `codes` are
    BCP 47 without region."""
    wanted = sorted({code for code in codes if code and code != "en"})
    if not wanted:
        return []
    found = [weights for weights in MANIFEST if weights.name == OTHER_LANGUAGES]
    for code in wanted:
        named = (w for w in MANIFEST if w.kind == "voice" and w.languages[0].startswith(f"{code}-"))
        found += [weights for weights in (next(named, None),) if weights is not None]
    return found


def missing_for_a_call(store: Store) -> str | None:
    """Which of the two kinds of models a call would have none of, in one sentence with the
    command; a voice or a transcriber other than the default is as good."""
    installed = {weights.kind for weights in store.installed()}
    missing = [weights for weights in defaults() if weights.kind not in installed]
    if not missing:
        return None
    what = " and ".join(weights.name for weights in missing)
    total = megabytes(sum(weights.size for weights in missing))
    return f"{what} not in {store.root}: run `chorus models pull` ({total})"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
