"""A network between a page and the server, which can go away as networks do: nothing comes
through any more, and nobody closes anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Network:
    """Takes connections at `url` and passes them on to `target`, once that is known."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.target = ""
        self._lock = threading.Lock()
        self._gone = False
        self._dead: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def go_away(self) -> None:
        """Connections that are there are open for ever and carry nothing, and so are new ones."""
        with self._lock:
            self._gone = True
            self._dead |= self._open

    def come_back(self) -> None:
        """For new connections."""
        with self._lock:
            self._gone = False

    def close(self) -> None:
        self._listening.close()
        with self._lock:
            for each in self._open:
                each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(near)
                if self._gone:
                    self._dead.add(near)
                    continue
            parts = urlsplit(self.target)
            far = socket.create_connection((parts.hostname, parts.port))
            with self._lock:
                self._open.add(far)
                if near in self._dead:
                    self._dead.add(far)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while content := one.recv(65536):
                with self._lock:
                    if one in self._dead or other in self._dead:
                        continue  # swallowed
                other.sendall(content)
        except OSError:
            pass
        with self._lock:
            if one not in self._dead and other not in self._dead:
                other.close()


@contextmanager
def network() -> Generator[Network]:
    made = Network()
    try:
        yield made
    finally:
        made.close()
