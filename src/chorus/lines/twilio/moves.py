"""What Twilio can have one call do besides its media stream: call somebody, wait in a conference,
and come back to a stream. Each is one update of the call, which stops the stream that it has.

https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource
"""

from __future__ import annotations

from dataclasses import dataclass

from chorus.lines.desk import Desk
from chorus.lines.line import MoveRefused
from chorus.lines.twilio import twiml
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.rest import ApiFailed, TwilioApi


def room_of(call_id: str) -> str:
    """By the call alone, so that whoever comes after a process that died can ask who is there."""
    return f"chorus-{call_id}"


@dataclass(frozen=True, slots=True)
class Moves:
    """Implements `lines.conference.Moving` for one call."""

    api: TwilioApi
    links: Links
    api_url: str
    desk: Desk
    call_id: str
    call_sid: str

    def room(self) -> str:
        return room_of(self.call_id)

    async def dial(self, to: str, ring_timeout_s: int) -> None:
        account, number = await self._of()
        document = twiml.dial(
            to,
            number,
            ring_timeout_s,
            self.links.answered_url(self.call_id),
            self.links.dialled_url(self.call_id),
        )
        await self._have(account, document)

    async def confer(self, room: str) -> None:
        """Asked twice if the first answer is none: to be sent there again changes nothing."""
        account, _ = await self._of()
        await self._have(account, twiml.conference(room), again=True)

    async def come_back(self) -> None:
        account, _ = await self._of()
        try:
            token = await self.desk.returns(self.call_id, self.call_sid)
        except Exception as failure:
            raise MoveRefused(f"the call cannot be read now: {failure}") from failure
        if token is None:
            raise MoveRefused("nobody talks on the call any more")
        url = self.links.media_url(self.call_id, token)
        await self._have(account, twiml.connect_stream(url), again=True)

    async def _have(self, account: TwilioAccount, document: str, *, again: bool = False) -> None:
        status_url = self.links.status_url(self.call_id)
        try:
            try:
                await self.api.redirect(account, self.call_sid, document, status_url)
            except ApiFailed as failed:
                if failed.final or not again:
                    raise
                await self.api.redirect(account, self.call_sid, document, status_url)
        except ApiFailed as failed:
            raise MoveRefused(f"Twilio did not move the call: {failed.detail}") from failed

    async def _of(self) -> tuple[TwilioAccount, str]:
        """Whose call it is, and our number."""
        try:
            connection = await self.desk.connection_of_call(self.call_id)
        except Exception as failure:
            raise MoveRefused(f"the call's number cannot be read now: {failure}") from failure
        if connection is None:
            raise MoveRefused("the call's number is not at Twilio any more")
        return TwilioAccount.of(connection, self.api_url), connection.number
