"""Telnyx' Call Control API: place a call, answer or reject one, end it, move it, press keys.

Nothing is ever dialled twice: a request that failed half-way is reported, not repeated. The API is
where a number's settings say, so requests go through the guarded client.
https://developers.telnyx.com/api-reference/call-commands/dial
"""

from __future__ import annotations

from typing import Any, TypeGuard, cast
from urllib.parse import quote, urlencode

from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.lines.rest_json import ApiFailed, ask
from chorus.lines.sip.causes import printable
from chorus.lines.sip.headers import headers_for
from chorus.lines.telnyx.account import TelnyxAccount
from chorus.lines.telnyx.links import Links
from chorus.lines.telnyx.signature import public_key
from chorus.lines.telnyx.state import State
from chorus.outbound import Outbound

TIMEOUT_S = 15.0
MAX_LEG_CHARS = 255
RING_S = (5, 600)
"""What `timeout_secs` may be."""

# The call is over, or its id is not known any more.
# https://developers.telnyx.com/development/api-fundamentals/api-errors
_OVER_CODES = frozenset({"90015", "90018"})


def is_over(failed: ApiFailed) -> bool:
    """There is no such call, or not any more."""
    return failed.status == 404 or failed.code in _OVER_CODES


class TelnyxApi:
    """One a process, over the client that all its requests share."""

    def __init__(self, outbound: Outbound, timeout_s: float = TIMEOUT_S) -> None:
        self._outbound = outbound
        self.timeout_s = timeout_s

    async def create(self, account: TelnyxAccount, wish: dict[str, Any]) -> str:
        """Place a call; returns its `call_control_id`. Raises `ApiFailed`."""
        answer = await self._ask(account, "POST", "/calls", wish)
        data = answer.get("data")
        leg_id = data.get("call_control_id") if _is_dict(data) else None
        if not isinstance(leg_id, str) or not 0 < len(leg_id) <= MAX_LEG_CHARS:
            raise ApiFailed("the answer holds no call_control_id")
        return leg_id

    async def act(
        self, account: TelnyxAccount, leg_id: str, action: str, wish: dict[str, Any]
    ) -> None:
        """One command for a call: `answer`, `reject`, `transfer`, `streaming_start`,
        `streaming_stop`, `send_dtmf`, `hangup`. Raises `ApiFailed`."""
        path = f"/calls/{quote(leg_id, safe='')}/actions/{action}"
        await self._ask(account, "POST", path, wish)

    async def end(self, account: TelnyxAccount, leg_id: str) -> None:
        """Hang up, whatever state the call is in. Nothing happens if it is over. Raises
        `ApiFailed`."""
        try:
            await self.act(account, leg_id, "hangup", {})
        except ApiFailed as failed:
            if not is_over(failed):
                raise

    async def look(self, account: TelnyxAccount, number: str, events_url: str) -> str | None:
        """What to mend in the account, None if nothing: the application must be there and tell
        Chorus of its calls, and the number be one of its. Raises `ApiFailed`."""
        if public_key(account.public_key) is None:
            return "telnyxPublicKey is no public key: 32 bytes in base64, as the portal shows it"
        path = f"/call_control_applications/{quote(account.connection_id, safe='')}"
        data = (await self._ask(account, "GET", path)).get("data")
        application = data if _is_dict(data) else {}
        told = application.get("webhook_event_url")
        if application.get("active") is False:
            return "the application telnyxConnectionId is not active"
        if not isinstance(told, str) or told.rstrip("/") != events_url:
            address = printable(str(told or "none"))[:200]
            return f"the application's webhook address is {address}; it has to be {events_url}"
        if str(application.get("webhook_api_version", "2")) != "2":
            return "the application's webhooks are of API version 1; they have to be of version 2"
        query = urlencode({"filter[phone_number]": number, "page[size]": 1})
        found = (await self._ask(account, "GET", f"/phone_numbers?{query}")).get("data")
        row: object = cast("list[object]", found)[0] if isinstance(found, list) and found else None
        if not _is_dict(row):
            return f"the account has no number {number}"
        if str(row.get("connection_id")) != account.connection_id:
            return f"the number {number} is not one of the application telnyxConnectionId"
        return None

    async def _ask(
        self,
        account: TelnyxAccount,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        url = account.base_url + path
        status, said = await ask(self._outbound, method, url, account.api_key, body, self.timeout_s)
        if status >= 300:
            code, text = _error(said)
            text = f"{status} {text}".strip().replace(account.api_key, "…")
            raise ApiFailed(printable(text), status, code)
        return said


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _error(said: dict[str, Any]) -> tuple[str, str]:
    """The code and the words of `{"errors": [{"code", "title", "detail"}]}`."""
    errors = said.get("errors")
    first: object = cast("list[object]", errors)[0] if isinstance(errors, list) and errors else None
    if not _is_dict(first):
        return "", ""
    text = str(first.get("detail") or first.get("title") or "")
    return str(first.get("code", "")), f"{text[:200]} (error {str(first.get('code'))[:20]})"


def streaming(media_url: str) -> dict[str, Any]:
    """What `dial`, `answer` and `streaming_start` take to stream both ways: µ-law in both
    directions, whatever the call's own codec is."""
    return {
        "stream_url": media_url,
        "stream_track": "inbound_track",
        "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "stream_bidirectional_sampling_rate": 8000,
    }


class TelnyxDialler:
    """Implements `Dialler`. The call's stream will show `token`."""

    def __init__(self, api: TelnyxApi, account: TelnyxAccount, links: Links, token: str) -> None:
        self._api = api
        self._account = account
        self._links = links
        self._token = token

    async def dial(self, dial: Dial) -> str:
        least_s, most_s = RING_S
        wish: dict[str, Any] = {
            "connection_id": self._account.connection_id,
            "to": dial.to,
            "from": dial.from_,
            "timeout_secs": min(max(dial.ring_timeout_s, least_s), most_s),
            "client_state": State(dial.call_id).written(),
            # Should the account get the request twice, it rings once.
            "command_id": dial.call_id,
            "webhook_url": self._links.events_url,
            "webhook_url_method": "POST",
            **streaming(self._links.media_url(dial.call_id, self._token)),
        }
        # User-to-User has a field of its own; the other headers share one.
        for name, value in headers_for(dial.variables, dial.headers):
            kind = "sip_headers" if name.lower() == "user-to-user" else "custom_headers"
            wish.setdefault(kind, []).append({"name": name, "value": value})
        if dial.detect_machine:
            wish["answering_machine_detection"] = "greeting_end"
        try:
            return await self._api.create(self._account, wish)
        except ApiFailed as failed:
            if failed.status is None:
                # Said, because somebody may decide to call again.
                detail = (
                    f"Telnyx gave no clear answer ({failed.detail}); the call may have been placed"
                )
            else:
                detail = f"Telnyx refused the call: {failed.detail}"
            raise DialFailed(LineCause.FAILED, detail) from failed

    async def cancel(self, leg_id: str) -> None:
        try:
            await self._api.end(self._account, leg_id)
        except ApiFailed as failed:
            detail = f"the call could not be canceled: {failed.detail}"
            raise DialFailed(LineCause.FAILED, detail) from failed
