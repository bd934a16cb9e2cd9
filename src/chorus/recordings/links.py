"""Links to what is kept of a call: whoever has one may hear or read it until it expires.

A link is made anew whenever it is shown, and nothing of it is stored. It is signed over the kind
of thing, the call and the time of its end, not over the form: `.wav` may be changed to `.mp3`,
`.json` to `.txt`. The end is at least CHORUS_RECORDING_URL_TTL away and falls on a quarter of
that, so that a page which asks again and again gets the same link and plays on.
"""

from __future__ import annotations

import uuid
from typing import Literal

from chorus.accounts.secrets import Secrets
from chorus.clock import Clock, SystemClock
from chorus.errors import Error
from chorus.settings import Settings

Kind = Literal["recording", "transcript"]

_FIRST_FORM: dict[Kind, str] = {"recording": "wav", "transcript": "json"}


def recording_url(settings: Settings, secrets: Secrets, call_id: uuid.UUID) -> str:
    """Where the recording can be heard; whether there is one is for the caller to know."""
    return Links(settings, secrets).url("recording", call_id)


def transcript_url(settings: Settings, secrets: Secrets, call_id: uuid.UUID) -> str:
    """Where the transcript can be read."""
    return Links(settings, secrets).url("transcript", call_id)


class Links:
    def __init__(self, settings: Settings, secrets: Secrets, clock: Clock | None = None) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clock = clock or SystemClock()

    def url(self, kind: Kind, call_id: uuid.UUID, form: str = "") -> str:
        expires = self._end(self._settings.recording_url_ttl_s)
        signature = self._secrets.sign(kind, _message(call_id, expires))
        path = f"/{kind}s/{call_id}.{form or _FIRST_FORM[kind]}"
        return f"{self._settings.url}{path}?expires={expires}&signature={signature}"

    def check(self, kind: Kind, call_id: uuid.UUID, expires: str, signature: str) -> int:
        """The seconds for which the link still holds, at least 1. Raises `Error` 403."""
        # Judged before its date: what an expired link says is nobody's business either.
        if not self._secrets.verify(kind, _message(call_id, expires), signature):
            raise Error(403, "link_invalid", "This link is not valid")
        left = int(expires) - int(self._clock.utcnow().timestamp())
        if left <= 0:
            raise Error(403, "link_expired", "This link has expired")
        return left

    def _end(self, ttl_s: int) -> int:
        step = max(1, ttl_s // 4)
        earliest = int(self._clock.utcnow().timestamp()) + ttl_s
        return -(-earliest // step) * step


def _message(call_id: uuid.UUID, expires: int | str) -> str:
    return f"{call_id} until {expires}"
