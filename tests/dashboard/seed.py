"""An organization with a past, for the dashboard to show: agents, numbers, tools, and calls with
events, latencies, costs and stereo recordings. `python -m tests.dashboard.seed FOLDER KEY` fills
one by hand; a third argument is how many calls."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import uuid
import wave
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from chorus.accounts.tables import Organization
from chorus.agents.tables import Agent
from chorus.billing.tables import LedgerLine
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database, utcnow
from chorus.numbers.tables import PhoneNumber
from chorus.prepare import prepare
from chorus.settings import Settings
from chorus.tools.tables import Tool

PICTURED = bool(os.environ.get("CHORUS_SCREENSHOTS"))
"""For the pictures of the documentation, which are not to look hostile."""
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
if PICTURED:
    HOSTILE = "At the window, please"
RATE_HZ = 8000
CALL = uuid.UUID("5eed0000-0000-4000-8000-000000000001")
AGENT = uuid.UUID("5eed0000-0000-4000-8000-00000000000a")

LINE = {
    "codec": "OPUS", "encrypted": True, "packetsReceived": 1890, "packetsSent": 1900,
    "loss": 0.013, "latePackets": 2, "concealedMs": 480.0, "jitterMs": 7.4,
    "roundTripMs": 46.0, "remoteLoss": 0.004, "remoteJitterMs": 3.1, "packetsRefused": 0,
    "mos": 4.1,
}  # fmt: skip

# who, from ms, to ms, words, (unsaid)
TALK: list[tuple[str, int, int, str, str]] = [
    ("agent", 400, 3100, "Chorus Bistro, good evening. How can I help you?", ""),
    ("caller", 3900, 6200, "Hello, I would like to book a table for Friday.", ""),
    ("agent", 6980, 9100, "With pleasure. For how many people?", ""),
    ("caller", 9900, 11200, "For four of us, please.", ""),
    ("agent", 12050, 14800, "A table for four on Friday. At what time", "would you like to come?"),
    ("caller", 14500, 17300, "Sorry, make that five. And at half past seven.", ""),
    ("agent", 19400, 23600, "Of course: five people, Friday, half past seven. Let me check.", ""),
    ("caller", 26100, 27200, f"Great. {HOSTILE}", ""),
    ("agent", 28050, 32400, "Your table is booked. The confirmation code is B 427.", ""),
    ("caller", 33200, 34600, "Thank you, goodbye!", ""),
    ("agent", 35300, 36900, "Thank you for calling. Goodbye.", ""),
]


async def seed(folder: Path, key: str, secret: str | None = None, calls: int = 60) -> None:
    # The database is the environment's, SQLite in the folder if it names none.
    settings = replace(
        Settings.read({**os.environ, "CHORUS_DATA_DIR": str(folder)}),
        bootstrap_api_key=key,
        secret_keys=(secret,) if secret else (),
    )
    await prepare(settings)
    database = Database(settings)
    try:
        async with database.writing() as session:
            organization = await session.scalar(sa.select(Organization.id))
            assert organization is not None
            session.add_all(_made(organization))
            await session.flush()
            chance = random.Random(7)
            now = utcnow()
            for n in range(calls):
                _past_call(session, organization, chance, n, now)
            await _whole_call(session, organization, folder, now - timedelta(minutes=12))
    finally:
        await database.close()


def _made(organization: uuid.UUID) -> list[Any]:
    defaults: dict[str, Any] = {
        "voice_speed": 1.0,
        "voice_stability": 0.5,
        "allow_end_call": True,
        "is_active": True,
        "post_call_summary_enabled": True,
        "post_call_extraction_schema": [],
        "first_speaker": "agent",
        "agent_greeting_enabled": True,
        "first_message_uninterruptible": False,
        "first_message_delay": 0,
        "max_call_duration_seconds": 600,
        "background_sound_volume": 0.15,
        "knowledge_base_ids": [],
        "transfer_targets": [],
    }
    prompt = (
        "You answer the telephone of {{restaurant}}. Be brief, warm and concrete.\n\n"
        "Ask for the day, the time and the number of people, one after the other. "
        "Then call find_table and repeat the booking.\n\nThe caller is {{caller_name}}."
    )
    agents = [
        Agent(
            id=AGENT,
            organization_id=organization,
            name="Bistro",
            system_prompt=prompt,
            agent_greeting="{{restaurant}}, good evening. How can I help you?",
            **{
                **defaults,
                "post_call_extraction_schema": [
                    {"name": "people", "type": "integer", "description": "How many will come"}
                ],
            },
        ),
        *(
            Agent(organization_id=organization, name=name, system_prompt="Be brief.", **defaults)
            for name in ("Front desk", "Reminder", HOSTILE)
        ),
    ]
    number = PhoneNumber(
        organization_id=organization,
        name=f"Main line. {HOSTILE}",
        number="+14155550100",
        provider="twilio",
        agent_id=AGENT,
        connection={},
        meta={},
    )
    tool = Tool(
        organization_id=organization,
        name="find_table",
        description=f"Finds a free table. Use it when day, time and people are known. {HOSTILE}",
        type="http",
        config={
            "url": "https://api.example.com/tables",
            "method": "GET",
            "timeout": 5000,
            "headers": [{"key": "X-Wish", "value": HOSTILE}],
            "body": [{"name": "people", "type": "integer", "description": "", "required": True}],
        },
    )
    return [*agents, number, tool]


def _past_call(
    session: Any, organization: uuid.UUID, chance: random.Random, n: int, now: datetime
) -> None:
    created = now - timedelta(hours=3 * n + chance.random() * 2, minutes=20)
    status = chance.choices(("completed", "failed", "no_answer"), (80, 8, 12))[0]
    reason = {
        "completed": chance.choice(("customer_ended", "agent_ended")),
        "failed": chance.choice(("provider_error", "busy")),
        "no_answer": "no_answer",
    }[status]
    seconds = chance.randrange(20, 260) if status == "completed" else None
    turns = chance.randrange(2, 12) if seconds else 0
    call = CallRow(
        id=uuid.uuid4(),
        organization_id=organization,
        agent_id=AGENT,
        provider="twilio",
        direction=chance.choice(("inbound", "outbound")),
        status=status,
        customer_number=HOSTILE[:60]
        if n == 3 and not PICTURED
        else f"+1415555{chance.randrange(1000, 9999)}",
        duration_seconds=seconds,
        cost_micros=seconds * 1700 if seconds else 0,
        turn_count=turns,
        timeline={"turns": [_waits(chance, turn, 4000 * turn) for turn in range(turns)]},
        ended_reason=reason,
        context_variables={},
        meta={},
        started_at=created,
        answered_at=created if seconds else None,
        ended_at=created + timedelta(seconds=seconds or 20),
        created_at=created,
        recording_settled_at=created,
    )
    session.add(call)


def _waits(chance: random.Random, turn: int, ended_ms: int) -> dict[str, Any]:
    words = chance.randrange(90, 240)
    verdict = words + chance.randrange(20, 90)
    committed = verdict + chance.randrange(5, 60)
    token = committed + chance.randrange(80, 420)
    audio = token + chance.randrange(60, 240)
    return {
        "turn": turn,
        "speechEndedAtMs": ended_ms,
        "wordsMs": words,
        "verdictMs": verdict,
        "committedMs": committed,
        "tokenMs": token,
        "audioMs": audio,
        "sentMs": audio + chance.randrange(2, 20),
    }


async def _whole_call(
    session: Any, organization: uuid.UUID, folder: Path, answered: datetime
) -> None:
    chance = random.Random(11)
    events, waits = _events(chance)
    seconds = 38
    session.add(
        CallRow(
            id=CALL,
            organization_id=organization,
            agent_id=AGENT,
            call_sid="CA" + "0" * 32,
            provider="twilio",
            direction="inbound",
            status="completed",
            customer_number="+14155550199",
            duration_seconds=seconds,
            cost_micros=61_240,
            recording_path=f"recordings/{CALL}.wav",
            turn_count=5,
            transcript=[
                {"role": "assistant" if who == "agent" else "user", "content": text}
                for who, _, _, text, _ in TALK
            ],
            analysis={
                "summary": f"A table for five was booked on Friday, half past seven. {HOSTILE}",
                "extractions": {"people": 5, "note": HOSTILE},
                "problems": [],
            },
            timeline={"turns": waits, "line": LINE},
            ended_reason="agent_ended",
            context_variables={"restaurant": "Chorus Bistro", "wish": HOSTILE},
            meta={"campaign": HOSTILE},
            started_at=answered - timedelta(seconds=4),
            answered_at=answered,
            ended_at=answered + timedelta(seconds=seconds),
            created_at=answered - timedelta(seconds=4),
            recording_settled_at=answered + timedelta(seconds=seconds + 3),
        )
    )
    await session.flush()  # its events name it
    for seq, (at_ms, kind, data) in enumerate(events, 1):
        session.add(
            CallEvent(
                organization_id=organization,
                call_id=CALL,
                seq=seq,
                at_ms=at_ms,
                kind=kind,
                data=data,
                created_at=answered + timedelta(milliseconds=at_ms),
            )
        )
    session.add_all(_lines(organization, answered))
    _record(folder / "recordings" / f"{CALL}.wav", seconds)


def _events(chance: random.Random) -> tuple[list[tuple[int, str, dict[str, Any]]], list[Any]]:
    found: list[tuple[int, str, dict[str, Any]]] = [(0, "answered", {"provider": "twilio"})]
    waits: list[dict[str, Any]] = []
    turn = 0
    for who, start, end, text, unsaid in TALK:
        if who == "caller":
            turn += 1
            found.append((start + 80, "speech_started", {"turn": turn, "onsetMs": start}))
            found.append((end, "speech_paused", {"turn": turn}))
            found.append((end + 120, "draft_started", {"turn": turn}))
            found.append((end + 150, "words", {"text": text, "spokenAtMs": start}))
            committed = {"turn": turn, "by": "eot", "text": text, "drafted": True}
            found.append((end + 260, "turn_committed", committed))
            if turn == 2:
                passage = {"chunkId": "c1", "documentId": "d1", "document": "Opening hours"}
                passage |= {"heading": "Terrace", "page": 2, "score": 0.7, "text": HOSTILE}
                looked = {"turn": turn, "question": text, "ways": ["words"], "elapsedMs": 12}
                looked |= {"late": False, "passages": [passage]}
                found.append((end + 270, "knowledge_found", looked))
            if turn == 3:
                call = {"turn": turn, "id": "t1", "name": "find_table", "arguments": {"people": 5}}
                found.append((23_700, "tool_called", call))
                result = {"id": "t1", "name": "find_table", "ok": True, "status": 200}
                result |= {"elapsedMs": 1840, "result": {"code": "B427", "note": HOSTILE}}
                found.append((25_540, "tool_result", result))
        else:
            found.append((start, "reply_started", {"turn": turn or None}))
            if turn:
                wait = _waits(chance, turn, TALK[2 * turn - 1][2])
                wait["sentMs"] = start - TALK[2 * turn - 1][2]
                waits.append(wait)
                found.append((start, "turn_latency", wait))
            heard: dict[str, Any] = {"turn": turn or None, "heardMs": end - start, "heard": text}
            if unsaid:
                heard |= {"interrupted": True, "unsaid": unsaid, "estimated": True}
            found.append((end, "reply_heard", heard))
    found.append((37_200, "ended", {"reason": "agent_ended"}))
    return sorted(found, key=lambda each: each[0]), waits


def _lines(organization: uuid.UUID, when: datetime) -> list[LedgerLine]:
    used = [
        ("telephony", "twilio", 60, 8500, 60, False),
        ("transcription", "deepgram/nova-3", 38, 7700, 60, False),
        ("voice", "eleven/flash", 412, 50_000_000, 1_000_000, False),
        ("model_input", "gpt-4.1-mini", 5120, 400_000, 1_000_000, False),
        ("model_output", "gpt-4.1-mini", 640, 1_600_000, 1_000_000, False),
        ("model_output", "gpt-4.1-mini", 310, 1_600_000, 1_000_000, True),
    ]
    return [
        LedgerLine(
            organization_id=organization,
            kind="charge",
            call_id=CALL,
            meter=meter,
            sequence=n,
            engine=engine,
            discarded=discarded,
            quantity=quantity,
            price_version="test",
            price_micros=price,
            price_per=per,
            amount_micros=quantity * price // per,
            charged=False,
            agent_id=AGENT,
            called_at=when,
        )
        for n, (meter, engine, quantity, price, per, discarded) in enumerate(used)
    ]


def _record(path: Path, seconds: int) -> None:
    """Something that looks like speech: noise in syllables, the caller left, the agent right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(3)
    sound = chance.normal(0, 12, (seconds * RATE_HZ, 2))
    for who, start, end, _, _ in TALK:
        first, last = start * RATE_HZ // 1000, end * RATE_HZ // 1000
        t = np.arange(last - first) / RATE_HZ
        syllables = np.abs(np.sin(2 * np.pi * 2.1 * t)) * np.abs(np.sin(2 * np.pi * 0.37 * t + 1))
        tone = np.sin(2 * np.pi * (130 if who == "caller" else 210) * t)
        side = 0 if who == "caller" else 1
        spoken = tone * syllables * (5200 if who == "caller" else 8200)
        sound[first:last, side] += spoken * (0.6 + 0.4 * chance.random(len(t)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.clip(sound, -32768, 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    asyncio.run(seed(Path(sys.argv[1]), sys.argv[2], calls=count))
