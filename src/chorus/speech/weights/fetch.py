"""Fetching a model's files, in order: is there room, who answers, what came, is it right.

What has come is kept in `NAME.part` and continued from there (a range request), by the next try
or by the next command; its hash is taken as it comes, and the file gets its name when that is
right. An answer that ends early is asked for again, a few times as long as nothing comes. Only
the hub, what it redirects to, and a mirror that the operator has set are asked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import httpx

from chorus.speech.weights.manifest import HUB, File, Weights
from chorus.speech.weights.store import PART, Store, sha256_of

TRIES = 5
"""How often in a row nothing may come."""
_REDIRECTS = 5
_PIECE = 1 << 16
# The hub itself, and where it redirects for large files (its documentation names both).
_HOSTS = ("huggingface.co", "hf.co")
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_SPARE_BYTES = 50 << 20


class PullFailed(Exception):
    """A sentence that says why, and what to do."""


class Progress(Protocol):
    def __call__(self, file: File, done: int) -> None:
        """`done` of the file's bytes are here."""
        ...


def _no_progress(file: File, done: int) -> None:
    """Nobody looks."""


def pull(
    weights: Weights,
    store: Store,
    *,
    mirror: str = HUB,
    progress: Progress = _no_progress,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch what is missing of a model. Raises `PullFailed`; what came until then is kept."""
    folder = store.folder(weights)
    folder.mkdir(parents=True, exist_ok=True)
    base = mirror.rstrip("/")
    with _alone(folder), httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
        _require_room(weights, store)
        for file in weights.files:
            target = folder / file.name
            if store.has(weights, file) and sha256_of(target) == file.sha256:
                progress(file, file.size)
                continue
            _Fetch(client, base, base != HUB, file, target, progress, pause).run()


class _Fetch:
    """One file, in as many tries as it needs."""

    def __init__(
        self,
        client: httpx.Client,
        base: str,
        is_mirror: bool,
        file: File,
        target: Path,
        progress: Progress,
        pause: Callable[[float], None],
    ) -> None:
        self._client = client
        self._url = httpx.URL(base + file.path)
        self._is_mirror = is_mirror
        self._file = file
        self._target = target
        self._part = target.with_name(target.name + PART)
        self._progress = progress
        self._pause = pause
        self._hash = hashlib.sha256()
        self._done = 0

    def run(self) -> None:
        with self._part.open("a+b") as out:
            self._take_up(out)
            fruitless = 0
            while self._done < self._file.size:
                before = self._done
                try:
                    self._ask(out)
                    why = "the answer ended early"
                except httpx.HTTPError as error:
                    why = str(error) or type(error).__name__
                if self._done >= self._file.size:
                    break
                fruitless = 0 if self._done > before else fruitless + 1
                if fruitless >= TRIES:
                    raise PullFailed(
                        f"{self._url} cannot be fetched ({why}); what came is kept: try again, or "
                        "bring the files with `chorus models pull --from`"
                    )
                self._pause(min(8.0, 0.5 * 2**fruitless))
            out.flush()
            os.fsync(out.fileno())
        if self._hash.hexdigest() != self._file.sha256:
            self._part.unlink()
            raise PullFailed(
                f"{self._url} gave something else than {self._file.name} should be (SHA-256 "
                f"{self._hash.hexdigest()}, not {self._file.sha256}); it was not kept"
            )
        os.replace(self._part, self._target)

    def _take_up(self, out: IO[bytes]) -> None:
        """What an earlier try has brought."""
        if out.seek(0, os.SEEK_END) > self._file.size:
            self._begin_anew(out)
        out.seek(0)
        while piece := out.read(_PIECE):
            self._hash.update(piece)
            self._done += len(piece)

    def _begin_anew(self, out: IO[bytes]) -> None:
        out.truncate(0)
        self._hash, self._done = hashlib.sha256(), 0

    def _ask(self, out: IO[bytes]) -> None:
        headers = {"Accept-Encoding": "identity", "User-Agent": "chorus"}
        if self._done:
            headers["Range"] = f"bytes={self._done}-"
        url = self._url
        for _ in range(_REDIRECTS):
            with self._client.stream("GET", url, headers=headers) as answer:
                if answer.is_redirect:
                    url = self._allowed(url.join(answer.headers.get("Location", "")))
                    continue
                self._read(answer, out)
                return
        raise PullFailed(f"{self._url} redirects without end")

    def _allowed(self, url: httpx.URL) -> httpx.URL:
        host = url.host.lower()
        if self._is_mirror and url.netloc == self._url.netloc:
            return url
        if url.scheme == "https" and any(host == h or host.endswith("." + h) for h in _HOSTS):
            return url
        raise PullFailed(f"{self._url} redirects to {url.scheme}://{host}, which is not asked")

    def _read(self, answer: httpx.Response, out: IO[bytes]) -> None:
        status = answer.status_code
        if status == 416 and self._done:
            self._begin_anew(out)
            return
        if status in (401, 403, 404, 410):
            raise PullFailed(f"{self._url} is not there (HTTP {status})")
        if status == 429 or status >= 500:
            raise httpx.RemoteProtocolError(f"HTTP {status}")
        if status not in (200, 206):
            raise PullFailed(f"{self._url} answers HTTP {status}")
        whole = status == 200
        if not whole and not _continues(answer.headers.get("Content-Range", ""), self._done):
            raise PullFailed(f"{self._url} answers with another range than was asked for")
        if whole and self._done:
            self._begin_anew(out)
        for piece in answer.iter_raw():
            if self._done + len(piece) > self._file.size:
                self._begin_anew(out)
                raise PullFailed(f"{self._url} is larger than the {self._file.size} bytes expected")
            out.write(piece)
            self._hash.update(piece)
            self._done += len(piece)
            self._progress(self._file, self._done)


def _continues(content_range: str, at: int) -> bool:
    """`bytes 100-199/200` (RFC 9110, 14.4)."""
    return content_range.lower().startswith(f"bytes {at}-")


def _require_room(weights: Weights, store: Store) -> None:
    folder = store.folder(weights)
    missing = sum(file.size for file in weights.files if not store.has(weights, file))
    here = sum(path.stat().st_size for path in folder.glob("*" + PART))
    free = shutil.disk_usage(folder).free
    if missing - here + _SPARE_BYTES > free:
        raise PullFailed(
            f"{folder} has room for {free >> 20} MB, and {missing >> 20} MB are needed"
        )


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Two commands that write the same parts would spoil each other's."""
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PullFailed(f"{folder} is being filled by another command") from error
        yield
