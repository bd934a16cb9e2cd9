"""The stand-in as a process, and a platform small enough to test the line with."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.lines.served import free_port, served
from tests.lines.twilio.switchboard import OURS, THEIRS, TestDesk

from chorus.lines.desk import Connection
from chorus.lines.line import Dial
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.voximplant.carrier import VoximplantCarrier
from chorus.lines.voximplant.scenario import scenario
from chorus.outbound import Outbound

ACCOUNT, API_KEY = "1234567", "38700987-c7a4-4685-a5bb-af378f9734de"
RULE, APPLICATION, SECRET = "42", "77", "s" * 32
_STANDIN = Path(__file__).with_name("standin.mjs")


def settings(api_url: str, **more: Any) -> dict[str, Any]:
    return {
        "voximplantAccountId": ACCOUNT,
        "voximplantApiKey": API_KEY,
        "voximplantRuleId": RULE,
        "voximplantScenarioSecret": SECRET,
        "voximplantBaseUrl": f"{api_url}/platform_api",
        **more,
    }


def node() -> str:
    """Skips where there is none."""
    from scripts.dashboard import Missing, find_node

    try:
        return find_node()
    except Missing as missing:
        pytest.skip(f"no Node to run the scenario with: {missing}")


@dataclass
class Voximplant:
    url: str
    http: httpx.AsyncClient
    folder: Path

    async def do(self, what: str, **facts: Any) -> Any:
        answer = await self.http.post(f"{self.url}/test/{what}", json=facts)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def serves(self, public_url: str) -> None:
        """Every session from now on runs the scenario with this server's addresses."""
        text = scenario(public_url, public_url.replace("http", "ws"))
        (self.folder / "scenario.js").write_text(text)

    async def ring(self, to: str = OURS, from_: str = THEIRS, **headers: str) -> int:
        """Somebody calls; Voximplant writes numbers without a plus."""
        numbers = {"to": to.removeprefix("+"), "from": from_.removeprefix("+")}
        return (await self.do("ring", **numbers, headers=headers))["id"]

    async def call(self, id: int) -> dict[str, Any]:
        return (await self.do("calls"))[id]

    async def until(self, id: int, true: Any, seconds: float = 8) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            while True:
                calls = await self.do("calls")
                if len(calls) > id and true(calls[id]):
                    return calls[id]
                await asyncio.sleep(0.02)

    async def listening(self, id: int) -> dict[str, Any]:
        return await self.until(id, lambda call: call["open"])

    async def say(self, id: int, audio: bytes) -> None:
        await self.do("say", id=id, audio=base64.b64encode(audio).decode())

    async def heard(self, id: int) -> bytes:
        return base64.b64decode((await self.do("heard", id=id))["audio"])


@asynccontextmanager
async def standin(folder: Path) -> AsyncGenerator[Voximplant]:
    process = await asyncio.create_subprocess_exec(
        # Of itself only since Node 22.
        node(), "--experimental-websocket", str(_STANDIN), str(folder),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            told = json.loads(await process.stdout.readline())
        async with httpx.AsyncClient(timeout=20) as http:
            yield Voximplant(told["url"], http, folder)
    finally:
        process.stdin.close()
        await process.wait()


class VoximplantDesk(TestDesk):
    settings: dict[str, Any]

    @property
    def connection(self) -> Connection:
        return Connection("a number", OURS, self.settings)


@dataclass
class Board:
    desk: VoximplantDesk
    carrier: VoximplantCarrier
    voximplant: Voximplant
    url: str

    async def dial(self, dial: Dial) -> str:
        token = await self.desk.issue(dial.call_id)
        return await self.carrier.dialler(self.desk.connection, token).dial(dial)


@asynccontextmanager
async def running(voximplant: Voximplant) -> AsyncGenerator[Board]:
    """The routes on a free port of loopback, on this event loop."""
    listening, url = free_port()
    desk = VoximplantDesk(TwilioAccount("", ""))
    desk.settings = settings(voximplant.url)
    carrier = VoximplantCarrier(Outbound(allow_private=True), timeout_s=5)
    async with served(carrier, desk, listening):
        await carrier.start(desk)
        voximplant.serves(url)
        await voximplant.do("reset")
        yield Board(desk, carrier, voximplant, url)
