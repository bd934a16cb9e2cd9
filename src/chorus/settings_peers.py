"""The variables of the way between machines, part of the list in `settings.py`."""

from __future__ import annotations

import re
from typing import NamedTuple

from chorus import readers
from chorus.variable import Variable

_LABEL = "[0-9A-Za-z_-]{1,63}"
_FORM = re.compile(rf"(\[[0-9A-Fa-f:.]+\]|{_LABEL}(?:\.{_LABEL})*):([0-9]{{1,5}})")
PLACES = 256
"""Of processes in one data folder, which take one port each."""


class PeerAddress(NamedTuple):
    """A host, without brackets, and a port."""

    host: str
    port: int

    @classmethod
    def read(cls, raw: str) -> PeerAddress:
        match = _FORM.fullmatch(raw)
        most = 65535 - (PLACES - 1)
        if match is None or not 1 <= int(match[2]) <= most:
            raise readers.Wrong(
                f"must be a host and a port up to {most}, such as 10.0.0.1:8700, not {raw!r}"
            )
        return cls(match[1].strip("[]"), int(match[2]))

    @classmethod
    def stored(cls, text: str) -> PeerAddress:
        """What `str` made."""
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


PEER_VARIABLES: tuple[Variable, ...] = (
    Variable(
        "CHORUS_PEER_ADDRESS",
        "peer_address",
        PeerAddress.read,
        "",
        "Host and port at which the other machines reach this one on the private network, such as "
        "`10.0.0.1:8700`: they pass on what belongs to its calls. Further processes of the same "
        "data folder take the ports after it. On PostgreSQL, with CHORUS_SECRET_KEY.",
    ),
    Variable(
        "CHORUS_PEER_LISTEN",
        "peer_listen",
        readers.host,
        "<host of CHORUS_PEER_ADDRESS>",
        "Address to listen on for them, where that host is none of this machine's own: in a "
        "container whose port is published, 0.0.0.0.",
    ),
)
