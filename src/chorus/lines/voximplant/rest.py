"""Placing and ending calls at Voximplant: its Management API starts the scenario, and the session
that runs it takes commands at an address of its own.

Nothing is ever dialled twice: a request that failed half-way is reported, not repeated.
https://voximplant.com/docs/references/httpapi/scenarios#startscenarios
https://voximplant.com/docs/guides/voxengine/remote-sessions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

import orjson

from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.lines.sip.causes import printable
from chorus.lines.voximplant.account import VoximplantAccount
from chorus.outbound import Outbound, OutboundAnswer, OutboundFailed, OutboundRefused
from chorus.outbound_body import json_object

TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 256 * 1024
MAX_LEG_CHARS = 255
MAX_DATA_BYTES = 200
"""Of the custom data of a session (https://voximplant.com/docs/howtos/calls/custom_data)."""


class ApiFailed(Exception):
    """A request came to nothing. `final`: it was understood and refused; otherwise nobody knows
    whether it was done. The text holds no secrets."""

    def __init__(self, detail: str, *, final: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.final = final


class VoximplantApi:
    """One a process, over the client that all its requests share."""

    def __init__(self, outbound: Outbound, timeout_s: float = TIMEOUT_S) -> None:
        self._outbound = outbound
        self._timeout_s = timeout_s

    async def start(self, account: VoximplantAccount, data: str) -> str:
        """Start the scenario with `data`; returns the address of its session, which is the id of
        the leg. Raises `ApiFailed`."""
        form = {"rule_id": account.rule_id, "script_custom_data": data}
        if account.application_id:
            form["application_id"] = account.application_id
        answer = await self._ask(account, "StartScenarios", form)
        url = answer.get("media_session_access_secure_url")
        if not isinstance(url, str) or not 0 < len(url) <= MAX_LEG_CHARS:
            raise ApiFailed("the answer holds no address of the session")
        return url

    async def end(self, account: VoximplantAccount, leg_id: str) -> None:
        """Have a session hang up. Nothing happens if it is over. Raises `ApiFailed`."""
        command = {"command": "hangup", "secret": account.scenario_secret}
        answer = await self._send(account, leg_id, orjson.dumps(command), "application/json")
        if answer.status >= 500:
            raise ApiFailed(f"the session answered {answer.status}")
        if answer.status < 300 and answer.body.strip() == b"not Chorus":
            raise ApiFailed("the scenario has another CHORUS_SECRET", final=True)

    async def look(self, account: VoximplantAccount) -> None:
        """Whether the account can be used with this key, and the rule exists if the application
        is known. Raises `ApiFailed`."""
        await self._ask(account, "GetAccountInfo", {})
        if account.application_id:
            form = {"application_id": account.application_id, "rule_id": account.rule_id}
            found = await self._ask(account, "GetRules", form)
            if not found.get("total_count"):
                raise ApiFailed("the application has no rule with voximplantRuleId", final=True)

    async def _ask(
        self, account: VoximplantAccount, method: str, form: Mapping[str, str]
    ) -> dict[str, Any]:
        """By POST, which keeps the key out of addresses and their logs."""
        whole = {"account_id": account.account_id, "api_key": account.api_key, **form}
        answer = await self._send(
            account,
            f"{account.base_url}/{method}/",
            urlencode(whole).encode(),
            "application/x-www-form-urlencoded",
        )
        said = json_object(answer.body)
        error = said.get("error")
        if isinstance(error, dict):
            told = cast("dict[str, Any]", error)
            text = f"error {told.get('code')}: {told.get('msg')}"[:200]
            raise ApiFailed(printable(text).replace(account.api_key, "…"), final=True)
        if answer.status >= 300 or "result" not in said:
            raise ApiFailed(
                f"an answer that is not Voximplant's ({answer.status})",
                final=300 <= answer.status < 500,
            )
        return said

    async def _send(
        self, account: VoximplantAccount, url: str, content: bytes, kind: str
    ) -> OutboundAnswer:
        try:
            return await self._outbound.send(
                "POST",
                url,
                headers=(("content-type", kind), ("accept", "application/json")),
                content=content,
                timeout_ms=int(self._timeout_s * 1000),
                max_bytes=MAX_ANSWER_BYTES,
                max_redirects=0,
            )
        except OutboundRefused as refused:
            raise ApiFailed(str(refused), final=True) from refused
        except OutboundFailed as failed:
            raise ApiFailed(str(failed)) from failed


class VoximplantDialler:
    """Implements `Dialler`. The call's stream will show `token`."""

    def __init__(self, api: VoximplantApi, account: VoximplantAccount, token: str) -> None:
        self._api = api
        self._account = account
        self._token = token

    async def dial(self, dial: Dial) -> str:
        data = orjson.dumps(
            {
                "c": dial.call_id,
                "k": self._token,
                "t": dial.to,
                "f": dial.from_,
                "s": dial.ring_timeout_s,
            }
        )
        assert len(data) <= MAX_DATA_BYTES
        try:
            return await self._api.start(self._account, data.decode())
        except ApiFailed as failed:
            if failed.final:
                detail = f"Voximplant refused the call: {failed.detail}"
            else:
                # Said, because somebody may decide to call again.
                detail = (
                    f"Voximplant gave no clear answer ({failed.detail}); the call may have been "
                    "placed"
                )
            raise DialFailed(LineCause.FAILED, detail) from failed

    async def cancel(self, leg_id: str) -> None:
        try:
            await self._api.end(self._account, leg_id)
        except ApiFailed as failed:
            detail = f"the call could not be canceled: {failed.detail}"
            raise DialFailed(LineCause.FAILED, detail) from failed
