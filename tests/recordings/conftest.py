"""A bucket of moto's S3 server, in this process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str) -> dict[str, Any]:
    """Settings of a new bucket."""
    name = f"calls-{next(_numbers)}"
    assert httpx.put(f"{s3_server}/{name}").status_code == 200
    return {
        "storage_url": f"s3://{name}/some/prefix",
        "s3_endpoint_url": s3_server,
        "s3_region": "us-east-1",
        "s3_access_key_id": "who",
        "s3_secret_access_key": "hush",
    }
