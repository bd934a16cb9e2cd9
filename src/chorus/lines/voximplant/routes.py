"""What the scenario asks and tells.

POST /voximplant/call     somebody calls one of our numbers: which call it is, or how to refuse it
POST /voximplant/status   how a call fares

Each POST is read within limits, then its secret is checked, and only then is anything believed.
403 says no more than that, also when the number is not ours. Whoever sends too much of that is
turned away (`lines/strangers.py`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chorus.lines.desk import Admitted, Connection, Desk, InboundCall, Progress, Stage
from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip.causes import ended_by, printable
from chorus.lines.sip.headers import variables_from
from chorus.lines.strangers import Strangers
from chorus.lines.voximplant.account import VoximplantAccount
from chorus.lines.webhook_body import (
    decided,
    genuine,
    json_object,
    read_body,
    text_field,
    whole_number,
)

CALL_PATH = "/voximplant/call"
STATUS_PATH = "/voximplant/status"
# The scenario waits 10 s.
ANSWER_TIMEOUT_S = 8.0
_REFUSALS = {"busy": 486, "rejected": 603}
_NUMBER = re.compile(r"\+?([1-9]\d{6,14})")
Whose = Callable[[dict[str, Any]], Awaitable[Sequence[Connection]]]
"""Whose number's scenario it may be, by what it says."""


def scenario_routes(desk: Desk) -> Sequence[Route]:
    """Mounted at the root."""
    asked = _Asked(desk)
    return (
        Route(CALL_PATH, asked.call, methods=["POST"]),
        Route(STATUS_PATH, asked.status, methods=["POST"]),
    )


def e164(number: object) -> str:
    """Voximplant writes numbers without a plus; empty for what is no number."""
    found = _NUMBER.fullmatch(number) if isinstance(number, str) else None
    return f"+{found[1]}" if found else ""


class _Asked:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._strangers = Strangers("a webhook")

    async def call(self, request: Request) -> Response:
        body, connection = await self._genuine(request, self._of_number)
        inbound = InboundCall(
            leg_id=text_field(body, "legId"),
            from_=e164(body.get("from")) or printable(str(body.get("from") or ""))[:64],
            to=e164(body.get("to")),
            phone_number_id=connection.phone_number_id,
            variables=_variables(body),
        )
        decision = await decided(self._desk, inbound, ANSWER_TIMEOUT_S)
        if isinstance(decision, Admitted):
            return JSONResponse({"callId": decision.call_id, "token": decision.token})
        return JSONResponse({"callId": None, "code": _REFUSALS[decision.how]})

    async def status(self, request: Request) -> Response:
        body, _ = await self._genuine(request, self._of_call)
        progress = _progress(body, text_field(body, "legId"), text_field(body, "callId"))
        if progress is not None:
            await self._desk.progress(progress)
        return Response(status_code=204)

    async def _genuine(self, request: Request, whose: Whose) -> tuple[dict[str, Any], Connection]:
        """What was sent, and by the scenario of whose number. Raises as `genuine` and `_body`."""
        shown = request.headers.get("authorization")

        async def sender(body: dict[str, Any]) -> Connection | None:
            # Without a secret, nobody has to be looked for.
            for connection in await whose(body) if shown else ():
                if VoximplantAccount.of(connection).shows(shown):
                    return connection
            return None

        return await genuine(self._strangers, request, _body, sender)

    async def _of_number(self, body: dict[str, Any]) -> Sequence[Connection]:
        text_field(body, "legId")
        return await self._desk.connections_of_number(e164(body.get("to")))

    async def _of_call(self, body: dict[str, Any]) -> Sequence[Connection]:
        text_field(body, "legId")
        connection = await self._desk.connection_of_call(text_field(body, "callId"))
        return () if connection is None else (connection,)


async def _body(request: Request) -> dict[str, Any]:
    return json_object(await read_body(request, "application/json"))


def _progress(body: dict[str, Any], leg_id: str, call_id: str) -> Progress | None:
    """May come late, twice and out of order. None for one that says nothing that is known."""
    status = body.get("status")
    if status == "ringing":
        return Progress(leg_id, call_id, Stage.RINGING)
    if status == "connected":
        return Progress(leg_id, call_id, Stage.ANSWERED, answered=True)
    if status != "ended":
        return None
    answered_s = whole_number(body.get("duration"))
    if body.get("answered") is True:
        ended = LineEnded(LineCause.FAR_END)
        return Progress(leg_id, call_id, Stage.ENDED, ended, answered=True, answered_s=answered_s)
    code = whole_number(body.get("code")) or 0
    reason = body.get("reason")
    words = printable(reason) if isinstance(reason, str) else ""
    if 300 <= code <= 699:
        return Progress(leg_id, call_id, Stage.ENDED, ended_by(code, reason=words))
    # The person hung up before anybody answered, or Voximplant has a code of its own.
    cause = LineCause.CANCELED if code == 200 else LineCause.FAILED
    return Progress(leg_id, call_id, Stage.ENDED, LineEnded(cause, f"{code} {words}".strip()))


def _variables(body: dict[str, Any]) -> dict[str, str]:
    """The X- headers of a call that came over SIP."""
    headers = body.get("headers")
    if not isinstance(headers, dict):
        return {}
    pairs = cast("dict[str, Any]", headers).items()
    return variables_from((name, value) for name, value in pairs if isinstance(value, str))
