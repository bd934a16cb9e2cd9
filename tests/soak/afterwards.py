"""News and money of calls whose server is killed: a receiver of webhooks, prices, and the count.

    async with Afterwards(folder) as afterwards:
        …run the server with afterwards.env, its agent with afterwards.agent, and kill it…
        problems = await afterwards.problems(rig)

The receiver checks each signature as it comes, and takes a moment to answer, so that some
servers die while they wait for it; if it is told to, it refuses some the first time. In the end
each call must have been announced at least once, always with the same id and the same body;
nothing may be announced that is no call. Each call's lines must be what its events say that it
used, add up to its cost, and, all together, be what the balance has lost.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from standardwebhooks import Webhook, WebhookVerificationError
from tests.fakes.http_peer import Asked, HttpPeer, respond

from chorus.webhooks.sign import key_of

if TYPE_CHECKING:
    from tests.soak.rig import Rig

SECRET = "the secret of the soak"
DOLLARS = 100_000
ANSWER_S = 0.4
HURRY_S = 75.0
SETTLE_S = 180.0

PRICES = """
[[price_list]]
version = "soak"
valid_from = 2020-01-01

[price_list.typical_minute]
characters = 500
input_tokens = 400
output_tokens = 200

[price_list.telephony.twilio]
per_minute = 0.014
inbound_per_minute = 0.0085
billed = "second"

[price_list.telephony.sip]
per_minute = 0.012
inbound_per_minute = 0.008
billed = "second"

[price_list.transcription."*"]
per_minute = 0.0043

[price_list.voice."*"]
per_million_characters = 15

[price_list.model."*"]
per_million_input_tokens = 2
per_million_output_tokens = 8
"""

_MEASURED = {
    "characters": "voice",
    "inputTokens": "model_input",
    "outputTokens": "model_output",
}


class Afterwards:
    """`refused`: what part of the webhooks has to come a second time."""

    def __init__(self, folder: Path, refused: float = 0) -> None:
        prices = folder / "prices.toml"
        prices.write_text(PRICES, "utf-8")
        self.env = {
            "CHORUS_ALLOW_PRIVATE_ADDRESSES": "1",
            "CHORUS_ALLOW_TOP_UP": "1",
            "CHORUS_BILLING": "1",
            "CHORUS_PRICES_FILE": str(prices),
        }
        self.forged: list[str] = []
        self.reached: set[str] = set()
        self.answered: set[str] = set()
        """The ids of webhooks that came, and were answered, since `forget`."""
        self._dice = random.Random(7)
        self._refused = refused
        self._seen: set[str] = set()
        self._taken: set[str] = set()
        self._receiver = HttpPeer(self._answer)

    @property
    def agent(self) -> dict[str, Any]:
        return {
            "postCallSummaryEnabled": True,
            "postCallWebhookUrl": self._receiver.url,
            "postCallWebhookSecret": SECRET,
        }

    @property
    def news(self) -> list[Asked]:
        return self._receiver.requests

    async def __aenter__(self) -> Afterwards:
        await self._receiver.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._receiver.__aexit__(kind, error, trace)

    def forget(self) -> None:
        self.reached.clear()
        self.answered.clear()

    async def top_up(self, rig: Rig) -> None:
        async with rig.http() as http:
            answer = await http.post("/v1/balance/top-ups", json={"amount": DOLLARS})
            assert answer.status_code == 201, answer.text

    async def problems(self, rig: Rig) -> list[str]:
        """Waits until all is told: a call that has its costs may not have been analysed yet, and
        then nobody was to be told of it so far. What was lost so often that it waits for minutes
        is asked for over the API."""
        hurried_at = asyncio.get_running_loop().time() + HURRY_S
        waiting = "SELECT id FROM webhook_deliveries WHERE status = 'pending'"
        unannounced = (
            "SELECT id FROM calls WHERE parent_call_id IS NULL AND id NOT IN"
            " (SELECT call_id FROM webhook_deliveries WHERE call_id IS NOT NULL)"
        )
        try:
            async with asyncio.timeout(SETTLE_S):
                # In this order: what is announced in between is among those that wait.
                while await rig.rows(unannounced) + (left := await rig.rows(waiting)):
                    await asyncio.sleep(0.5)
                    if asyncio.get_running_loop().time() > hurried_at:
                        await _hurry(rig, left)
        except TimeoutError:
            pass  # what was not told is found below
        calls = {call["id"]: call for call in await rig.calls()}
        ended = "SELECT call_id, status FROM webhook_deliveries WHERE status <> 'delivered'"
        undelivered = [f"the news of call {id} are {end}" for id, end in await rig.rows(ended)]
        return [*undelivered, *self._of_news(calls), *await _of_money(rig, calls)]

    async def _answer(self, asked: Asked) -> AsyncGenerator[bytes]:
        try:
            Webhook(key_of(SECRET)).verify(asked.body, asked.headers)
        except WebhookVerificationError as wrong:
            self.forged.append(f"a webhook's signature does not hold: {wrong}")
        id = asked.headers["webhook-id"]
        self.reached.add(id)
        refused = id not in self._seen and self._dice.random() < self._refused
        self._seen.add(id)
        await asyncio.sleep(self._dice.uniform(0, ANSWER_S))
        self.answered.add(id)
        if not refused:
            self._taken.add(asked.json["callId"])
        yield respond(503 if refused else 204)

    def _of_news(self, calls: dict[str, dict[str, Any]]) -> Iterable[str]:
        yield from self.forged
        told: dict[str, list[Asked]] = defaultdict(list)
        for asked in self.news:
            told[asked.json["callId"]].append(asked)
        # Second calls of transfers are not announced: their transfers are.
        announced = {id for id, call in calls.items() if call["parentCallId"] is None}
        for call_id in announced - self._taken:
            yield f"nobody was told of call {call_id}"
        for call_id in told.keys() - announced:
            yield f"the webhook told of call {call_id}, which is none"
        for call_id in calls.keys() & told.keys():
            call, tries = calls[call_id], told[call_id]
            if len({asked.headers["webhook-id"] for asked in tries}) != 1:
                yield f"call {call_id} was announced under several ids"
            if len({asked.body for asked in tries}) != 1:
                yield f"call {call_id} was announced in several ways"
            said = json.loads(tries[0].body)
            for name in ("status", "endedReason", "cost", "durationSeconds", "customerNumber"):
                if said[name] != call[name]:
                    yield f"call {call_id}: {name} is {call[name]}, announced as {said[name]}"


async def _hurry(rig: Rig, waiting: list[tuple[Any, ...]]) -> None:
    async with rig.http() as http:
        for (id,) in waiting:
            await http.post(f"/v1/webhook-deliveries/{uuid.UUID(str(id))}/redeliver")


async def _of_money(rig: Rig, calls: dict[str, dict[str, Any]]) -> list[str]:
    problems: list[str] = []
    lines = await rig.rows(
        "SELECT call_id, meter, engine, discarded, quantity, amount_micros, charged "
        "FROM ledger_lines WHERE kind = 'charge'"
    )
    sums: dict[str, int] = dict.fromkeys(calls, 0)
    timed: set[tuple[str, str]] = set()
    counted = Counter[tuple[str, str, str, bool]]()
    for call_id, meter, engine, discarded, quantity, micros, charged in lines:
        key = str(uuid.UUID(str(call_id)))
        if key not in sums:
            problems.append(f"call {key}, which is none, was charged")
            continue
        sums[key] += micros
        if meter in ("telephony", "transcription"):
            if (key, meter) in timed:
                problems.append(f"call {key} was charged for {meter} twice")
            timed.add((key, meter))
        counted[key, meter, engine, bool(discarded)] += quantity
        if not charged:
            problems.append(f"a line of call {key} did not move the balance")
    for call_id, micros in sums.items():
        cost = calls[call_id]["cost"]
        if cost is None or round(cost * 1_000_000) != micros:
            problems.append(f"call {call_id} costs {cost}, its lines are {micros} micro-dollars")
    measured = {k: n for k, n in counted.items() if k[1] in _MEASURED.values()}
    used = await _used(rig)
    for key in measured.keys() | used.keys():
        if measured.get(key, 0) != used.get(key, 0):
            problems.append(f"{key}: charged {measured.get(key, 0)}, used {used.get(key, 0)}")
    [(balance,)] = await rig.rows("SELECT amount_micros FROM balances")
    if balance != DOLLARS * 1_000_000 - sum(sums.values()):
        problems.append(f"the balance is {balance}, the lines are {sum(sums.values())}")
    [(held,)] = await rig.rows("SELECT count(*) FROM balance_holds")
    if held:
        problems.append(f"{held} calls that are over hold money")
    return problems


async def _used(rig: Rig) -> Counter[tuple[str, str, str, bool]]:
    """What the events say, added up here and not by what is tested."""
    found = Counter[tuple[str, str, str, bool]]()
    for call_id, data in await rig.rows(
        "SELECT call_id, data FROM call_events WHERE kind = 'usage'"
    ):
        usage = json.loads(data) if isinstance(data, str) else data
        for count, meter in _MEASURED.items():
            if usage.get(count):
                engine = usage["voice" if meter == "voice" else "model"]
                key = str(uuid.UUID(str(call_id)))
                found[key, meter, engine, bool(usage.get("discarded"))] += usage[count]
    return found
