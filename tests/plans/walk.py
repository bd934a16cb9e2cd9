"""All ways of a call, walked with a real server, a real carrier, pages and a receiver of webhooks.

In: by the carrier's webhook, from a page, with a publishable token. Out: answered, busy, taken
back. Steered, supervised, handed to somebody in each way, analysed, settled, announced; lost with
its server and found again. Then everything that can be read of them, and what is deleted.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
from tests.calls.sse import follow
from tests.calls.test_killed_transfers import joining
from tests.calls.test_live_calls import post
from tests.calls.test_live_transfers import call as shown
from tests.calls.test_live_transfers import (
    ended,
    released,
    talking,
    to,
    transferred,
    until,
)
from tests.lines.browser.page import Page
from tests.plans.heard import Asked
from tests.plans.rows import fill
from tests.plans.server import read
from tests.soak.afterwards import Afterwards
from tests.soak.rig import ACCOUNT, OURS, TOKEN, Rig, environment

from chorus.calls.tables import CallCommand
from chorus.db import Database
from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Press, Say, Step, Wait, WaitQuiet

SITE = "https://www.example.com"
CALLER = "+15559990001"
EVENTS = (
    *("call.started", "call.completed", "call.failed"),
    *("transfer.started", "transfer.completed", "transfer.failed", "latency.breached"),
)
SCRIPT = """You arrange deliveries.

script:
otherwise: say "Sorry, could you say that again?"
after call:
    summary "Nothing was arranged."
"""


async def walk(folder: Path, database_url: str | None, database: Database) -> list[Asked]:
    """What the server asked. `database_url` as psycopg takes it; None: SQLite, in the folder.
    `database` is the same."""
    asked_in = folder / "asked"
    async with client.running() as carrier, Afterwards(folder) as afterwards:
        env = environment(carrier, database_url) | afterwards.env | {"ASKED_IN": str(asked_in)}
        rig = Rig(carrier, folder, env, database_url, module="tests.plans.server")
        await rig.start()
        try:
            async with rig.http() as http:
                found = await Walk(rig, http, afterwards, database).all()
                await read_everything(http, found)
                await delete_some(http, found)
            await lost(rig)
        finally:
            await rig.stop()
    return list(read(asked_in))


async def made(http: httpx.AsyncClient, path: str, body: Any = None, **headers: str) -> Any:
    answer = await http.post(f"/v1/{path}", json=body, headers=headers)
    assert answer.is_success, (path, answer.text)
    return answer.json().get("data")


class Walk:
    """`made`: a resource of each kind, by the name of its list."""

    def __init__(
        self, rig: Rig, http: httpx.AsyncClient, afterwards: Afterwards, database: Database
    ) -> None:
        self.rig, self.http, self.afterwards, self.database = rig, http, afterwards, database
        self.organization_id = ""
        self.made: dict[str, Any] = {}

    async def all(self) -> dict[str, Any]:
        await self._prepare()
        board = asyncio.create_task(self._board())
        try:
            await self._calls()
        finally:
            board.cancel()
            await asyncio.wait({board})
        return self.made

    async def _calls(self) -> None:
        """Some at a time: with more, a slow machine would hear nobody in time."""
        ways = [
            *(self._comes_in(), self._is_steered(), self._of_a_page(), self._is_busy()),
            *(self._is_released(), self._is_handed_over(), self._of_a_token()),
            *(self._is_handed_over_by_the_carrier(), self._is_declined(), self._is_taken_back()),
        ]
        free = asyncio.Semaphore(3)

        async def go(way: Coroutine[Any, Any, None]) -> None:
            async with free:
                await way

        async with asyncio.TaskGroup() as group:
            for way in ways:
                group.create_task(go(way))

    async def _board(self) -> None:
        """Somebody looks at all live calls."""
        accept = {"accept": "text/event-stream"}
        async with self.http.stream("GET", "/v1/calls/live", headers=accept) as answer:
            async for _ in answer.aiter_lines():
                pass

    async def _prepare(self) -> None:
        http = self.http
        self.organization_id = (await http.get("/v1/organization")).json()["data"]["id"]
        await fill(self.database, uuid.UUID(self.organization_id))
        base = await made(http, "knowledge-bases", {"name": "Shop"})
        path = f"knowledge-bases/{base['id']}/documents"
        document = await made(http, path, {"name": "Hours", "text": "We are open from nine."})
        tool = {
            "name": "look_up",
            "description": "Looks up",
            "type": "http",
            "config": {"url": "https://example.com", "method": "GET"},
        }
        self.made |= {
            "knowledge-bases": base["id"],
            "documents": document["id"],
            "tools": (await made(http, "tools", tool))["id"],
        }
        await self.rig.prepare(
            **self.afterwards.agent,
            slmModelId=await self._engine("slm-models", "script"),
            transcriberId=await self._engine("transcribers", "simulated"),
            systemPrompt=SCRIPT,
            agentGreetingEnabled=True,
            knowledgeBaseIds=[base["id"]],
            toolIds=[self.made["tools"]],
            latencyTargetMs=2000,
        )
        wish = self.rig.wish
        endpoint = {"url": "https://example.com/hook", "events": [*EVENTS]}
        token = {"agentId": wish["agentId"], "name": "Site", "origins": [SITE]}
        self.token = await made(http, "publishable-tokens", token)
        await made(http, "agents", {"name": "Soak, too"})
        self.made |= {
            "agents": wish["agentId"],
            "connection": {"twilioAccountSid": ACCOUNT, "twilioAuthToken": TOKEN},
            "phone-numbers": wish["phoneNumberId"],
            "webhook-endpoints": (await made(http, "webhook-endpoints", endpoint))["id"],
            "publishable-tokens": self.token["id"],
            "api-keys": (await made(http, "api-keys", {"name": "one more"}))["id"],
        }
        await self.afterwards.top_up(self.rig)

    async def _engine(self, catalogue: str, name: str) -> str:
        found = (await self.http.get(f"/v1/{catalogue}?search={name}")).json()["data"]
        return found[0]["id"]

    # --- in and out -------------------------------------------------------------------------------

    async def _comes_in(self) -> None:
        says: list[Step] = [WaitQuiet(quiet_ms=300), Say(sound="tone", ms=400)]
        steps = [*says, WaitQuiet(quiet_ms=300), HangUp()]
        await self.rig.carrier.call(OURS, CALLER, Person(steps=steps))
        call = await self._call_of(CALLER)
        call = await ended(self.rig, call["id"])
        assert call["status"] == "completed", call
        async with asyncio.timeout(40):
            while not (call := await shown(self.rig, call["id"]))["analysis"]:
                await asyncio.sleep(0.1)
            while call["id"] not in [asked.json["callId"] for asked in self.afterwards.news]:
                await asyncio.sleep(0.1)
        [told] = [a.json for a in self.afterwards.news if a.json["callId"] == call["id"]]
        for link in (told["recordingUrl"], told["transcriptUrl"]):
            assert (await self.http.get(link)).status_code == 200
        self.made["calls"] = call["id"]

    async def _is_steered(self) -> None:
        id, _ = await talking(self.rig)
        following = asyncio.create_task(self._follow(id))
        grant = await made(self.http, f"calls/{id}/supervisors", {"hears": "both"})
        supervisor = Page(grant | {"callId": grant["id"]})
        await supervisor.open()
        await supervisor.told("started")
        mode = f"calls/{id}/supervisors/{grant['id']}/mode"
        late = await made(self.http, f"calls/{id}/supervisors", {"hears": "caller"})
        await self._is_told_by_another_process(id)
        for verb, body in (
            (mode, {"mode": "whisper"}),
            (f"calls/{id}/say", {"text": "One moment."}),
            (f"calls/{id}/inject", {"text": "They are a friend."}),
            (f"calls/{id}/keys", {"keys": "1"}),
            (f"calls/{id}/hangup", None),
        ):
            await made(self.http, verb, body)
        await ended(self.rig, id)
        await supervisor.close()
        await following
        too_late = Page(late | {"callId": late["id"]})
        await too_late.open()
        assert (await too_late.told("ended"))["reason"] == "not_here"
        await too_late.close()

    async def _is_told_by_another_process(self, id: str) -> None:
        async with self.database.writing() as session:
            organization_id = uuid.UUID(self.organization_id)
            told = {"organization_id": organization_id, "call_id": uuid.UUID(id)}
            session.add(CallCommand(**told, verb="advise", text="They are in a hurry."))
        await until(self.rig, id, "operator_note")

    async def _follow(self, id: str) -> None:
        async for _ in follow(self.rig, id):
            pass

    async def _is_busy(self) -> None:
        number = "+15573330001"
        assert await self.rig.place(number, Person(answer="busy", ring_ms=0))
        assert (await ended(self.rig, self.rig.accepted[number]))["status"] != "completed"

    async def _is_taken_back(self) -> None:
        wish = {**self.rig.wish, "to": "+15573330002", "scheduledAt": "2027-01-01T00:00:00Z"}
        call = await made(self.http, "calls", wish, **{"Idempotency-Key": "taken back"})
        await made(self.http, f"calls/{call['id']}/cancel")

    # --- to somebody else -------------------------------------------------------------------------

    async def _is_handed_over(self) -> None:
        wish = to("cold")
        id, _ = await transferred(self.rig, Person(ring_ms=50), wish)
        await until(self.rig, id, "transfer_connected")
        await (await self._person(id)).do(Wait(ms=300), HangUp())
        assert (await ended(self.rig, id))["transferStatus"] == "completed"

    async def _is_released(self) -> None:
        id, leg_id, person = await released(self.rig)
        await ended(self.rig, id)
        await person.do(HangUp())
        for each in (id, leg_id):
            await until(self.rig, each, "released_over")

    async def _is_declined(self) -> None:
        declines = Person(ring_ms=50, steps=[WaitQuiet(quiet_ms=300), Press(digits="2")])
        id, caller = await transferred(self.rig, declines, to("warm"))
        await until(self.rig, id, "transfer_declined")
        await caller.do(HangUp())
        assert (await ended(self.rig, id))["transferStatus"] == "declined"

    async def _is_handed_over_by_the_carrier(self) -> None:
        wish = to("cold", merge="release")
        id, _ = await transferred(self.rig, Person(answer="busy", ring_ms=50), wish)
        await until(self.rig, id, "hold_ended")
        await self.rig.carrier.expect(wish["to"]["number"], Person(ring_ms=50))
        assert (await post(self.rig, f"{id}/transfer", wish)).status_code == 202
        assert (await ended(self.rig, id))["transferStatus"] == "completed"

    async def _person(self, id: str) -> Any:
        [leg] = (await shown(self.rig, id))["transferCalls"]
        return self.rig.carrier.placed((await shown(self.rig, leg["id"]))["callSid"])

    # --- from pages -------------------------------------------------------------------------------

    async def _of_a_page(self) -> None:
        changes = {"agentGreeting": "Good day.", "toolIds": [self.made["tools"]]}
        wish = {"agentId": self.rig.wish["agentId"], "agent": changes}
        begun = await made(self.http, "calls/test", wish)
        page = Page(begun)
        await page.open()
        await page.event("reply_started")
        await page.lose()
        await page.resume()
        # By whichever number the agent can call from.
        assert (await post(self.rig, f"{begun['callId']}/transfer", to("cold"))).status_code == 202
        await made(self.http, f"calls/{begun['callId']}/hangup")
        await ended(self.rig, begun["callId"])
        await page.close()

    async def _of_a_token(self) -> None:
        path, origin = f"publishable-tokens/{self.token['token']}/calls", {"Origin": SITE}
        begun = [await made(self.http, path, None, **origin) for _ in range(2)]
        page = Page(begun[0])
        await page.open(origin=SITE)
        await page.event("reply_started")
        # One of them is talked on, to the other the page has not come.
        gone = f"/v1/publishable-tokens/{self.token['id']}?endCalls=true"
        assert (await self.http.delete(gone)).status_code == 200
        for each in begun:
            await ended(self.rig, each["callId"])
        await page.close()
        again = {"agentId": self.rig.wish["agentId"], "name": "Site", "origins": [SITE]}
        token = await made(self.http, "publishable-tokens", again)
        self.made["publishable-tokens"] = token["id"]

    async def _call_of(self, number: str) -> dict[str, Any]:
        async with asyncio.timeout(40):
            while True:
                calls = (await self.http.get("/v1/calls?limit=100")).json()["data"]
                if found := [call for call in calls if call["customerNumber"] == number]:
                    return found[0]
                await asyncio.sleep(0.1)


# --- afterwards -----------------------------------------------------------------------------------


async def read_everything(http: httpx.AsyncClient, found: dict[str, Any]) -> None:
    """Every GET of the document: whatever is added to it has to be read here, too."""
    case = {"callId": found["calls"]}
    found["test-cases"] = (await made(http, "test-cases", case))["id"]
    deliveries = (await http.get(f"/v1/webhook-deliveries?callId={found['calls']}")).json()["data"]
    found["webhook-deliveries"] = deliveries[0]["id"]
    found["provider-keys"] = str(uuid.uuid4())  # with one of ours, its vendor would be asked
    for catalogue in ("voices", "slm-models", "transcribers", "background-sounds"):
        found[catalogue] = (await http.get(f"/v1/{catalogue}")).json()["data"][0]["id"]
    document = (await http.get("/v1/openapi.json")).json()
    read: list[str] = []
    for path, operations in document["paths"].items():
        if "get" not in operations or OF_PEOPLE.intersection(path.split("/")):
            continue
        answer = await http.get(_address(path, found), follow_redirects=True)
        assert answer.status_code in (200, 404), (path, answer.text)
        read.append(path)
    assert len(read) > 40
    for path in MORE:
        answer = await http.get(f"/v1/{path.format(**found)}")
        assert answer.status_code == 200, (path, answer.text)


MORE = (
    *("calls?search=Soak", "calls?search=Soa", "calls?search=4155", "calls?text=hello"),
    *("calls?offset=600", "calls?search=Soak&offset=600", "calls?sort=createdAt&offset=900"),
    *("calls?offset=600&agentId={agents}", "calls?offset=300000&status=failed"),
    *("call-stats?interval=hour", "call-stats?agentId={agents}"),
    *("usage?groupBy=agent", "usage?groupBy=phoneNumber", "usage?from=2026-01-01T00:30:00Z"),
)


OF_PEOPLE = {"members", "sessions", "views", "second-factor", "sso"}
"""What is for who is logged in, and not on the way of a call."""


def _address(path: str, found: dict[str, Any]) -> str:
    parts = path.split("/")
    for at, part in enumerate(parts):
        if part in ("{number}", "{version}"):
            parts[at] = "1"
        elif part.startswith("{"):
            parts[at] = found[parts[at - 1]]
    return "/".join(parts)


KEPT = ("recordingRetentionDays", "transcriptRetentionDays", "auditRetentionDays")


async def delete_some(http: httpx.AsyncClient, found: dict[str, Any]) -> None:
    base, agent = f"knowledge-bases/{found['knowledge-bases']}", f"agents/{found['agents']}"
    endpoint = f"webhook-endpoints/{found['webhook-endpoints']}"
    call, case = f"calls/{found['calls']}", f"test-cases/{found['test-cases']}"
    token = f"publishable-tokens/{found['publishable-tokens']}"
    number = {"name": "More", "number": "+15550002001", **found["connection"]}
    number = (await made(http, "phone-numbers", number))["id"]
    wishes: tuple[tuple[str, str, Any], ...] = (
        ("POST", f"{base}/search", {"query": "open"}),
        ("POST", f"webhook-deliveries/{found['webhook-deliveries']}/redeliver", None),
        ("POST", f"phone-numbers/{found['phone-numbers']}/check", None),
        ("POST", f"{agent}/webhook/test", None),
        ("POST", f"{agent}/webhook/enable", None),
        ("POST", f"{endpoint}/test", None),
        ("POST", f"{endpoint}/rotate-secret", None),
        ("POST", "webhook-secret/rotate", None),
        ("PATCH", token, {"name": "Other"}),
        ("PATCH", case, {"name": "Other"}),
        ("PATCH", endpoint, {"description": "Other"}),
        ("PATCH", f"phone-numbers/{found['phone-numbers']}", {"name": "Other"}),
        ("PATCH", agent, {"name": "Other"}),
        ("PATCH", "organization", dict.fromkeys(KEPT, 30)),
        ("DELETE", f"{call}/recording", None),
        ("DELETE", f"{call}/transcript", None),
        ("DELETE", case, None),
        ("DELETE", call, None),
        ("DELETE", endpoint, None),
        ("DELETE", f"phone-numbers/{number}", None),
    )
    for verb, path, body in wishes:
        answer = await http.request(verb, f"/v1/{path}", json=body)
        assert answer.status_code < 300 or answer.status_code in (404, 409), (path, answer.text)


async def lost(rig: Rig) -> None:
    """The server is killed while one caller talks, one is put through, and the carrier has just
    connected a third, of which it has not told yet."""
    talks, _ = await talking(rig)
    put_through, _ = await transferred(rig, Person(ring_ms=110_000), to("warm"))
    await until(rig, put_through, "transfer_ringing")
    connected, _, _, person = await joining(rig, done=True)
    rig.kill()
    await rig.start()
    for id in (talks, put_through):
        assert (await ended(rig, id))["endedReason"] == "worker_lost"
    assert (await ended(rig, connected))["endedReason"] == "transferred"
    await person.do(HangUp())
    await until(rig, connected, "released_over")
