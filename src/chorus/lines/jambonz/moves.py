"""What jambonz can have one call do besides its stream: call somebody, wait in a conference, come
back to a stream, press keys.

A command to do something else (`call_hook`) is taken at once (202), and only then does jambonz ask
at the address in it what that is. If it gets no answer, the call goes on as it was.

https://docs.jambonz.org/reference/rest-call-control/calls/update-call
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from secrets import token_urlsafe

from chorus.lines.carrier import CarrierFailed
from chorus.lines.desk import Desk
from chorus.lines.dtmf import KEY_MS
from chorus.lines.jambonz.account import JambonzAccount
from chorus.lines.jambonz.links import Links
from chorus.lines.jambonz.rest import JambonzApi
from chorus.lines.line import MoveRefused
from chorus.lines.rest_json import ApiFailed

log = logging.getLogger(__name__)

ASKED_WITHIN_S = 8
"""jambonz has so long to ask where a call is to go; after that nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Implements `lines.conference.Moving` for one call."""

    api: JambonzApi
    links: Links
    desk: Desk
    call_id: str
    call_sid: str

    async def dial(self, to: str, ring_timeout_s: int) -> None:
        account = await self._account()
        secret = account.webhook_secret
        url = self.links.dial_url(self.call_id, to, ring_timeout_s, secret)
        try:
            await self._ask_at(account, url)
        except ApiFailed as failed:
            raise MoveRefused(f"jambonz did not move the call: {failed.detail}") from failed

    def room(self) -> str:
        """Another one each time."""
        return f"chorus-{token_urlsafe(24)}"

    async def confer(self, room: str) -> None:
        """Returns as well if jambonz gave no clear answer: that it was done shows in the end of the
        stream."""
        account = await self._account()
        until_s = int(time.time()) + ASKED_WITHIN_S
        url = self.links.conference_url(self.call_id, room, until_s, account.webhook_secret)
        await self._ask_unless_refused(account, url)

    async def come_back(self) -> None:
        """Returns as well if jambonz gave no clear answer: that it was done shows in a stream."""
        await self._ask_unless_refused(await self._account(), self.links.back_url(self.call_id))

    async def press(self, digit: str) -> None:
        """Raises `CarrierFailed`."""
        connection = await self.desk.connection_of_call(self.call_id)
        if connection is None:
            raise CarrierFailed("the call's number is not at jambonz any more")
        change = {"dtmf": {"digit": digit, "duration": KEY_MS}}
        try:
            await self.api.update(JambonzAccount.of(connection), self.call_sid, change)
        except ApiFailed as failed:
            raise CarrierFailed(failed.detail) from failed

    async def _ask_unless_refused(self, account: JambonzAccount, url: str) -> None:
        try:
            await self._ask_at(account, url)
        except ApiFailed as failed:
            if failed.status is not None:
                raise MoveRefused(f"jambonz did not move the call: {failed.detail}") from failed
            log.warning("call %s: was it moved? %s", self.call_id, failed.detail)

    async def _ask_at(self, account: JambonzAccount, url: str) -> None:
        """Have jambonz ask there what the call is to do. Raises `ApiFailed`."""
        hook = {"url": url, "method": "POST"}
        await self.api.update(account, self.call_sid, {"call_hook": hook})

    async def _account(self) -> JambonzAccount:
        """Raises `MoveRefused`."""
        try:
            connection = await self.desk.connection_of_call(self.call_id)
        except Exception as failure:
            raise MoveRefused(f"the call's number cannot be read now: {failure}") from failure
        if connection is None:
            raise MoveRefused("the call's number is not at jambonz any more")
        return JambonzAccount.of(connection)
