"""The Caddyfile of `deploy/` in front of two processes: a whole call goes through it, by webhooks
to the one and by the websocket of its audio to the other."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.deploy_programs import program
from tests.soak.rig import Rig, environment, free_port

from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, WaitQuiet

CADDYFILE = Path(__file__).resolve().parents[2] / "deploy" / "Caddyfile"
TALKS = Person(
    steps=[WaitQuiet(quiet_ms=300), Say(sound="tone", ms=400), WaitQuiet(quiet_ms=600), HangUp()],
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def caddyfile(api: int, media: int) -> str:
    """Ours, with these ports of this machine. Both processes that hold calls are one here."""
    text = CADDYFILE.read_text()
    text = text.replace("media1:8000 media2:8000", f"127.0.0.1:{media}")
    text = text.replace("api:8000", f"127.0.0.1:{api}")
    assert ":8000" not in text
    return text.replace("{\n", "{\n\tadmin off\n", 1)


@contextmanager
def caddy(folder: Path, text: str, url: str) -> Generator[None]:
    folder.mkdir()
    (folder / "Caddyfile").write_text(text)
    homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    process = subprocess.Popen(
        [program("caddy"), "run", "--adapter", "caddyfile", "--config", "Caddyfile"],
        cwd=folder,
        env={**os.environ, **homes, "CHORUS_DOMAIN": url},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


async def passes(url: str) -> None:
    """Until both sides answer through it: a path of audio that is asked without a websocket is a
    404 of the server's, and a 503 of Caddy's while it knows none that is ready."""
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=url, timeout=20) as http:
        while True:
            try:
                found = [
                    (await http.get(path)).status_code for path in ("/readyz", "/browser/media")
                ]
                if found[0] == 200 and found[1] < 500:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


async def test_a_call_goes_through_caddy_to_both_processes(tmp_path: Path, postgres_url: str):
    proxy, port = f"http://127.0.0.1:{free_port()}", free_port()
    async with client.running() as carrier:
        common = environment(carrier, postgres_url) | {"CHORUS_PUBLIC_URL": proxy}
        roles = common | {"CHORUS_ROLE": "api,work"}
        api = Rig(carrier, tmp_path / "api", roles, postgres_url)
        roles = common | {"CHORUS_ROLE": "media", "CHORUS_PORT": str(port)}
        media = Rig(carrier, tmp_path / "media", roles, postgres_url)
        text = caddyfile(int(common["CHORUS_PORT"]), port)
        # First, because a server is ready when it answers at its public URL.
        with caddy(tmp_path / "caddy", text, proxy):
            try:
                await asyncio.gather(api.start(), media.start())
                await passes(proxy)
                await api.prepare()
                assert await api.place("+15570000001", TALKS)
                [call] = await api.settled()
            finally:
                await media.stop()
                await api.stop()
    assert (call["status"], call["endedReason"]) == ("completed", "customer_ended"), call
    assert call["turnCount"] >= 1
