"""The loopback carrier through a real server: what a new carrier has to do, and no more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.fakes.server import Server, serving
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.timeout(120)

OURS, THEIRS = "+14155550100", "+14155550101"
SILENCE = b"\xff" * 160


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), CHORUS_SIMULATED="1") as running:
        yield running


@pytest.fixture(scope="module")
def agent(server: Server) -> dict[str, str]:
    """The ids of an agent that greets and of its number."""
    with server.client() as client:
        greets = {"name": "Greeter", "firstSpeaker": "agent", "agentGreeting": "Good morning."}
        agent = client.post("/v1/agents", json=greets).raise_for_status().json()["data"]["id"]
        number = {"number": OURS, "provider": "loopback", "agentId": agent}
        made = client.post("/v1/phone-numbers", json=number).raise_for_status().json()["data"]
    return {"agentId": agent, "phoneNumberId": made["id"]}


def post(server: Server, path: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{server.url}/loopback/{path}", content=content, timeout=10)


@contextmanager
def answered(server: Server, path: str, leg_id: str) -> Iterator[ClientConnection]:
    with connect("ws" + server.url.removeprefix("http") + path) as socket:
        socket.send(json.dumps({"event": "start", "legId": leg_id}))
        yield socket


def talk(socket: ClientConnection) -> int:
    """Be silent until the agent has spoken, press a key, hang up; the bytes that were heard."""
    heard = 0
    hung_up = threading.Event()

    def speak() -> None:
        while not hung_up.is_set():
            socket.send(SILENCE)
            time.sleep(0.02)

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        while heard < 4000:
            message = socket.recv(timeout=30)
            heard += len(message) if isinstance(message, bytes) else 0
    finally:
        hung_up.set()
        speaking.join()
    socket.send(json.dumps({"event": "digit", "digit": "5"}))
    socket.send(json.dumps({"event": "stop"}))
    return heard


def over(server: Server, id: str) -> dict[str, Any]:
    with server.client() as client:
        shown = client.get(f"/v1/calls/{id}?wait=30", timeout=40).raise_for_status().json()["data"]
    assert shown["isFinal"], shown
    return shown


def test_a_call_comes_in(server: Server, agent: dict[str, str]) -> None:
    rang = post(server, "calls", {"from": THEIRS, "to": OURS})
    assert rang.status_code == 201, rang.text
    ringing = rang.json()
    with answered(server, ringing["mediaPath"], ringing["legId"]) as socket:
        assert talk(socket) >= 4000
    call = over(server, ringing["callId"])
    assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
    assert (call["provider"], call["direction"]) == ("loopback", "inbound")
    assert call["customerNumber"] == THEIRS
    assert any("5" in line["content"] for line in call["transcript"] if line["role"] == "user")
    # Its token was for one connection.
    with (
        pytest.raises(InvalidStatus) as refused,
        answered(server, ringing["mediaPath"], ringing["legId"]),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_a_call_goes_out(server: Server, agent: dict[str, str]) -> None:
    with server.client() as client:
        placed = client.post("/v1/calls", json={**agent, "to": THEIRS}).raise_for_status()
        [ringing] = client.get("/loopback/ringing", params={"to": THEIRS}, timeout=20).json()
    assert ringing["callId"] == placed.json()["data"]["id"]
    assert post(server, f"legs/{ringing['legId']}", {"stage": "ringing"}).status_code == 204
    with answered(server, ringing["mediaPath"], ringing["legId"]) as socket:
        talk(socket)
    call = over(server, ringing["callId"])
    assert (call["status"], call["direction"]) == ("completed", "outbound")


@pytest.mark.parametrize(("stage", "status"), [("busy", "failed"), ("no_answer", "no_answer")])
def test_a_call_that_is_not_taken(
    server: Server, agent: dict[str, str], stage: str, status: str
) -> None:
    to = "+14155550155"
    with server.client() as client:
        client.post("/v1/calls", json={**agent, "to": to}).raise_for_status()
        [ringing] = client.get("/loopback/ringing", params={"to": to}, timeout=20).json()
    assert post(server, f"legs/{ringing['legId']}", {"stage": stage}).status_code == 204
    assert over(server, ringing["callId"])["status"] == status


def test_a_person_sees_the_number_of_the_caller_whom_they_get(
    server: Server, agent: dict[str, str]
) -> None:
    caller, to = "+14155550166", "+14155550177"
    ringing = post(server, "calls", {"from": caller, "to": OURS}).json()
    wish = {"to": {"name": "Sales", "number": to, "type": "cold", "callerId": "caller"}}
    with answered(server, ringing["mediaPath"], ringing["legId"]) as socket:
        socket.recv(timeout=20)  # the agent speaks, so the call is live
        with server.client() as client:
            client.post(f"/v1/calls/{ringing['callId']}/transfer", json=wish).raise_for_status()
            [leg] = client.get("/loopback/ringing", params={"to": to}, timeout=20).json()
        assert leg["from"] == caller
        assert post(server, f"legs/{leg['legId']}", {"stage": "busy"}).status_code == 204
        socket.send(json.dumps({"event": "stop"}))
    [second] = over(server, ringing["callId"])["transferCalls"]
    assert second["customerNumber"] == to


def test_a_number_that_nobody_has(server: Server, agent: dict[str, str]) -> None:
    assert post(server, "calls", {"from": THEIRS, "to": "+14155550199"}).status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", {}, {"from": THEIRS}, {"from": 5, "to": OURS}, {"from": "x" * 65}]
)
def test_what_is_no_call(server: Server, body: Any) -> None:
    assert post(server, "calls", body).status_code == 400


def test_a_leg_that_is_not_there(server: Server) -> None:
    assert post(server, "legs/loop-1", {"stage": "busy"}).status_code == 404
