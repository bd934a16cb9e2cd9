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

    def token_in(self, url: str, call_id: str) -> str:
        """What a `media_url` of this call shows; empty of any other address."""
        begins = self.media_url(call_id, "")
        return url.removeprefix(begins) if url.startswith(begins) else ""

    def media_url(self, call_id: str, token: str) -> str:
        return f"{self.media_base}{MEDIA_PATH}/{call_id}/{token}"
