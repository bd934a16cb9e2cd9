"""Who makes a request: an API key or a logged-in member, and what either stands for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["viewer", "developer", "admin", "owner"]
ROLES: tuple[Role, ...] = ("viewer", "developer", "admin", "owner")
"""Each may do what those before it may."""

Scope = Literal["read", "write"]
SCOPES: tuple[Scope, ...] = ("read", "write")


def reaches(role: Role, least: Role) -> bool:
    """Whether `role` may do what takes at least `least`."""
    return ROLES.index(role) >= ROLES.index(least)


@dataclass(frozen=True, slots=True)
class Principal:
    """`id` is the key's or the member's. A key has scopes; a member has all of them, within the
    role. `limit_per_minute` null is the server's own limit, `organization_limit` null is none."""

    kind: Literal["key", "member"]
    id: uuid.UUID
    name: str
    organization_id: uuid.UUID
    role: Role
    scopes: frozenset[str] = frozenset(SCOPES)
    limit_per_minute: int | None = None
    organization_limit: int | None = None
    suspended: bool = False
    expires_at: datetime | None = None
    session_id: uuid.UUID | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes


def role_of_key(scopes: frozenset[str]) -> Role:
    """A key that may write stands where an admin stands, so only admins may make keys, and no key
    can make an owner. One that may only read stands where a viewer does."""
    return "admin" if "write" in scopes else "viewer"
