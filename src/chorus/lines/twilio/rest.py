"""Twilio's REST API: place a call, take it back, end it, and ask what became of it.

1. `TwilioApi` holds the process's one HTTP connection pool; make it once, close it at the end.
2. `TwilioDialler` places one call of one account.
3. Every request goes through the `twilio` library with `_Transport` beneath it, which sends
   it to the account's own `api_url`, gives up after a deadline, and reads a bounded answer.

Nothing is ever dialled twice: a request that failed half-way is reported, not repeated.
https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from twilio.base.exceptions import (
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.lines.twilio import twiml
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.status import FINAL

if TYPE_CHECKING:
    from twilio.rest import Client

log = logging.getLogger(__name__)

# Twilio answers in well under a second; a caller of POST /calls is not waiting for this.
TIMEOUT_S = 15.0
# Less than the 5 s after which many servers close an idle connection: a request that is on its way
# in that moment is lost, and a dial is never sent twice. (The pool's own default is those 5 s.)
KEEP_ALIVE_S = 4.0
MAX_ANSWER_BYTES = 256 * 1024
STATUS_EVENTS = ["initiated", "ringing", "answered", "completed"]

# The call is over or was never there: 404, "not found", "call is not in-progress".
_OVER_CODES = frozenset({404, 20404, 21220})
# The person's network, country or a policy forbids the call; everything else is our fault or
# the carrier's. https://www.twilio.com/docs/api/errors
_REJECTED_CODES = frozenset({13225, 13227, 21214, 21215, 21216, 21219, 21610})


class TwilioApi:
    """One a process. `timeout_s` bounds each request from connecting to the last byte; a connection
    that was idle for `keep_alive_s` is not used again."""

    def __init__(self, timeout_s: float = TIMEOUT_S, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._timeout_s = timeout_s
        self._keep_alive_s = keep_alive_s
        self._made: asyncio.Future[tuple[httpx.AsyncClient, type[Client]]] | None = None

    async def end(self, account: TwilioAccount, call_sid: str) -> None:
        """Hang up, whatever state the call is in. Repeated once if the carrier failed, because
        ending twice does no harm. Nothing happens if the call is over. Raises `ApiFailed`."""
        try:
            await self.update(account, call_sid, "completed")
        except ApiFailed as failed:
            if failed.code in _OVER_CODES:
                return
            if failed.final:
                raise
            await self._end_again(account, call_sid)

    async def _end_again(self, account: TwilioAccount, call_sid: str) -> None:
        await asyncio.sleep(0.5)
        try:
            await self.update(account, call_sid, "completed")
        except ApiFailed as failed:
            if failed.code not in _OVER_CODES:
                raise

    async def update(self, account: TwilioAccount, call_sid: str, status: str) -> str:
        """Ask for a status (`completed` or `canceled`); returns what the call has now. Raises
        `ApiFailed`."""
        client = await self._client(account)
        call = await self._answer(account, client.calls(call_sid).update_async(status=status))
        return str(call.status)

    async def redirect(
        self, account: TwilioAccount, call_sid: str, twiml: str, status_url: str
    ) -> None:
        """Have a call that is answered do something else than it does. Its media stream stops, with
        the same `stop` as if somebody had hung up; how the call ends `status_url` is told. Raises
        `ApiFailed`."""
        client = await self._client(account)
        update = client.calls(call_sid).update_async(
            twiml=twiml, status_callback=status_url, status_callback_method="POST"
        )
        await self._answer(account, update)

    async def create(self, account: TwilioAccount, **fields: Any) -> str:
        """Create a call; returns its sid. Raises `ApiFailed`."""
        client = await self._client(account)
        call = await self._answer(account, client.calls.create_async(**fields))
        if not call.sid:
            raise ApiFailed("the answer holds no call sid")
        return str(call.sid)

    async def lasted_s(self, account: TwilioAccount, call_sid: str) -> int | None:
        """Seconds from the answer to the end of a call that is over; None while it goes on. Raises
        `ApiFailed`."""
        client = await self._client(account)
        call = await self._answer(account, client.calls(call_sid).fetch_async())
        if call.status not in FINAL:
            return None
        lasted_s = str(call.duration or 0)  # empty of one that nobody answered
        if not lasted_s.isdecimal():
            raise ApiFailed("a duration that is no number")
        return int(lasted_s)

    async def in_conference(self, account: TwilioAccount, room: str) -> frozenset[str]:
        """The calls that are in the conference of this name now. Raises `ApiFailed`."""
        client = await self._client(account)
        # Of those of one name at most one is in progress.
        found = client.conferences.list_async(friendly_name=room, status="in-progress", limit=1)
        conferences = await self._answer(account, found)
        if not conferences:
            return frozenset()
        seats = client.conferences(conferences[0].sid).participants.list_async(limit=10)
        return frozenset(str(seat.call_sid) for seat in await self._answer(account, seats))

    async def has_dialled(self, account: TwilioAccount, call_sid: str) -> bool:
        """Whether somebody whom a `<Dial>` of this call has called has answered: is talked with,
        or was. Raises `ApiFailed`."""
        client = await self._client(account)
        # The newest first. Of one that was not answered the status says why.
        found = client.calls.list_async(parent_call_sid=call_sid, limit=20)
        statuses = {str(call.status) for call in await self._answer(account, found)}
        return bool(statuses & {"in-progress", "completed"})

    async def look(self, account: TwilioAccount) -> None:
        """Whether the account can be read with these credentials. Raises `ApiFailed`."""
        client = await self._client(account)
        await self._answer(account, client.api.accounts(account.account_sid).fetch_async())

    async def aclose(self) -> None:
        if self._made is not None:
            http, _ = await self._made
            await http.aclose()

    async def open(self) -> None:
        """Get ready ahead of the first request. Off the loop: reading the certificate store and
        importing all of Twilio's API take most of a second."""
        if self._made is None:
            self._made = asyncio.ensure_future(
                asyncio.to_thread(_make, self._timeout_s, self._keep_alive_s)
            )
        await asyncio.shield(self._made)

    async def _client(self, account: TwilioAccount) -> Client:
        await self.open()
        assert self._made is not None
        http, client = await asyncio.shield(self._made)
        return client(
            account.account_sid,
            account.auth_token,
            http_client=_Transport(http, account.api_url, self._timeout_s),
            # Not the process's: TWILIO_EDGE there would send the request somewhere else.
            environment={"TWILIO_ACCOUNT_SID": account.account_sid},
        )

    async def _answer(self, account: TwilioAccount, request: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request
        except TimeoutError as late:
            raise ApiFailed(f"no answer within {self._timeout_s:g} s") from late
        except httpx.HTTPError as error:
            raise ApiFailed(f"{type(error).__name__} at {_host(account)}") from error
        except TwilioServiceException as error:
            detail = f"{error.title}: {error.detail}" if error.detail else error.title
            raise _refused(account, detail, error.code, error.status) from error
        except TwilioRestException as error:
            raise _refused(account, error.msg, error.code, error.status) from error
        except (
            TwilioException,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
        ) as error:
            # What the library raises for an answer that is no JSON, or JSON of another kind.
            raise ApiFailed(f"an answer that is not Twilio's ({type(error).__name__})") from error


class ApiFailed(Exception):
    """A request came to nothing. `final`: the carrier understood and refused; otherwise nobody
    knows whether it was done. `code` is Twilio's error code, or the HTTP status without one."""

    def __init__(self, detail: str, code: int | None = None, final: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.final = final

    @property
    def sentence(self) -> str:
        if not self.final or self.code is None:
            return f"Twilio gave no clear answer: {self.detail}"
        known = _EXPLAINED.get(self.code)
        return f"Twilio says: {known} ({self.detail})" if known else f"Twilio says: {self.detail}"


def _refused(account: TwilioAccount, detail: object, code: int | None, status: int) -> ApiFailed:
    safe = str(detail).replace(account.auth_token, "…")[:300]
    return ApiFailed(safe, code=code or status, final=status < 500)


def _make(timeout_s: float, keep_alive_s: float) -> tuple[httpx.AsyncClient, type[Client]]:
    from twilio.rest import Client

    # The library imports its resources when they are first used: a second, on the loop. Using
    # one here, in the thread, has them imported.
    _ = Client("AC", "unused", environment={}).calls
    limits = httpx.Limits(
        max_connections=100, max_keepalive_connections=20, keepalive_expiry=keep_alive_s
    )
    return httpx.AsyncClient(timeout=timeout_s, limits=limits), Client


class TwilioDialler:
    """Implements `Dialler`. The call's stream will show `token`."""

    def __init__(
        self,
        api: TwilioApi,
        account: TwilioAccount,
        links: Links,
        token: str,
    ) -> None:
        self._api = api
        self._account = account
        self._links = links
        self._token = token

    async def dial(self, dial: Dial) -> str:
        fields: dict[str, Any] = {
            "to": twiml.callee(dial.to, dial.headers),
            "from_": dial.from_,
            # Inline, so that the call needs no further request to us when it is answered.
            "twiml": twiml.connect_stream(self._links.media_url(dial.call_id, self._token)),
            "timeout": dial.ring_timeout_s,
            "status_callback": self._links.status_url(dial.call_id),
            "status_callback_event": STATUS_EVENTS,
            "status_callback_method": "POST",
        }
        if dial.forward_token:
            fields["call_token"] = dial.forward_token
        if dial.digits:
            # Twilio does not detect machines where it presses keys: what answers is a menu.
            fields["send_digits"] = dial.digits
        elif dial.detect_machine:
            # Asynchronous: a person must not wait in silence until the machine is sure.
            # One callback: of a machine when its greeting is over, so that a message can be left.
            fields["machine_detection"] = "DetectMessageEnd"
            fields["async_amd"] = "true"
            fields["async_amd_status_callback"] = self._links.machine_url(dial.call_id)
            fields["async_amd_status_callback_method"] = "POST"
        try:
            return await self._api.create(self._account, **fields)
        except ApiFailed as failed:
            raise _dial_failed(failed) from failed

    async def cancel(self, leg_id: str) -> None:
        try:
            # `canceled` touches only calls that are not answered, and makes them end as
            # canceled; for one that was answered meanwhile the answer says so.
            status = await self._api.update(self._account, leg_id, "canceled")
            if status == "in-progress":
                await self._api.end(self._account, leg_id)
        except ApiFailed as failed:
            if failed.code in _OVER_CODES:
                return
            detail = f"the call could not be canceled: {failed.detail}"
            raise DialFailed(LineCause.FAILED, detail) from failed


def _dial_failed(failed: ApiFailed) -> DialFailed:
    if not failed.final or failed.code is None:
        # Said, because somebody may decide to call again.
        detail = f"Twilio gave no clear answer ({failed.detail}); the call may have been placed"
        return DialFailed(LineCause.FAILED, detail)
    cause = LineCause.REJECTED if failed.code in _REJECTED_CODES else LineCause.FAILED
    known = _EXPLAINED.get(failed.code)
    said = f"{known} ({failed.detail})" if known else failed.detail
    return DialFailed(cause, f"Twilio refused the call, error {failed.code}: {said}")


_EXPLAINED = {
    20003: "the account SID or the auth token is wrong",
    20429: "too many requests",
    429: "too many requests",
    21210: "the calling number is not verified in this account",
    21211: "the called number is not valid",
    21212: "the calling number is not valid",
    21214: "the called number cannot be reached",
    21215: "the account may not call this country",
    21216: "the account may not call this number",
    21219: "a trial account may call verified numbers only",
}


def _host(account: TwilioAccount) -> str:
    return urlsplit(account.api_url).hostname or account.api_url


class _Transport(AsyncHttpClient):
    """Carries the library's requests over a shared httpx client to another origin."""

    def __init__(self, http: httpx.AsyncClient, api_url: str, timeout_s: float) -> None:
        super().__init__(log, True, timeout_s)
        self._http = http
        self._api_url = api_url.rstrip("/")

    async def request(  # type: ignore[override] - the library's own signature is loose
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        target = self._api_url + urlsplit(url).path
        body = bytearray()
        async with self._http.stream(
            method, target, params=params, data=data, headers=headers, auth=auth
        ) as answer:
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too large")
        return Response(answer.status_code, body.decode("utf-8", "replace"), answer.headers)
