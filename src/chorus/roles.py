"""What a process does, where several share the work: any of three roles, or all of them.

- `api`: the REST API, the dashboard and the documentation; carriers' webhooks too;
- `media`: calls. Their audio, dialling, the conversations, their recordings;
- `work`: what follows from a call and what the calendar asks for: analysis, charging, webhooks,
  retention, and looking after what dead processes left.
"""

from __future__ import annotations

from typing import Literal, cast

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


def refused(
    roles: tuple[Role, ...], workers: int, *, is_sqlite: bool, listens_for_sip: bool
) -> str | None:
    """Why processes cannot share the work so, as a sentence; None if they can."""
    several = "Several processes need PostgreSQL, CHORUS_DATABASE_URL=postgresql://…"
    if is_sqlite and roles != ROLES:
        given = ",".join(roles)
        return f"CHORUS_ROLE cannot be {given}: on SQLite one process does everything. {several}"
    if is_sqlite and workers > 1:
        return f"CHORUS_WORKERS cannot be {workers}: on SQLite there is one process. {several}"
    if listens_for_sip and workers > 1:
        return (
            f"CHORUS_WORKERS cannot be {workers} where CHORUS_SIP_LISTEN is set: an address of "
            "SIP has one process. Run that one by itself, with one worker"
        )
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
