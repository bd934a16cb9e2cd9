"""Being registered with a PBX or a carrier, for as long as the number exists (RFC 3261 §10).

The binding is renewed well before it ends; after a failure it is tried again with growing waits
and a random part, so that a thousand numbers do not come back at once. `state` says how it stands,
for the API and the doctor. The Contact has a user part that nobody can guess (`token`): an INVITE
that names it was sent by somebody who knows the binding. Over UDP four bytes go to the registrar
every 25 s, so that a NAT in between keeps the way back open (RFC 5626 §4.4; streams have their own
keepalive in `transport`). The Contact names the instance too (`+sip.instance`, `reg-id`, RFC 5626
§4.2): a registrar that keeps to it sends calls by the flow that the binding came on, and replaces
the binding of a process that was started anew instead of ringing both.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from chorus.lines.sip.causes import printable
from chorus.lines.sip.digest import Credentials
from chorus.lines.sip.framing import PING
from chorus.lines.sip.grammar import Malformed, number
from chorus.lines.sip.message import REASONS, Request, Response
from chorus.lines.sip.sending import Context, Failed, Sending
from chorus.lines.sip.uri import Address, Uri, parse_addresses
from chorus.lines.sip.wire import Hop, Timer, new_call_id, new_tag

log = logging.getLogger(__name__)

EXPIRES_S = 600
"""Asked for. Short enough for a firewall's memory over TCP, long enough to burden nobody."""
KEEPALIVE_S = 25.0
"""NATs forget UDP after 30 s at the soonest (RFC 4787 §4.3 asks for 120)."""
MOST_S = 7200
LEAST_S = 5
"""Whoever grants less is asked no more often than that."""
FIRST_WAIT_S = 2.0
MOST_WAIT_S = 300.0
# A wrong password does not become right by asking: fail2ban of the other side is near.
REFUSED_WAIT_S = 120.0

State = Literal["registering", "registered", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Standing:
    """`since_s` and `expires_s` are times of the loop's clock. `error` is fit for the API."""

    state: State
    since_s: float
    expires_s: float | None = None
    error: str | None = None
    status: int | None = None
    refused: bool = False


@dataclass(frozen=True)
class Account:
    """Whom to register where. `domain` is the registrar; `route` the outbound proxy."""

    username: str
    domain: str
    credentials: Credentials = field(repr=False)
    port: int | None = None
    transport: str = "udp"
    route: Uri | None = None

    @property
    def registrar(self) -> Uri:
        uri = Uri("sip", None, self.domain, self.port)
        return uri if self.transport == "udp" else uri.with_params(transport=self.transport)

    @property
    def address(self) -> Uri:
        """The address of record."""
        return Uri.sip(self.username, self.domain)


class Registration:
    """`start`, and `stop` at the end, which takes the binding away. `changed` is told of every
    change of `standing`."""

    def __init__(
        self,
        context: Context,
        account: Account,
        contact: Callable[[Hop, str], str],
        changed: Callable[[Registration], None],
        instance: str = "",
    ) -> None:
        """`instance` is a UUID that stays the same for as long as the number exists; empty sends
        none."""
        self.account = account
        self._flow = f';reg-id=1;+sip.instance="<urn:uuid:{instance}>"' if instance else ""
        self.token = secrets.token_hex(16)
        self.hop: Hop | None = None
        """Where the binding lives: over a stream, calls come on the same connection."""
        self.accepted = False
        """The registrar took it, once at least."""
        self._context = context
        self._contact = contact
        self._changed = changed
        self._call_id = new_call_id()
        self._tag = new_tag()
        self._sequence = 0
        self._expires_s = EXPIRES_S
        self._wait_s = FIRST_WAIT_S
        self._timer: Timer | None = None
        self._keepalive: Timer | None = None
        self._sending: Sending | None = None
        self._stopped = False
        self.decided = asyncio.Event()
        """Set when the registrar was heard, or given up, for the first time."""
        self.standing = Standing("registering", context.timers.time())

    def start(self) -> None:
        # Spread, so that a restart with many numbers is no flood.
        self._timer = self._context.timers.call_later(random.uniform(0, 0.5), self._register)  # noqa: S311

    def stop(self) -> None:
        """Take the binding away, if there is one; the answer is not awaited."""
        if self._stopped:
            return
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._keepalive is not None:
            self._keepalive.cancel()
        if self._sending is not None:
            self._sending.stop()
        if self.standing.state == "registered":
            self._send(0)
        self._stand(Standing("stopped", self._context.timers.time()))

    def _register(self) -> None:
        self._timer = None
        self._send(self._expires_s)

    def _send(self, expires_s: int) -> None:
        account = self.account

        def build(hop: Hop) -> Request:
            self._sequence += 1
            self.hop = hop
            request = Request(method="REGISTER", target=str(account.registrar))
            add = request.headers.add
            add("Max-Forwards", "70")
            if account.route is not None:
                add("Route", f"<{account.route.with_params(lr=None)}>")
            add("From", str(Address(account.address).with_tag(self._tag)))
            add("To", str(Address(account.address)))
            add("Call-ID", self._call_id)
            add("CSeq", f"{self._sequence} REGISTER")
            add("Contact", f"{self._contact(hop, self.token)};expires={expires_s}{self._flow}")
            add("Expires", str(expires_s))
            add("Supported", "path, outbound" if self._flow else "path")
            add("User-Agent", self._context.product)
            return request

        self._sending = Sending(
            self._context,
            build,
            account.route or account.registrar,
            self._answered if expires_s else lambda _: None,
            credentials=account.credentials,
        )

    def _answered(self, response: Response | Failed) -> None:
        if self._stopped:
            return
        now_s = self._context.timers.time()
        if isinstance(response, Response) and response.status < 300:
            granted_s = self._granted(response)
            self.accepted = True
            self._wait_s = FIRST_WAIT_S
            since_s = self.standing.since_s if self.standing.state == "registered" else now_s
            self._stand(Standing("registered", since_s, now_s + granted_s))
            # Well before the end, but not later than the registrar's own clock could be off.
            self._keep_alive()
            self._again(granted_s * random.uniform(0.75, 0.85))  # noqa: S311 - no secret
            return
        if response.status == 423 and isinstance(response, Response):
            least = self._least(response)
            if self._expires_s < least <= MOST_S:
                self._expires_s = least
                self._register()
                return
        if response.status == 439 and self._flow:
            # The registrar knows flows, the proxy before it does not (RFC 5626 §11.6).
            self._flow = ""
            self._register()
            return
        detail = response.detail if isinstance(response, Failed) else response.reason
        words = printable(detail or REASONS.get(response.status, ""))
        error = f"SIP {response.status} {words}".strip()
        refused = response.status in (401, 403, 404, 407)
        if refused and response.status in (401, 407):
            error = f"SIP {response.status}: the user name or the password was not accepted"
        failed = Standing("failed", now_s, None, error, response.status, refused)
        if self.standing.state == "failed":
            failed = replace(failed, since_s=self.standing.since_s)
        else:
            log.warning("registration of %s at %s failed: %s", *self._names, error)
        self._stand(failed)
        wait_s = REFUSED_WAIT_S if refused else self._wait_s
        self._wait_s = min(self._wait_s * 2, MOST_WAIT_S)
        self._again(wait_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret

    def lost(self) -> None:
        """The connection that the binding lives on is gone: register anew, soon."""
        if self._stopped or self.standing.state != "registered":
            return
        self._again(random.uniform(0.1, 2.0))  # noqa: S311 - no secret

    def _keep_alive(self) -> None:
        """From now on, for as long as it is registered over UDP."""
        if self._keepalive is not None:
            self._keepalive.cancel()
        self._keepalive = self._context.timers.call_later(KEEPALIVE_S, self._ping)

    def _ping(self) -> None:
        hop = self.hop
        if self.standing.state == "registered" and hop is not None and not hop.reliable:
            self._context.wire.send(hop, PING)
            self._keep_alive()

    def _again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._context.timers.call_later(seconds, self._register)

    def _granted(self, response: Response) -> float:
        """How long our binding holds: its own `expires`, else the header's, else what we asked."""
        texts = [response.headers.get("Expires")]
        try:
            for line in response.headers.all("Contact"):
                for address in parse_addresses(line):
                    if address.uri.user == self.token:
                        texts.insert(0, address.params.get("expires"))
        except Malformed:
            pass  # somebody else's binding is broken; ours is taken as asked
        for text in texts:
            if text is not None:
                try:
                    return max(min(number(text, 2**31, "expires"), MOST_S), LEAST_S)
                except Malformed:
                    continue
        return self._expires_s

    def _least(self, response: Response) -> int:
        try:
            return number(response.headers.get("Min-Expires") or "", 2**31, "Min-Expires")
        except Malformed:
            return 0

    @property
    def _names(self) -> tuple[str, str]:
        return self.account.username, self.account.domain

    def _stand(self, standing: Standing) -> None:
        before, self.standing = self.standing, standing
        self.decided.set()
        if before.state != standing.state:
            log.info("%s at %s is %s", *self._names, standing.state)
        self._changed(self)
