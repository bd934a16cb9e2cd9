"""The addresses at which jambonz reaches Chorus, built from the public URL only."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

CALL_PATH = "/jambonz/call"
STATUS_PATH = "/jambonz/status"
DONE_PATH = "/jambonz/done"
MACHINE_PATH = "/jambonz/amd"
DIAL_PATH = "/jambonz/dial"
DIALLED_PATH = "/jambonz/dialled"
MEDIA_PATH = "/jambonz/media"


@dataclass(frozen=True, slots=True)
class Links:
    """`public_url` without a slash at its end; `media_base` is ws or wss."""

    public_url: str
    media_base: str

    @property
    def call_url(self) -> str:
        """An application's calling webhook."""
        return self.public_url + CALL_PATH

    @property
    def status_url(self) -> str:
        """An application's call status webhook."""
        return self.public_url + STATUS_PATH

    def done_url(self, call_id: str) -> str:
        return f"{self.public_url}{DONE_PATH}/{call_id}"

    def machine_url(self, call_id: str) -> str:
        return f"{self.public_url}{MACHINE_PATH}/{call_id}"

    def dial_url(self, call_id: str, to: str, ring_timeout_s: int, secret: str) -> str:
        """Where jambonz asks how to connect the call with `to`. jambonz signs the body of its
        requests and not the address, so the address is signed by itself."""
        target = urlsafe_b64encode(f"{ring_timeout_s} {to}".encode()).decode().rstrip("=")
        return f"{self.public_url}{DIAL_PATH}/{call_id}/{target}/{_mac(call_id, target, secret)}"

    def dialled_url(self, call_id: str) -> str:
        return f"{self.public_url}{DIALLED_PATH}/{call_id}"

    def media_url(self, call_id: str, token: str) -> str:
        return f"{self.media_base}{MEDIA_PATH}/{call_id}/{token}"


def dialled(call_id: str, target: str, mac: str, secret: str) -> tuple[str, int] | None:
    """Whom a `dial_url` names and how many seconds they may ring; None if it is not one that this
    secret made."""
    if not mac.isascii() or not hmac.compare_digest(mac, _mac(call_id, target, secret)):
        return None
    seconds, _, to = urlsafe_b64decode(target + "=" * (-len(target) % 4)).decode().partition(" ")
    return to, int(seconds)


def _mac(call_id: str, target: str, secret: str) -> str:
    return hmac.digest(secret.encode(), f"dial {call_id} {target}".encode(), "sha256").hex()
