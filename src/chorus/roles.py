"""What a process does, where several share the work: any of three roles, or all of them.

- `api`: the REST API, the dashboard and the documentation; carriers' webhooks too;
- `media`: calls. Their audio, dialling, the conversations, their recordings;
- `work`: what follows from a call and what the calendar asks for: analysis, charging, webhooks,
  retention, and looking after what dead processes left.
"""

from __future__ import annotations

from typing import Literal, Protocol, cast

from chorus import readers
from chorus.variable import Variable

Role = Literal["api", "media", "work"]

ROLES: tuple[Role, ...] = ("api", "media", "work")


def read(raw: str) -> tuple[Role, ...]:
    """One or more, separated by commas; `all` is every one."""
    given = readers.names(raw.lower())
    if given == ("all",):
        return ROLES
    for name in given:
        if name not in ROLES:
            raise readers.Wrong(f"must hold some of api, media and work, or all, not {name!r}")
    return tuple(role for role in ROLES if role in cast("tuple[Role, ...]", given))


class Shared(Protocol):
    """What `Settings` say of how processes share the work."""

    @property
    def roles(self) -> tuple[Role, ...]: ...
    @property
    def workers(self) -> int: ...
    @property
    def is_sqlite(self) -> bool: ...
    @property
    def sip_listen(self) -> tuple[str, ...]: ...
    @property
    def secret_keys(self) -> tuple[str, ...]: ...
    @property
    def peer_address(self) -> tuple[str, int] | None: ...
    @property
    def peer_listen(self) -> str | None: ...


def refused(given: Shared) -> str | None:
    """Why processes cannot share the work so, as a sentence; None if they can."""
    several = "Several processes need PostgreSQL, CHORUS_DATABASE_URL=postgresql://…"
    if given.is_sqlite and given.roles != ROLES:
        names = ",".join(given.roles)
        return f"CHORUS_ROLE cannot be {names}: on SQLite one process does everything. {several}"
    if given.is_sqlite and given.workers > 1:
        return (
            f"CHORUS_WORKERS cannot be {given.workers}: on SQLite there is one process. {several}"
        )
    if given.sip_listen and given.workers > 1:
        return (
            f"CHORUS_WORKERS cannot be {given.workers} where CHORUS_SIP_LISTEN is set: an address "
            "of SIP has one process. Run that one by itself, with one worker"
        )
    if given.peer_address is None:
        alone = "CHORUS_PEER_LISTEN has no meaning without CHORUS_PEER_ADDRESS"
        return None if given.peer_listen is None else alone
    if given.is_sqlite:
        return f"CHORUS_PEER_ADDRESS cannot be set: on SQLite there is one machine. {several}"
    if not given.secret_keys:
        return "CHORUS_PEER_ADDRESS needs CHORUS_SECRET_KEY, the same on all machines"
    return None


ROLE_VARIABLES: tuple[Variable, ...] = (
    Variable(
        "CHORUS_STOP_NOTICE_SECONDS",
        "stop_notice_s",
        readers.number(0, 600),
        "0",
        "How long a server that is told to stop goes on as before, while /readyz says that it "
        "stops: as long as a load balancer takes to notice.",
    ),
    Variable(
        "CHORUS_ROLE",
        "roles",
        read,
        "api,media,work",
        "What this process does, on PostgreSQL: api (API, dashboard, carriers' webhooks), media "
        "(calls), work (what follows from calls), separated by commas.",
    ),
    Variable(
        "CHORUS_WORKERS",
        "workers",
        readers.number(1, 64),
        "1",
        "How many processes `chorus serve` runs on this machine, which share its port, on "
        "PostgreSQL. Not with CHORUS_SIP_LISTEN.",
    ),
    Variable(
        "CHORUS_MEDIA_URL",
        "media_url",
        readers.url,
        "<CHORUS_PUBLIC_URL>",
        "Where the audio of calls reaches a process with the role media, if not at the public "
        "URL. https means wss.",
    ),
)
