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
CONFERENCE_PATH = "/jambonz/conference"
BACK_PATH = "/jambonz/back"
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
        wish = _signed("dial", call_id, ring_timeout_s, to, secret)
        return f"{self.public_url}{DIAL_PATH}/{call_id}/{wish}"

    def conference_url(self, call_id: str, room: str, until_s: int, secret: str) -> str:
        """Where jambonz asks how to put the call into a conference, until this Unix time; signed
        as `dial_url`."""
        wish = _signed("conference", call_id, until_s, room, secret)
        return f"{self.public_url}{CONFERENCE_PATH}/{call_id}/{wish}"

    def back_url(self, call_id: str) -> str:
        """Where jambonz asks for a stream for somebody who comes back from a conference."""
        return f"{self.public_url}{BACK_PATH}/{call_id}"

    def dialled_url(self, call_id: str) -> str:
        return f"{self.public_url}{DIALLED_PATH}/{call_id}"

    def media_url(self, call_id: str, token: str) -> str:
        return f"{self.media_base}{MEDIA_PATH}/{call_id}/{token}"


def opened(what: str, call_id: str, wish: str, mac: str, secret: str) -> tuple[int, str] | None:
    """The number and the text of the end of a `dial_url` or a `conference_url`; None if it is not
    one that this secret signed for the call."""
    if not mac.isascii() or not hmac.compare_digest(mac, _mac(what, call_id, wish, secret)):
        return None
    number, _, text = urlsafe_b64decode(wish + "=" * (-len(wish) % 4)).decode().partition(" ")
    return int(number), text


def _signed(what: str, call_id: str, number: int, text: str, secret: str) -> str:
    wish = urlsafe_b64encode(f"{number} {text}".encode()).decode().rstrip("=")
    return f"{wish}/{_mac(what, call_id, wish, secret)}"


def _mac(what: str, call_id: str, wish: str, secret: str) -> str:
    return hmac.digest(secret.encode(), f"{what} {call_id} {wish}".encode(), "sha256").hex()
