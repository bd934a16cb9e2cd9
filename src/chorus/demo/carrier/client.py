"""Starts the carrier and steers it from Python.

async with running() as carrier:
    await carrier.add_account("AC…", "token")
    await carrier.add_number("+15550001", "AC…", "https://…/twilio/voice")
    call = await carrier.call("+15550001", "+15559", Person(steps=[Say(sound="tone")]))
    await call.wait("agent.answers")
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from chorus.demo.carrier.person import SILENT, Person, Step, Steps

START_TIMEOUT_S = 20.0
WAIT_TIMEOUT_S = 10.0
Event = dict[str, Any]


class CarrierCall:
    """One call at the carrier."""

    def __init__(self, carrier: CarrierClient, sid: str) -> None:
        self._carrier = carrier
        self.sid = sid

    async def do(self, *steps: Step) -> None:
        """More for the person to do, after what is left of the script."""
        body = Steps(steps=list(steps)).model_dump()
        await self._carrier.post(f"calls/{self.sid}/steps", body)

    async def wait(
        self, kind: str, timeout_s: float = WAIT_TIMEOUT_S, after: int = -1, **facts: Any
    ) -> Event:
        """The first event of this kind on this call, also if it is past, that has these facts
        and comes after event number `after`. Raises `TimeoutError` that tells what happened."""
        return await self._carrier.wait(kind, timeout_s, after, call=self.sid, **facts)

    def events(self, kind: str | None = None) -> list[Event]:
        return [
            event
            for event in self._carrier.events
            if event["call"] == self.sid and kind in (None, event["kind"])
        ]

    async def look(self) -> dict[str, Any]:
        """Status, duration, and the figures: `responses`, `clears`, `underruns_ms`, `counts`."""
        return (await self._carrier.get(f"calls/{self.sid}")).json()

    async def heard(self) -> bytes:
        """What the person heard, 8 kHz µ-law, as it was played."""
        return (await self._carrier.get(f"calls/{self.sid}/heard")).content

    async def said(self) -> bytes:
        """What the person said; sample `n` was spoken while sample `n` of `heard` played."""
        return (await self._carrier.get(f"calls/{self.sid}/said")).content


class CarrierClient:
    """Steers a carrier at `url`; make it with `running`."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.events: list[Event] = []
        self._http = http
        self._news = asyncio.Condition()

    async def add_account(self, sid: str, auth_token: str) -> None:
        await self.post("accounts", {"sid": sid, "auth_token": auth_token})

    async def add_number(
        self, number: str, account_sid: str, voice_url: str, status_url: str | None = None
    ) -> None:
        body = {"number": number, "account_sid": account_sid, "voice_url": voice_url}
        await self.post("numbers", body | ({"status_url": status_url} if status_url else {}))

    async def expect(self, number: str, person: Person, times: int = 1) -> None:
        """The next calls that the API places to `number` reach this person."""
        body = {"number": number, "person": person.model_dump(), "times": times}
        await self.post("people", body)

    async def call(self, to: str, from_: str, person: Person = SILENT) -> CarrierCall:
        """The person calls one of our numbers."""
        body = {"to": to, "from": from_, "person": person.model_dump()}
        return CarrierCall(self, (await self.post("calls", body)).json()["sid"])

    def placed(self, sid: str) -> CarrierCall:
        """A call that the API placed."""
        return CarrierCall(self, sid)

    async def fault(
        self,
        status: int = 500,
        body: str = "",
        delay_s: float = 0,
        times: int = 1,
        after: int = 0,
        *,
        done: bool = False,
    ) -> None:
        """The REST API answers this instead of what it should, once it has done `after` requests
        more. `done`: it does what it was asked for all the same, and at once."""
        fault = {"status": status, "body": body, "delay_s": delay_s, "times": times, "after": after}
        await self.post("faults", fault | {"done": done})

    async def wait(
        self, kind: str, timeout_s: float = WAIT_TIMEOUT_S, after: int = -1, **facts: Any
    ) -> Event:
        """As `CarrierCall.wait`, over all calls."""
        wanted = {"kind": kind, **facts}

        def found() -> Event | None:
            for event in self.events[after + 1 :]:
                if wanted.items() <= {k: event.get(k) for k in wanted}.items():
                    return event
            return None

        try:
            async with asyncio.timeout(timeout_s), self._news:
                while (event := found()) is None:
                    await self._news.wait()
                return event
        except TimeoutError:
            happened = [e for e in self.events if facts.get("call") in (None, e["call"])]
            lines = "\n".join(f"  {json.dumps(event)[:300]}" for event in happened)
            raise TimeoutError(f"no {wanted} within {timeout_s} s; there was:\n{lines}") from None

    async def post(self, path: str, body: Any) -> httpx.Response:
        answer = await self._http.post(f"{self.url}/control/{path}", json=body)
        return _good(answer)

    async def get(self, path: str) -> httpx.Response:
        return _good(await self._http.get(f"{self.url}/control/{path}"))

    async def follow(self) -> None:
        """Keep `events` up to date, until cancelled."""
        url = f"{self.url}/control/events"
        async with self._http.stream("GET", url, timeout=None) as answer:
            async for line in answer.aiter_lines():
                async with self._news:
                    self.events.append(json.loads(line))
                    self._news.notify_all()


@asynccontextmanager
async def running(
    listening: socket.socket | None = None, sip: tuple[str, int, int] | None = None
) -> AsyncGenerator[CarrierClient]:
    """A carrier in a process of its own, gone when the block is left: where somebody listens
    already (so that its address is known before it is there), or on a free port. `sip`: the
    people's number, their telephones' port, and the platform's."""
    handed = () if listening is None else (listening.fileno(),)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chorus.demo.carrier", "--with-parent"),
        *(() if sip is None else ("--sip", *map(str, sip))),
        *(argument for fd in handed for argument in ("--socket", str(fd))),
        pass_fds=handed,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Ctrl-C in the terminal is for whoever started this, who ends it by its input.
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            first = await process.stdout.readline()
        if not first:
            raise RuntimeError("the carrier did not start; its error is on standard error")
        # The carrier closes what is idle for five seconds, just when it may be used again.
        limits = httpx.Limits(keepalive_expiry=2)
        async with httpx.AsyncClient(timeout=10, limits=limits) as http:
            client = CarrierClient(json.loads(first)["url"], http)
            following = asyncio.create_task(client.follow())
            try:
                yield client
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _good(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise RuntimeError(f"the carrier refused {answer.url}: {answer.status_code} {answer.text}")
    return answer
