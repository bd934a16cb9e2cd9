"""Pulling a model's files from a server that behaves well, and from one that does not."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chorus.speech.weights.fetch import TRIES, PullFailed, pull
from chorus.speech.weights.manifest import File, Weights
from chorus.speech.weights.store import Store

MODEL = bytes(range(256)) * 4000
CONFIG = b'{"a": 1}'


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


WEIGHTS = Weights(
    name="small-one",
    kind="voice",
    does="is fetched in tests",
    licence="none",
    languages=("en",),
    files=(
        File("model.bin", "/org/small-one/resolve/rev/model.bin", len(MODEL), sha(MODEL)),
        File("config.json", "/org/small-one/resolve/rev/config.json", len(CONFIG), sha(CONFIG)),
    ),
    tried=True,
)


class Hub:
    """Serves both files by range, unless told to misbehave at the next answers (`plan`)."""

    def __init__(self) -> None:
        self.plan: list[str] = []
        self.ranges: list[str | None] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                return

            def do_GET(self) -> None:
                hub.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        data = MODEL if request.path.endswith("model.bin") else CONFIG
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        how = self.plan.pop(0) if self.plan else ""
        if how.isdigit():
            request.send_response(int(how))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if how.startswith("to "):
            request.send_response(302)
            request.send_header("Location", how[3:])
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        at = int(asked[len("bytes=") : -1]) if asked and how != "no ranges" else 0
        if how == "wrong":
            data = data[::-1]
        elif how == "longer":
            data += b"more"
        body = data[at:]
        request.send_response(206 if at else 200)
        if at:
            start = at + 1 if how == "another range" else at
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if how == "ends early":
            body = body[: len(body) // 2]
            request.close_connection = True
        request.wfile.write(body)


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = Hub()
    yield found
    found.close()


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def fetch(hub: Hub, store: Store) -> list[float]:
    pauses: list[float] = []
    pull(WEIGHTS, store, mirror=hub.url, pause=pauses.append)
    return pauses


def test_it_comes_whole_and_a_second_time_nothing_is_asked(hub, store):
    seen: dict[str, int] = {}
    pull(WEIGHTS, store, mirror=hub.url, progress=lambda file, done: seen.update({file.name: done}))
    assert store.complete(WEIGHTS)
    assert store.verify(WEIGHTS) == []
    assert seen == {"model.bin": len(MODEL), "config.json": len(CONFIG)}
    fetch(hub, store)
    assert len(hub.ranges) == 2


def test_an_answer_that_ends_early_is_continued(hub, store):
    hub.plan = ["ends early", "ends early"]
    fetch(hub, store)
    assert store.verify(WEIGHTS) == []
    half, more = len(MODEL) // 2, len(MODEL) // 2 + len(MODEL) // 4
    assert hub.ranges[:3] == [None, f"bytes={half}-", f"bytes={more}-"]


def test_the_next_command_continues_what_one_began(hub, store):
    folder = store.folder(WEIGHTS)
    folder.mkdir()
    (folder / "model.bin.part").write_bytes(MODEL[:1000])
    assert store.begun(WEIGHTS)
    fetch(hub, store)
    assert hub.ranges[0] == "bytes=1000-"
    assert store.verify(WEIGHTS) == []
    assert not (folder / "model.bin.part").exists()


def test_a_server_without_ranges_begins_anew(hub, store):
    store.folder(WEIGHTS).mkdir()
    (store.folder(WEIGHTS) / "model.bin.part").write_bytes(MODEL[:1000])
    hub.plan = ["no ranges"]
    fetch(hub, store)
    assert store.verify(WEIGHTS) == []


def test_a_part_that_is_too_long_is_dropped(hub, store):
    store.folder(WEIGHTS).mkdir()
    (store.folder(WEIGHTS) / "model.bin.part").write_bytes(MODEL + b"?")
    fetch(hub, store)
    assert store.verify(WEIGHTS) == []


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (["wrong"], "something else"),
        (["longer"], "larger than"),
        (["404"], "not there"),
        (["301"], "redirects to"),
        (["to https://example.com/model.bin"], "example.com, which is not asked"),
        (["to http://huggingface.co/model.bin"], "which is not asked"),
        (["ends early", "another range"], "another range"),
        (["503"] * TRIES, "cannot be fetched"),
    ],
)
def test_what_is_wrong_is_said_and_not_kept_as_the_file(hub, store, plan, says):
    hub.plan = plan
    if plan == ["301"]:
        hub.plan = ["to ftp://elsewhere/"]
    with pytest.raises(PullFailed, match=says):
        fetch(hub, store)
    assert not (store.folder(WEIGHTS) / "model.bin").exists()
    fetch(hub, store)  # and the next one works
    assert store.verify(WEIGHTS) == []


def test_a_redirect_on_the_mirror_is_followed_and_a_busy_server_is_waited_for(hub, store):
    hub.plan = ["429", "to /org/small-one/resolve/rev/model.bin"]
    assert fetch(hub, store) == [1.0]
    assert store.verify(WEIGHTS) == []


def test_a_server_that_is_gone_leaves_what_came(hub, store):
    hub.plan = ["ends early"] + ["500"] * TRIES
    with pytest.raises(PullFailed, match="what came is kept"):
        fetch(hub, store)
    part = store.folder(WEIGHTS) / "model.bin.part"
    assert part.read_bytes() == MODEL[: len(MODEL) // 2]


def test_two_commands_do_not_fill_one_folder(hub, store):
    import fcntl

    store.folder(WEIGHTS).mkdir()
    with (store.folder(WEIGHTS) / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PullFailed, match="another command"):
            fetch(hub, store)


def test_damage_is_found(hub, store):
    fetch(hub, store)
    path = store.folder(WEIGHTS) / "model.bin"
    path.write_bytes(b"x" * len(MODEL))
    assert "something else" in store.verify(WEIGHTS)[0]
    fetch(hub, store)  # mends it
    assert store.verify(WEIGHTS) == []
    assert store.remove(WEIGHTS)
    assert not store.remove(WEIGHTS)
