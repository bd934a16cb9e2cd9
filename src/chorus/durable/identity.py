"""Who this process is: a name that no other living process has, and that it has again when it
is started again.

The durable work that a process had begun carries its name. If two living processes had the same
one, both would do that work; if it changed with each start, nobody would go on with it until the
others have given the old one up. So the name is the machine's, then a number drawn once for the
data folder, then the first place whose lock file in that folder nobody holds. The lock is the
operating system's and goes with the process, however that ends; so those of the same folder see at
once that one is dead (`Identity.vacant`).
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from chorus.settings_peers import PLACES


class Identity:
    """Holds the lock from `take` to `release`."""

    def __init__(self, name: str, folder: Path, lock: int) -> None:
        self.name = name
        self._folder = folder
        self._lock = lock

    @classmethod
    def take(cls, data_dir: Path) -> Identity:
        """Raises `OSError` if the folder cannot be written or every place is taken."""
        folder = data_dir / "executors"
        folder.mkdir(parents=True, exist_ok=True)
        node = f"{_hostname()}-{_number(folder / 'node')}"
        for place in range(PLACES):
            lock = os.open(folder / f"{place}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return cls(f"{node}-{place}", folder, lock)
        raise OSError(f"{PLACES} processes use the data folder {data_dir} already")

    @contextmanager
    def vacant(self, name: str) -> Generator[bool]:
        """Whether `name` is one of this data folder's and no living process has it. Nobody can
        take it inside the block; whoever comes meanwhile takes another."""
        node, _, _ = self.name.rpartition("-")
        its_node, _, place = name.rpartition("-")
        if name == self.name or its_node != node or not place.isdecimal():
            yield False
            return
        try:
            lock = os.open(self._folder / f"{place}.lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # it cannot be known here
            yield False
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held, or it cannot be known here
            os.close(lock)
            yield False
            return
        try:
            yield True
        finally:
            os.close(lock)

    def release(self) -> None:
        os.close(self._lock)


def _hostname() -> str:
    return re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:48] or "host"


def _number(path: Path) -> str:
    """The first to come writes it, whole or not at all."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    drawn = path.with_name(f"node.{os.getpid()}.{secrets.token_hex(4)}")
    drawn.write_text(secrets.token_hex(4))
    try:
        os.link(drawn, path)
    except FileExistsError:
        pass
    finally:
        drawn.unlink()
    return path.read_text().strip()
