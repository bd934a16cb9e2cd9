"""A vendor of language models on loopback, which knows one key."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = "key-0123456789-good"
BAD = "key-0123456789-evil"


class _Vendor(BaseHTTPRequestHandler):
    """Answers as a server of OpenAI's protocol does: 401 with a sentence for a wrong key."""

    def do_GET(self) -> None:
        good = self.headers.get("authorization") == f"Bearer {GOOD}"
        body = b'{"data": []}' if good else b'{"error": {"message": "Wrong key <b>there</b>"}}'
        self.send_response(200 if good else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def vendor() -> Generator[str]:
    """The address at which it is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Vendor)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()
