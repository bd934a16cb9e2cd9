"""Who is at the other end of a call, written down as a script.

A `Person` says how the telephone is answered, what is done after that, one `Step` after the
other, and what is wrong with the network in between. When the steps are over the person
listens in silence until somebody hangs up; more steps can be given during the call.

These are the JSON bodies of the control API, so they are pydantic models.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Ms = Annotated[int, Field(ge=0, le=3_600_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Say(_Part):
    """Speak: one of `text` (in English, by the offline voice), `audio` (base64 of 8 kHz µ-law),
    `wav` (a file, 16-bit PCM mono 8 kHz) or a made-up `sound` of `ms`. Done when the last frame
    has left."""

    do: Literal["say"] = "say"
    text: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    audio: str | None = None
    wav: str | None = None
    sound: Literal["tone", "cough", "silence"] | None = None
    ms: Ms = 500
    name: str = ""


class Wait(_Part):
    """Do nothing for `ms`."""

    do: Literal["wait"] = "wait"
    ms: Ms


class WaitAgent(_Part):
    """Until the agent is audible, and has been for `heard_ms`."""

    do: Literal["wait_agent"] = "wait_agent"
    heard_ms: Ms = 0
    timeout_ms: Ms = 10_000


class WaitQuiet(_Part):
    """Until the agent has answered what was said last and then been quiet for `quiet_ms`."""

    do: Literal["wait_quiet"] = "wait_quiet"
    quiet_ms: Ms = 600
    timeout_ms: Ms = 15_000


class Press(_Part):
    do: Literal["press"] = "press"
    digits: str
    gap_ms: Ms = 150


class HangUp(_Part):
    do: Literal["hang_up"] = "hang_up"


class Drop(_Part):
    """The network dies: the connection is reset in mid-call, without a word."""

    do: Literal["drop"] = "drop"


class Leave(_Part):
    """The socket is closed properly, but no `stop` was sent."""

    do: Literal["leave"] = "leave"


class Mute(_Part):
    """No media at all for `ms`: a hole in the timestamps."""

    do: Literal["mute"] = "mute"
    ms: Ms


class Deaf(_Part):
    """The carrier reads nothing from the socket for `ms`."""

    do: Literal["deaf"] = "deaf"
    ms: Ms


class Send(_Part):
    """A message as it is, for what no carrier should send. `{streamSid}` in `text` is filled."""

    do: Literal["send"] = "send"
    text: str | None = None
    binary: str | None = None
    times: int = 1


Step = Annotated[
    Say | Wait | WaitAgent | WaitQuiet | Press | HangUp | Drop | Leave | Mute | Deaf | Send,
    Field(discriminator="do"),
]


class Person(_Part):
    """`ring_ms` passes before the telephone is answered, or refused. Who is called by a `<Dial>`
    has no script, and stays for `dialled_ms` or until the API ends the call. `start` overwrites
    members of the stream's `start` message. `call_id` and `token` stand in the place of those that
    the stream's address has, and `signature` in that of the handshake's ("" sends none)."""

    answer: Literal["answer", "busy", "no_answer", "reject", "fail"] = "answer"
    ring_ms: Ms = 50
    dialled_ms: Ms = 300
    sip_code: int | None = None
    answered_by: str = "human"
    detect_ms: Ms = 100
    steps: list[Step] = []
    jitter_ms: Ms = 0
    loss: float = Field(default=0, ge=0, le=1)
    marks: bool = True
    stop: bool = True
    media_before_start: bool = False
    start: dict[str, Any] = {}
    call_id: str | None = None
    token: str | None = None
    signature: str | None = None


class Steps(_Part):
    steps: list[Step]


def say(mulaw: bytes, name: str = "") -> Say:
    """Speak µ-law audio."""
    return Say(audio=base64.b64encode(mulaw).decode(), name=name)


SILENT = Person()
