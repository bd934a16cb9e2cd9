"""From a document to an answer: a real server reads it, and a caller is answered with it.

The ears are simulated: whatever is said, they hear that a table for two is wanted.
"""

from __future__ import annotations

import json
import threading
import time
import wave
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.server import serving
from tests.knowledge.papers import docx
from websockets.sync.client import connect

from chorus.audio.codec import encode
from chorus.audio.frame import MULAW_8K

OURS, THEIRS = "+14155550170", "+14155550171"
QUESTION = Path(__file__).parents[2] / "bench" / "question.wav"
FILLER = "\n\n".join(
    f"# Section {number}\n\nThis part of the handbook is about matter {number} and nothing else, "
    "and it is here so that the whole of it is too much to be shown at once."
    for number in range(120)
)
SIMULATED = {"CHORUS_SIMULATED": "1", "CHORUS_ALLOW_PRIVATE_ADDRESSES": "1"}


def one(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return client.post(path, json=body).raise_for_status().json()["data"]


def ready(client: httpx.Client, path: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        document = client.get(path).raise_for_status().json()["data"]
        if document["status"] != "waiting":
            return document
        time.sleep(0.1)
    raise AssertionError("it is still waiting")


def frames() -> list[bytes]:
    with wave.open(str(QUESTION)) as sound:
        speech = encode(MULAW_8K, sound.readframes(sound.getnframes()))
    return [speech[at : at + 160].ljust(160, b"\xff") for at in range(0, len(speech), 160)]


def asks(url: str) -> None:
    """Say the question, wait for an answer's sound, hang up."""
    over = threading.Event()
    with connect(url) as socket:
        socket.send(json.dumps({"event": "start", "legId": "ours"}))

        def speak() -> None:
            due = time.monotonic()
            for frame in [*([b"\xff" * 160] * 25), *frames(), *([b"\xff" * 160] * 1000)]:
                if over.is_set():
                    return
                socket.send(frame)
                due += 0.02
                time.sleep(max(0.0, due - time.monotonic()))

        speaking = threading.Thread(target=speak)
        speaking.start()
        heard = 0
        try:
            while heard < 8000:
                message = socket.recv(timeout=30)
                heard += len(message) if isinstance(message, bytes) else 0
        finally:
            over.set()
            speaking.join()
        socket.send(json.dumps({"event": "stop"}))


@pytest.mark.timeout(180)
def test_a_document_is_read_and_a_caller_answered_with_it(tmp_path: Path) -> None:
    with serving(tmp_path, **SIMULATED) as server, server.client() as client:
        base = one(client, "/v1/knowledge-bases", {"name": "Handbook"})["id"]
        documents = f"/v1/knowledge-bases/{base}/documents"
        filler = one(client, documents, {"name": "Handbook", "text": FILLER})
        hours = docx(
            ("Heading1", "Hours"), ("Normal", "On Sunday you can book a table for two from ten.")
        )
        sent = client.post(f"{documents}/upload", files={"file": ("hours.docx", hours)})
        paper = sent.raise_for_status().json()["data"]
        assert ready(client, f"{documents}/{filler['id']}")["chunkCount"] == 120
        assert ready(client, f"{documents}/{paper['id']}")["status"] == "ready"
        [model] = client.get("/v1/slm-models?search=simulated").json()["data"]
        [voice] = client.get("/v1/voices?search=simulated").json()["data"]
        agent = {
            "name": "Desk",
            "slmModelId": model["id"],
            "voiceId": voice["id"],
            "knowledgeBaseIds": [base],
        }
        agent_id = one(client, "/v1/agents", agent)["id"]
        number = {"number": OURS, "provider": "loopback", "agentId": agent_id}
        one(client, "/v1/phone-numbers", number)
        ringing = client.post("/loopback/calls", json={"from": THEIRS, "to": OURS})
        told = ringing.raise_for_status().json()
        asks(f"{server.ws_url}{told['mediaPath']}")
        call = client.get(f"/v1/calls/{told['callId']}?wait=30", timeout=40).json()["data"]
        events = client.get(f"/v1/calls/{told['callId']}/events?limit=100").json()["data"]
        written = httpx.get(call["transcriptUrl"]).json()
    [said, answer, *_] = call["transcript"]
    found = [event["data"] for event in events if event["kind"] == "knowledge_found"]
    assert found, [event["kind"] for event in events]
    assert found[0]["turn"] == 1
    assert found[0]["question"] == said["content"]
    assert "sources" not in said
    if found[0]["late"]:  # a machine that has no time: the caller was answered all the same
        assert found[0]["passages"] == []
        return
    assert found[0]["passages"][0]["documentId"] == paper["id"]
    source = {"documentId": paper["id"], "document": "hours.docx", "page": None, "url": None}
    assert answer["sources"][0] == source
    assert written["transcript"][1]["sources"] == answer["sources"]
