"""The state that a command gives to a call, and that every later webhook of it brings back: base64
of JSON. What comes back is signed by the account and named by us, and still read with care: other
programs of the account may set states of their own.

https://developers.telnyx.com/api-reference/call-commands/dial (`client_state`)
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from dataclasses import dataclass
from typing import Any, cast

import orjson

MAX_CHARS = 1024
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class State:
    """`call_id` is Chorus'. `leg_of` is set on the leg that a transfer dials: the id of the leg
    that was transferred. `is_back`: it has come back from a transfer that came to nothing."""

    call_id: str
    leg_of: str = ""
    is_back: bool = False

    def written(self) -> str:
        told = {"call": self.call_id, "of": self.leg_of, "back": self.is_back}
        return b64encode(orjson.dumps(told)).decode()


def state_of(text: object) -> State | None:
    """None for what Chorus has not written."""
    if not isinstance(text, str) or not 0 < len(text) <= MAX_CHARS:
        return None
    try:
        value: Any = orjson.loads(b64decode(text, validate=True))
    except (Error, ValueError):
        return None
    if not isinstance(value, dict):
        return None
    told = cast("dict[str, Any]", value)
    call_id, leg_of = told.get("call"), told.get("of")
    if not isinstance(call_id, str) or not _ID.fullmatch(call_id) or not isinstance(leg_of, str):
        return None
    return State(call_id, leg_of, told.get("back") is True)
