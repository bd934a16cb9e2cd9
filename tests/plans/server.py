"""`chorus serve` that writes down what it asks of its database: `python -m tests.plans.server`.

ASKED_IN names the file, to which an `Asked` is appended for each statement. What is done once an
hour is done every second, so that it is among them.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine
from tests.plans.heard import Asked, Recorder

from chorus import chores, cli
from chorus.calls import latency_watch

OFTEN_S = 1


def read(file: Path) -> Iterator[Asked]:
    """What servers wrote to it."""
    with file.open("rb") as written:
        while True:
            try:
                yield pickle.load(written)
            except EOFError:
                return


def _serve() -> None:
    lock = threading.Lock()
    with Path(os.environ["ASKED_IN"]).open("ab", buffering=0) as file:

        def tell(asked: Asked) -> None:
            written = pickle.dumps(asked)
            with lock:
                file.write(written)

        event.listen(Engine, "before_cursor_execute", Recorder(tell).note)
        chores._SWEEP_EVERY_S = OFTEN_S  # pyright: ignore[reportPrivateUsage]
        latency_watch.JUDGE_EVERY_S = OFTEN_S
        sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    _serve()
