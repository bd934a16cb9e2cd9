"""Somebody's server on loopback, which answers what is posted to it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answering:
    """Everything is answered with `status` and `body`, which may be changed while it runs."""

    status: int
    body: bytes
    url: str = ""
    received: list[bytes] = field(default_factory=list[bytes])


@contextmanager
def answering(status: int, body: bytes = b"") -> Generator[Answering]:
    made = Answering(status, body)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.received.append(self.rfile.read(int(self.headers["content-length"])))
            answer = made.body
            self.send_response(made.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
