"""To whom an agent may hand a caller, at the HTTP edge. What each carrier can of it:
docs/guides/transfers.md."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictStr, model_validator

from chorus.wire import Flag, In, Name, Text, Whole, e164, told

MAX_HEADERS = 10
MAX_HEADERS_CHARS = 2000
"""Of all names and values together: an INVITE that is larger does not get through everywhere."""

_KEYS = re.compile(r"[0-9A-D*#wW]*")
# No user name or password, no header and no other scheme: what is added to it is ours.
_ADDRESS = re.compile(
    r"sips?:[A-Za-z0-9+*#_.!~'()&=$,-]{1,40}@[A-Za-z0-9][A-Za-z0-9.-]{0,50}(:[0-9]{2,5})?"
    r"(;transport=(udp|tcp|tls))?"
)
_HEADER = re.compile(r"[Xx]-[A-Za-z0-9-]{1,60}|[Uu]ser-[Tt]o-[Uu]ser")
_HEADER_VALUE = re.compile(r"[ -~]*")  # a template; what it is filled with is cleaned
MAX_ADDRESS_CHARS = 64


def _callee(value: str) -> str:
    if not value.lower().startswith(("sip:", "sips:")):
        return e164(value)
    scheme, _, rest = value.partition(":")
    address = f"{scheme.lower()}:{rest}"
    if len(address) > MAX_ADDRESS_CHARS or not _ADDRESS.fullmatch(address):
        raise ValueError(
            "must be a SIP address such as sip:200@pbx.example.com, of at most "
            f"{MAX_ADDRESS_CHARS} characters, without a password and headers"
        )
    return address


def _keys(value: str) -> str:
    if not _KEYS.fullmatch(value):
        raise ValueError("must be keys (0-9, *, #, A-D) and pauses (w: half a second, W: one)")
    return value


def _header_name(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError("must be a name that begins with X-, or User-to-User")
    return value


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("must be of one line, in ASCII")
    return value


class TransferHeader(In):
    """A SIP header of the call to the person."""

    key: Annotated[Text, Field(max_length=62), told(_HEADER), AfterValidator(_header_name)]
    value: Annotated[
        Text,
        Field(
            max_length=500,
            description="A template, with `reason` and `callerNumber` as variables too.",
        ),
        told(_HEADER_VALUE),
        AfterValidator(_header_value),
    ]


class TransferTarget(In):
    """Somebody to whom the agent may transfer a call."""

    name: Name
    number: Annotated[
        StrictStr,
        Field(
            description="E.164, such as +14155551234, or a SIP address, such as "
            "sip:200@pbx.example.com.",
            json_schema_extra={
                "pattern": r"^(\+[0-9 ()./-]{2,39}|sips?:[^@\s]{1,40}@[A-Za-z0-9.:;=-]{1,50})$",
                "example": "+14155551234",
            },
        ),
        AfterValidator(_callee),
    ]
    description: Annotated[Text, Field(max_length=2000, description="When to transfer there.")] = ""
    type: Annotated[
        Literal["cold", "warm", "warm_briefing"],
        Field(
            description="cold: whoever answers hears the caller at once. warm: they hear a message "
            "and press 1 to take the caller. warm_briefing: an agent tells them who is waiting and "
            "answers questions; they take the caller by word or by key."
        ),
    ] = "cold"
    merge: Annotated[
        Literal["bridge", "release"],
        Field(
            description="bridge: Chorus stays between the two. release: the carrier connects them "
            "and the call ends; bridge where it cannot, as not every carrier can of warm ones."
        ),
    ] = "bridge"
    briefing: Annotated[
        Annotated[Text, Field(max_length=1000)] | None,
        Field(
            description="What the person hears first; a template, with `reason` and `callerNumber` "
            "as variables too. Without it the agent's reason, or what a model makes of it."
        ),
    ] = None
    ring_timeout_seconds: Annotated[Whole, Field(ge=5, le=120)] = 30
    post_dial_digits: Annotated[
        Annotated[Text, Field(max_length=32), told(_KEYS), AfterValidator(_keys)] | None,
        Field(description="Pressed as soon as somebody answers: an extension. w waits 0.5 s."),
    ] = None
    headers: Annotated[
        list[TransferHeader],
        Field(
            max_length=MAX_HEADERS,
            description="SIP headers that the person's telephone system is sent. By SIP, "
            "jambonz and Telnyx always, by Twilio to a SIP address, by Voximplant never.",
        ),
    ] = []
    caller_id: Annotated[
        Literal["own", "caller"],
        Field(
            description="The number that the person is shown: the one that the call came in or "
            "went out on, or the caller's where the carrier allows it (SIP and jambonz; Twilio, of "
            "a call that came in)."
        ),
    ] = "own"
    transcribe: Annotated[
        Flag,
        Field(
            description="Whether what the two say to each other goes into the call's transcript. "
            "It is not listened to otherwise."
        ),
    ] = False
    when_unavailable: Annotated[
        Annotated[Text, Field(max_length=500)] | None,
        Field(
            description="What the caller hears if nobody takes the call and the agent goes on; a "
            "template as `briefing` is."
        ),
    ] = None

    @model_validator(mode="after")
    def _fits(self) -> TransferTarget:
        if self.type == "cold" and self.briefing is not None:
            raise ValueError("briefing is for warm transfers: nobody speaks in a cold one")
        if self.merge == "release":
            self._fits_release()
        names = [header.key.lower() for header in self.headers]
        if len(set(names)) < len(names):
            raise ValueError("headers must not hold the same name twice")
        if sum(len(each.key) + len(each.value) for each in self.headers) > MAX_HEADERS_CHARS:
            raise ValueError(f"headers must have at most {MAX_HEADERS_CHARS} characters together")
        return self

    def _fits_release(self) -> None:
        if self.transcribe:
            raise ValueError("transcribe needs merge bridge: nothing is heard here otherwise")
        if self.type != "cold":
            return  # the call to the person is ours
        if self.post_dial_digits:
            raise ValueError("postDialDigits need merge bridge: the carrier presses no keys")
        if self.headers:
            raise ValueError("headers need merge bridge: the carrier makes the call")
        if self.caller_id == "caller":
            raise ValueError("callerId caller needs merge bridge: the carrier makes the call")


def unique_targets(targets: list[TransferTarget]) -> list[TransferTarget]:
    names = [target.name.casefold() for target in targets]
    if len(set(names)) < len(names):
        raise ValueError("must not hold the same name twice")
    return targets
