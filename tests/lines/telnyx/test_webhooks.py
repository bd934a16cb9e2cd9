"""What is believed of a webhook, and what is not."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.lines.telnyx.board import Board
from tests.lines.telnyx.standin import APPLICATION, signature
from tests.lines.twilio.switchboard import OURS, THEIRS

from chorus.lines.telnyx.state import State, state_of

STRANGER = Ed25519PrivateKey.generate()
HOUR_S = 3600


def event(kind: str = "call.initiated", **payload: Any) -> bytes:
    whole = {
        "call_control_id": "v3:leg000001",
        "connection_id": APPLICATION,
        "direction": "incoming",
        "from": THEIRS,
        "to": OURS,
        **payload,
    }
    return json.dumps({"data": {"event_type": kind, "payload": whole}}).encode()


async def post(board: Board, body: bytes, headers: dict[str, str]) -> int:
    async with httpx.AsyncClient() as http:
        headers = {"Content-Type": "application/json", **headers}
        return (await http.post(board.hook, content=body, headers=headers)).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signature(event(), STRANGER),
        signature(event(to="+15550001001")),
        signature(event(), at_s=int(time.time()) - HOUR_S),
        signature(event(), at_s=int(time.time()) + HOUR_S),
        {**signature(event()), "Telnyx-Timestamp": "soon"},
        {**signature(event()), "Telnyx-Signature-Ed25519": "no base64!"},
        {**signature(event()), "Telnyx-Signature-Ed25519": "QUJD"},
    ],
    ids=["none", "stranger", "other-body", "old", "new", "no-time", "no-base64", "short"],
)
async def test_what_the_account_has_not_signed_is_refused(
    board: Board, headers: dict[str, str]
) -> None:
    assert await post(board, event(), headers) == 403
    assert board.desk.inbound == []


@pytest.mark.parametrize(
    "body",
    [event(to="+15550009999", **{"from": THEIRS}), event(connection_id="another")],
    ids=["unknown-number", "other-application"],
)
async def test_what_is_for_nobody_here_is_refused(board: Board, body: bytes) -> None:
    assert await post(board, body, signature(body)) == 403
    assert board.desk.inbound == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 400),
        (b"{", 400),
        (b'{"data": 1}', 400),
        (b'{"data": {"event_type": "call.initiated", "payload": []}}', 400),
        (event(call_control_id=""), 400),
        (event(call_control_id=["x"]), 400),
        (b" " * 70_000, 413),
    ],
)
async def test_what_is_no_event_is_refused(board: Board, body: bytes, status: int) -> None:
    assert await post(board, body, signature(body)) == status


async def test_a_call_of_somebody_else_is_not_ended(board: Board) -> None:
    """Another account signs rightly, and names our call in its state."""
    await board.desk.issue("call-1")
    body = event("call.hangup", client_state=State("call-1").written())
    assert await post(board, body, signature(body, STRANGER)) == 403
    assert board.desk.updates == []


@pytest.mark.parametrize("kind", ["call.bridged", "call.dtmf.received", "streaming.started", "?"])
async def test_other_events_are_taken_and_ignored(board: Board, kind: str) -> None:
    await board.desk.issue("call-1")
    body = event(kind, client_state=State("call-1").written())
    assert await post(board, body, signature(body)) == 200
    assert board.desk.updates == []
    assert board.desk.machines == []


@pytest.mark.parametrize(
    "text", [None, 7, "", "no base64!", "W10=", "eyJjYWxsIjoxfQ==", "x" * 2000, "aGVsbG8="]
)
def test_a_state_that_chorus_has_not_written_is_none(text: object) -> None:
    assert state_of(text) is None


def test_a_state_comes_back_as_it_was() -> None:
    assert state_of(State("c-1", "v3:leg").written()) == State("c-1", "v3:leg")
