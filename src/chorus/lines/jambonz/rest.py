"""jambonz' REST API: place a call, take it back, end it, move it.

Nothing is ever dialled twice: a request that failed half-way is reported, not repeated. The API is
where a number's settings say, so requests go through the guarded client.
https://docs.jambonz.org/reference/rest-platform-management/calls
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from chorus.lines.jambonz import verbs
from chorus.lines.jambonz.account import JambonzAccount
from chorus.lines.jambonz.links import Links
from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.lines.rest_json import ApiFailed, ask
from chorus.lines.sip.causes import printable
from chorus.lines.sip.headers import headers_for
from chorus.outbound import Outbound

TIMEOUT_S = 15.0
CALL_TAG, TOKEN_TAG = "chorusCall", "chorusToken"
"""What a placed call carries, and every webhook of it brings back as `customerData`."""

# The API asks for a voice and a recogniser where no application names them. Neither is used.
_SPEECH = {
    "speech_synthesis_vendor": "google",
    "speech_synthesis_language": "en-US",
    "speech_synthesis_voice": "en-US-Standard-C",
    "speech_recognizer_vendor": "google",
    "speech_recognizer_language": "en-US",
}


class JambonzApi:
    """One a process, over the client that all its requests share."""

    def __init__(self, outbound: Outbound, timeout_s: float = TIMEOUT_S) -> None:
        self._outbound = outbound
        self._timeout_s = timeout_s

    async def create(self, account: JambonzAccount, wish: dict[str, Any]) -> str:
        """Place a call; returns its SID. Raises `ApiFailed`."""
        answer = await self._ask(account, "POST", "/Calls", wish)
        sid = answer.get("sid")
        if not isinstance(sid, str) or not 0 < len(sid) <= 255:
            raise ApiFailed("the answer holds no call SID")
        return sid

    async def end(self, account: JambonzAccount, call_sid: str) -> None:
        """Hang up, whatever state the call is in: the API ends what was answered by one word and
        what rings by another, and refuses the wrong one. Nothing happens if the call is over.
        Raises `ApiFailed`."""
        for status in ("completed", "no-answer"):
            try:
                await self.update(account, call_sid, {"call_status": status})
                return
            except ApiFailed as failed:
                if failed.status == 404:
                    return
                if failed.status != 422:
                    raise
        # It is neither: it ended in between, or is about to.

    async def update(self, account: JambonzAccount, call_sid: str, change: dict[str, Any]) -> None:
        """Raises `ApiFailed`."""
        await self._ask(account, "PUT", f"/Calls/{quote(call_sid, safe='')}", change)

    async def look(self, account: JambonzAccount) -> None:
        """Whether the account can be read with this key, and its webhook secret is the one that
        is set here. Raises `ApiFailed`."""
        answer = await self._ask(account, "GET", "/WebhookSecret", None)
        if answer.get("webhook_secret") != account.webhook_secret:
            detail = "the account's webhook secret is another than jambonzWebhookSecret"
            raise ApiFailed(detail, 200)

    async def _ask(
        self, account: JambonzAccount, method: str, path: str, body: dict[str, Any] | None
    ) -> dict[str, Any]:
        url = account.url + path
        status, said = await ask(
            self._outbound, method, url, account.api_key, body, self._timeout_s
        )
        if status >= 300:
            what = said.get("msg") or said.get("message") or said.get("error") or ""
            text = f"{status} {str(what)[:200]}".strip().replace(account.api_key, "…")
            raise ApiFailed(printable(text), status)
        return said


class JambonzDialler:
    """Implements `Dialler`. The call's stream will show `token`."""

    def __init__(self, api: JambonzApi, account: JambonzAccount, links: Links, token: str) -> None:
        self._api = api
        self._account = account
        self._links = links
        self._token = token

    async def dial(self, dial: Dial) -> str:
        account = self._account
        wish: dict[str, Any] = {
            "from": dial.from_,
            "to": verbs.target(dial.to),
            "timeout": dial.ring_timeout_s,
            "tag": {CALL_TAG: dial.call_id, TOKEN_TAG: self._token},
        }
        if headers := dict(headers_for(dial.variables, dial.headers)):
            wish["headers"] = headers
        if account.application_sid:
            # Its webhooks are the ones that are called, whatever else is sent.
            wish["application_sid"] = account.application_sid
        else:
            wish |= _SPEECH
            wish["call_hook"] = {"url": self._links.call_url, "method": "POST"}
            wish["call_status_hook"] = {"url": self._links.status_url, "method": "POST"}
        if dial.detect_machine:
            if not account.application_sid:
                detail = (
                    "to tell mailboxes from persons jambonz needs jambonzApplicationSid: an "
                    "application with a speech recognizer"
                )
                raise DialFailed(LineCause.FAILED, detail)
            wish["amd"] = {"actionHook": self._links.machine_url(dial.call_id)}
        try:
            return await self._api.create(account, wish)
        except ApiFailed as failed:
            if failed.status is None:
                # Said, because somebody may decide to call again.
                detail = (
                    f"jambonz gave no clear answer ({failed.detail}); the call may have been placed"
                )
            else:
                detail = f"jambonz refused the call: {failed.detail}"
            raise DialFailed(LineCause.FAILED, detail) from failed

    async def cancel(self, leg_id: str) -> None:
        try:
            await self._api.end(self._account, leg_id)
        except ApiFailed as failed:
            detail = f"the call could not be canceled: {failed.detail}"
            raise DialFailed(LineCause.FAILED, detail) from failed
