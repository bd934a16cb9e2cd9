"""A server for webhooks on this machine, to see what comes. Needs nothing but Python 3.9.

    python docs/examples/webhook_receiver.py --port 8300 --secret the-secret

Prints each message whose signature is right and answers 204; to another it answers 401 and says
what is wrong with it. `verify_webhook.py`, beside it, is what your own server needs.
"""

from __future__ import annotations

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from verify_webhook import NotFromChorus, verify

MOST_BYTES = 16 * 1024 * 1024


class Receiver(BaseHTTPRequestHandler):
    secret = ""

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.answer(400)
            return
        body = self.rfile.read(int(length))
        try:
            payload = verify(self.secret, self.headers, body)
        except (NotFromChorus, ValueError) as reason:
            print(f"refused: {reason}", flush=True)
            self.answer(401)
            return
        print(json.dumps(payload, indent=2, ensure_ascii=False), flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """What came is printed already."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Prints the webhooks that come.")
    parser.add_argument("--port", type=int, default=8300, help="0 takes a free one")
    parser.add_argument("--secret", required=True)
    given = parser.parse_args()
    Receiver.secret = given.secret
    server = ThreadingHTTPServer(("127.0.0.1", given.port), Receiver)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
