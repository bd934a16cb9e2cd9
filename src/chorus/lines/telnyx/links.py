"""The addresses at which Telnyx reaches Chorus, built from the public URL only."""

from __future__ import annotations

from dataclasses import dataclass

EVENTS_PATH = "/telnyx/events"
MEDIA_PATH = "/telnyx/media"


@dataclass(frozen=True, slots=True)
class Links:
    """`public_url` without a slash at its end; `media_base` is ws or wss."""

    public_url: str
    media_base: str

    @property
    def events_url(self) -> str:
        """An application's webhook address."""
        return self.public_url + EVENTS_PATH

    def media_url(self, call_id: str, token: str) -> str:
        return f"{self.media_base}{MEDIA_PATH}/{call_id}/{token}"
