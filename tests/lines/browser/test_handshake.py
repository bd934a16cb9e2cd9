"""Which handshakes are accepted, and where the others are passed on to; without sockets."""

from __future__ import annotations

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
        self.elsewhere: set[str] = set()
        self.asked: list[str] = []
        self.passed_on: list[tuple[str, bool]] = []

    async def claim(self, call_id: str, token: str) -> bool:
        return False

    async def converse(self, line: Line, call_id: str) -> None:
        raise AssertionError

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
