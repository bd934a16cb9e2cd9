"""How a call reaches the server under test.

Chorus is reached as Twilio reaches it: the bench creates an agent and a number through the REST
API, then posts the signed webhook of an incoming call and reads the stream's address and token
from the TwiML. The peer has a plain address.
"""

from __future__ import annotations

import secrets
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from twilio.request_validator import RequestValidator

from bench.carrier import Invitation


class Refused(Exception):
    """The server did not take the call, or did not let itself be set up."""


class UnauthenticatedRoute(Protocol):
    async def ring(self) -> Invitation:
        """Raises `Refused`."""
        ...


@dataclass(frozen=True, slots=True)
class PlainAddress:
    url: str

    async def ring(self) -> Invitation:
        return Invitation(self.url, {}, f"CA{uuid.uuid4().hex}", f"AC{'0' * 32}")


@dataclass(frozen=True, slots=True)
class ChorusNumber:
    http: httpx.AsyncClient
    base_url: str
    number: str
    account_sid: str
    auth_token: str

    async def ring(self) -> Invitation:
        call_sid = f"CA{uuid.uuid4().hex}"
        url = f"{self.base_url}/twilio/voice"
        form = {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": call_sid,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": f"+1212555{secrets.randbelow(10_000):04d}",
            "To": self.number,
        }
        signature = signer(self.auth_token).compute_signature(url, form)
        reply = await self.http.post(url, data=form, headers={"X-Twilio-Signature": signature})
        if not reply.is_success:
            raise Refused(f"webhook answered {reply.status_code}: {reply.text[:300]}")
        stream = ET.fromstring(reply.text).find("./Connect/Stream")
        if stream is None:
            raise Refused(f"no stream in {reply.text[:300]}")
        parameters = {p.attrib["name"]: p.attrib["value"] for p in stream.findall("Parameter")}
        return Invitation(stream.attrib["url"], parameters, call_sid, self.account_sid)


def signer(auth_token: str) -> Any:
    # Untyped: the library has no annotations.
    return RequestValidator(auth_token)


async def chorus_number(
    base_url: str,
    api_key: str,
    agent: dict[str, Any],
    engines: tuple[str, str] = ("simulated", "simulated"),
) -> ChorusNumber:
    """Create an agent with `agent`'s fields, on the first model and voice that are found by the
    names in `engines`, and a number that leads to it. Raises `Refused`."""
    http = httpx.AsyncClient(timeout=30)
    bearer = {"Authorization": f"Bearer {api_key}"}

    async def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = await http.request(method, f"{base_url}/v1{path}", json=body, headers=bearer)
        if reply.is_error:
            raise Refused(f"{method} {path} answered {reply.status_code}: {reply.text[:500]}")
        return reply.json()["data"]

    async def found(catalogue: str, name: str) -> str:
        for entry in await ask("GET", f"/{catalogue}?search={name}"):
            return entry["id"]
        raise Refused(f"nothing in /{catalogue} has {name!r} in its name")

    made = await ask(
        "POST",
        "/agents",
        {
            "name": f"Bench {secrets.token_hex(3)}",
            "systemPrompt": "You take bookings for a restaurant.",
            "slmModelId": await found("slm-models", engines[0]),
            "voiceId": await found("voices", engines[1]),
            "maxCallDurationSeconds": 3600,
        }
        | agent,
    )
    account_sid, auth_token = f"AC{uuid.uuid4().hex}", secrets.token_hex(16)
    number = f"+1646555{secrets.randbelow(10_000):04d}"
    await ask(
        "POST",
        "/phone-numbers",
        {
            "name": "Bench",
            "number": number,
            "provider": "twilio",
            "twilioAccountSid": account_sid,
            "twilioAuthToken": auth_token,
            "agentId": made["id"],
        },
    )
    return ChorusNumber(http, base_url, number, account_sid, auth_token)
