"""A carrier: who brings calls and takes them, and all that Chorus has to know of it.

Two things, of which the first is known before anything runs:

- `CarrierKind`: its name in the API, and which settings a phone number of it has (`Form`);
- `Carrier`: the running one, made from the process's settings. It places calls (`dialler`), ends
  them (`end`), has HTTP routes or sockets of its own, or both, and offers what comes in to a
  `Desk`.

A new carrier is a folder with these two and a line in `carriers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from starlette.routing import BaseRoute

from chorus.lines.desk import Connection, Desk
from chorus.lines.line import Dialler, is_address
from chorus.settings import Settings


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a phone number: its name in the API, what it may hold, and whether it is a
    secret, which the API takes and never shows.

    `text` is 1 to 255 characters, `short` 1 to 60, `host` a host name or an address with or
    without a port, `network` an IP address or network, `one_of` one of `choices`.
    """

    name: str
    kind: Literal["text", "short", "host", "port", "network", "url", "one_of"] = "text"
    secret: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """The settings of one way to connect a number: `required` and `optional` by name, and what
    holds where an optional one is not given. A carrier with several ways tells them apart by the
    setting `by`, which has the value `value` here; the first form is the default."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    by: str | None = None
    value: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return self.required + self.optional


class Carrier(Protocol):
    """One of each kind a process. Nothing is opened before `start`."""

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        """HTTP and websocket routes, mounted at the root; empty for a carrier that has none."""
        ...

    async def start(self, desk: Desk) -> None:
        """Get ready to place and take calls; open what sockets of its own it has (a SIP user
        agent). From now on calls may be offered to `desk`."""
        ...

    def dialler(self, connection: Connection, token: str) -> Dialler:
        """Places one call for this number, the audio of which will show `token`."""
        ...

    async def end(self, connection: Connection, leg_id: str) -> None:
        """Hang a leg up at the carrier, whatever state it is in and whoever holds it. Nothing
        happens if it is over. Raises `CarrierFailed`."""
        ...

    async def check(self, connection: Connection) -> str | None:
        """Ask the carrier whether these settings work; None if they do, else a sentence that says
        what to mend, without secrets."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class AskableCarrier(Carrier, Protocol):
    """A carrier that says how a leg fares when it is asked, whoever held it. A carrier has these
    methods only where it does: ask with `isinstance`. Both raise `CarrierFailed`."""

    async def lasted_s(self, connection: Connection, leg_id: str) -> int | None:
        """Seconds from the answer to the end of a leg that is over; None while it goes on."""
        ...

    async def has_connected(
        self, connection: Connection, call_id: str, leg_id: str, other_leg_id: str | None
    ) -> bool:
        """Whether the far end of the call's leg is connected with somebody else: now, with that of
        `other_leg_id` (`JoinableLine.connect_with` of the first), or, for None, now or until one of
        the two left, with whom a transfer has called (`TransferableLine.transfer`)."""
        ...


class CarrierFailed(Exception):
    """A carrier did not do what it was asked. The text is fit for a call's record."""


@dataclass(frozen=True, slots=True)
class CarrierKind:
    """`simulated`: it is no real one, and there only where `CHORUS_SIMULATED` is set.
    `has_numbers`: phone numbers can be of it. `detects_machines`: it can tell a mailbox that
    answers from a person; for a number that has the setting `detects_with`, if one is named.
    `presses_on_answer`: it presses an extension by itself (`Dial.digits`).
    `takes_keys`: keys can be pressed towards the far end. `calls_addresses`: it calls SIP
    addresses. `sends_headers`: it sends SIP headers of ours along, always or with a call to an
    address. `shows_caller`: a call to a person may show the number of the caller who is handed to
    them, always or where the caller's call brought a token for it (`InboundCall.forward_token`).
    `joins_calls`: it can connect the far ends of two calls that are talked on (`JoinableLine`).
    `webhook_path`: where the carrier has to post that somebody calls; empty for one that is told
    another way."""

    name: str
    make: Callable[[Settings], Carrier]
    settings: tuple[Setting, ...] = ()
    forms: tuple[Form, ...] = (Form(),)
    simulated: bool = False
    has_numbers: bool = True
    detects_machines: bool = False
    detects_with: str = ""
    presses_on_answer: bool = False
    takes_keys: bool = True
    calls_addresses: bool = False
    sends_headers: Literal["always", "to_addresses", "never"] = "never"
    shows_caller: Literal["always", "with_token", "never"] = "never"
    joins_calls: bool = False
    webhook_path: str = ""

    def form(self, settings: Mapping[str, Any]) -> Form:
        """The form that a number with these settings has to fill in."""
        for form in self.forms:
            if form.by is not None and settings.get(form.by) == form.value:
                return form
        return self.forms[0]

    def detects_for(self, settings: Mapping[str, Any]) -> bool:
        """Whether it can tell a mailbox from a person for a number with these settings."""
        needed = self.detects_with
        return self.detects_machines and (not needed or settings.get(needed) is not None)

    def sends_headers_to(self, to: str) -> bool:
        return self.sends_headers == "always" or (
            self.sends_headers == "to_addresses" and is_address(to)
        )

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset(setting.name for setting in self.settings if setting.secret)
