"""The addresses at which Twilio reaches Chorus, built from the public URL only.

Signatures cover the URL that the carrier requested. Behind a proxy that is not the URL that
arrives here, and a `Host` header is the visitor's to choose; so routes never look at either.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

VOICE_PATH = "/twilio/voice"
STATUS_PATH = "/twilio/status"
MACHINE_PATH = "/twilio/amd"
ANSWERED_PATH = "/twilio/transferred"
DIALLED_PATH = "/twilio/dialled"
MEDIA_PATH = "/twilio/media"


@dataclass(frozen=True, slots=True)
class Links:
    """`public_url` is the origin, with a path if a proxy mounts Chorus below one. Raises
    `ValueError` if it is not an http or https URL."""

    public_url: str
    media_base: str = ""
    """ws or wss; by default that of the public URL."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.public_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
            raise ValueError(f"public URL must look like https://voice.example: {self.public_url}")
        object.__setattr__(self, "public_url", self.public_url.rstrip("/"))
        if not self.media_base:
            # http becomes ws, https wss.
            object.__setattr__(self, "media_base", "ws" + self.public_url.removeprefix("http"))

    @property
    def voice_url(self) -> str:
        return self.public_url + VOICE_PATH

    def status_url(self, call_id: str | None) -> str:
        return self.public_url + STATUS_PATH + (f"/{call_id}" if call_id else "")

    def machine_url(self, call_id: str) -> str:
        return f"{self.public_url}{MACHINE_PATH}/{call_id}"

    def answered_url(self, call_id: str) -> str:
        """Told when somebody answers whom a transfer calls."""
        return f"{self.public_url}{ANSWERED_PATH}/{call_id}"

    def dialled_url(self, call_id: str) -> str:
        """Asked what to do with the caller when a transfer's `<Dial>` is over."""
        return f"{self.public_url}{DIALLED_PATH}/{call_id}"

    def media_url(self, call_id: str, token: str) -> str:
        return f"{self.media_base}{MEDIA_PATH}/{call_id}/{token}"
