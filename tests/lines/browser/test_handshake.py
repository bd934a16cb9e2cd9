"""Which handshakes are accepted, and where the others are passed on to; without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from chorus.lines.browser.socket import STARTS_WITHIN_S, BrowserSocket
from chorus.lines.desk import Relayed
from chorus.lines.line import Line
from chorus.lines.strangers import REFUSALS

OURS, SITE = "https://voice.example", "https://www.example"


class Desk:
    """`made` are the addresses: call, origin and proof, with how old they are."""

    def __init__(self, made: dict[tuple[str, str | None, str], float]) -> None:
        self.made = made
        self.lines: list[Line] = []
        self.over = asyncio.Event()
        self.elsewhere: set[str] = set()
        self.asked: list[str] = []
        self.passed_on: list[tuple[str, bool]] = []

    async def claim(self, call_id: str, token: str) -> bool:
        return token == "good"

    async def converse(self, line: Line, call_id: str) -> None:
        self.lines.append(line)
        await self.over.wait()

    async def way_to(self, call_id: str) -> Relayed | None:
        self.asked.append(call_id)
        return self._pass_on if call_id in self.elsewhere else None

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return self.made.get((call_id, origin, proof))

    async def _pass_on(
        self,
        first: Sequence[str | bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        accepted: bool,
    ) -> None:
        self.passed_on.append((scope["path_params"]["call_id"], accepted))


async def knock(socket: BrowserSocket, call_id: str, proof: str, origin: str | None) -> list[str]:
    """What was answered, by type: somebody who goes away at once."""
    told: list[str] = []

    async def receive() -> Message:
        return {"type": "websocket.disconnect"}

    async def send(message: Message) -> None:
        told.append(message["type"])

    headers: list[Any] = [] if origin is None else [(b"origin", origin.encode())]
    params = {"call_id": call_id, "proof": proof}
    scope: Scope = {"type": "websocket", "path_params": params, "headers": headers}
    await socket(scope, receive, send)
    return told


@pytest.mark.parametrize(
    ("made_for", "made_s_ago", "origin", "is_accepted"),
    [
        (None, 0.0, None, True),
        (None, STARTS_WITHIN_S - 1, OURS, True),
        (None, -5.0, OURS.upper(), True),
        (None, 0.0, SITE, False),
        (None, STARTS_WITHIN_S + 1, OURS, False),
        (SITE, 0.0, SITE, True),
        (SITE, 0.0, OURS, False),
        (SITE, 0.0, None, False),
        (SITE, STARTS_WITHIN_S + 1, SITE, False),
    ],
)
async def test_an_address_that_is_ours_and_new(
    made_for: str | None, made_s_ago: float, origin: str | None, is_accepted: bool
):
    desk = Desk({("a call", made_for, "proof"): made_s_ago})
    told = await knock(BrowserSocket(desk, {OURS}), "a call", "proof", origin)
    assert ("websocket.accept" in told) is is_accepted
    assert told[-1] == "websocket.close"


async def test_what_can_be_anywhere_else_is_passed_on_unread():
    desk = Desk({("a call", None, "proof"): STARTS_WITHIN_S + 1})
    desk.elsewhere = {"a call"}
    assert await knock(BrowserSocket(desk, None), "a call", "proof", None) == []
    assert desk.passed_on == [("a call", False)]


async def test_who_guesses_is_not_looked_at_any_more():
    desk = Desk({("a call", None, "proof"): STARTS_WITHIN_S + 1})
    socket = BrowserSocket(desk, None)
    for _ in range(REFUSALS + 10):
        assert await knock(socket, "a call", "proof", None) == ["websocket.close"]
    assert len(desk.asked) == REFUSALS
    desk.made["another", None, "proof"] = 0.0
    assert await knock(socket, "another", "proof", None) == ["websocket.close"]


class Page:
    """A socket of a page, in this process."""

    def __init__(self, socket: BrowserSocket, first: dict[str, Any]) -> None:
        self._coming: asyncio.Queue[Message] = asyncio.Queue()
        self.told: asyncio.Queue[Message] = asyncio.Queue()
        self._coming.put_nowait({"type": "websocket.connect"})
        self._coming.put_nowait({"type": "websocket.receive", "text": json.dumps(first)})
        params = {"call_id": "a call", "proof": "proof"}
        scope: Scope = {"type": "websocket", "path_params": params, "headers": []}
        self.over = asyncio.create_task(socket(scope, self._coming.get, self.told.put))

    def goes_away(self) -> None:
        self._coming.put_nowait({"type": "websocket.disconnect"})

    async def started(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                message = await self.told.get()
                if "text" in message and (told := json.loads(message["text"]))["type"] == "started":
                    return told


async def test_a_call_that_goes_on_is_gone_on_with_at_its_address_however_old():
    desk = Desk({("a call", None, "proof"): 0.0})
    socket = BrowserSocket(desk, None)
    first = Page(socket, {"type": "start", "callId": "a call", "token": "good"})
    resume = {"type": "resume", "callId": "a call", "epoch": 0, "received": 0}
    resume["token"] = (await first.started())["resumeToken"]
    first.goes_away()
    desk.made["a call", None, "proof"] = 3600.0
    again = Page(socket, resume)
    assert (await again.started())["resumeToken"] == resume["token"]
    assert desk.asked == []
    desk.over.set()
    async with asyncio.timeout(20):
        await asyncio.gather(first.over, again.over)
    assert await knock(socket, "a call", "proof", None) == ["websocket.close"]
