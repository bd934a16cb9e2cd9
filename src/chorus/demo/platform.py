"""Starts the real server in a process of its own, on a temporary folder, for the demo."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


class DemoFailed(Exception):
    """The demonstration could not go on; the message says why."""


class Platform:
    """The server's API, as a customer uses it."""

    def __init__(self, url: str, folder: Path, http: httpx.AsyncClient) -> None:
        self.url = url
        self.folder = folder
        self._http = http

    async def get(self, path: str, **query: Any) -> Any:
        return _data(await self._http.get(f"{self.url}/v1{path}", params=query))

    async def create(self, path: str, **body: Any) -> dict[str, Any]:
        return _data(await self._http.post(f"{self.url}/v1{path}", json=body))["data"]

    async def fetch(self, url: str) -> bytes:
        """A file of the API, such as a recording."""
        answer = await self._http.get(url)
        if answer.is_error:
            raise DemoFailed(f"the API refused {url}: {answer.text}")
        return answer.content

    async def call(self, call_id: str) -> dict[str, Any]:
        return (await self.get(f"/calls/{call_id}", include="turns"))["data"]


@asynccontextmanager
async def platform(
    folder: Path, *, models: Path, carrier: Mapping[str, str]
) -> AsyncGenerator[Platform]:
    """A server that is ready, gone when the block is left. `carrier`: variables that say how it
    reaches the demo's. The folder stays: the recordings in
    it are what a visitor wants to hear."""
    key = f"sk_live_{secrets.token_urlsafe(32)}"
    log = (folder / "server.log").open("wb")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHORUS_")}
    environment |= {
        "CHORUS_DATA_DIR": str(folder / "data"),
        "CHORUS_MODELS_DIR": str(models),
        "CHORUS_PORT": "0",
        "CHORUS_BOOTSTRAP_API_KEY": key,
        **carrier,
        # The tool server of the demo is on this machine.
        "CHORUS_ALLOW_PRIVATE_ADDRESSES": "1",
        "CHORUS_RATE_LIMIT_PER_MINUTE": "6000",
        "CHORUS_DRAIN_SECONDS": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chorus", "serve"),
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env=environment,
    )
    try:
        url = await _address(process)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(headers=headers, timeout=10) as http:
            await _loaded(http, url)
            yield Platform(url, folder, http)
    finally:
        log.close()
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where the server says that it is."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            async for line in process.stdout:
                words = line.decode().split()
                if words[:3] == ["Chorus", "is", "at"]:
                    return words[3]
    except TimeoutError:
        raise DemoFailed(f"the server was not ready within {START_TIMEOUT_S:.0f} s") from None
    raise DemoFailed("the server did not start")


async def _loaded(http: httpx.AsyncClient, url: str) -> None:
    """Wait until /readyz says that what hears and speaks is loaded. Raises `DemoFailed`."""
    state = "it does not answer"
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                with suppress(httpx.TransportError):  # a busy machine; the time is limited anyway
                    answer = await http.get(f"{url}/readyz")
                    if answer.status_code == 200:
                        return
                    parts: dict[str, str] = answer.json()
                    state = "; ".join(f"{n} {s}" for n, s in parts.items() if s != "ok")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise DemoFailed(f"not ready within {START_TIMEOUT_S:.0f} s: {state}") from None


def _data(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise DemoFailed(f"the API refused {answer.request.url}: {answer.text}")
    return answer.json()
