"""Who makes a request: an API key or a logged-in member, and what either stands for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["viewer", "developer", "admin", "owner"]
ROLES: tuple[Role, ...] = ("viewer", "developer", "admin", "owner")
"""Each may do what those before it may."""

SCOPES = ("read", "write")
"""What a key may without being told more: all that its organization has, but for `GUARDED`."""

GUARDED = frozenset({"api-keys", "members"})
"""Who may change these can make others mightier, so it takes the scope that names them."""

FULL = (*SCOPES, *(f"{resource}:write" for resource in sorted(GUARDED)))
"""The scopes of the first key, by which everything else is made."""


def reaches(role: Role, least: Role) -> bool:
    """Whether `role` may do what takes at least `least`."""
    return ROLES.index(role) >= ROLES.index(least)


@dataclass(frozen=True, slots=True)
class Principal:
    """`id` is the key's or the member's. A key has scopes; a member has all of them, within the
    role, and an identity. `limit_per_minute` null is the server's own limit, `organization_limit`
    null is none. `by_sso`: the organization's identity provider vouched for the session, which
    must reach nothing of what the identity is elsewhere."""

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
    identity_id: uuid.UUID | None = None
    by_sso: bool = False

    def may(self, verb: str, resource: str) -> bool:
        """Whether a key's scopes allow to `read` or `write` a resource."""
        if f"{resource}:{verb}" in self.scopes:
            return True
        return verb in self.scopes and not (verb == "write" and resource in GUARDED)


def covers(scopes: frozenset[str], scope: str) -> bool:
    """Whether who has `scopes` has `scope` too."""
    resource, _, verb = scope.rpartition(":")
    if scope in scopes or not resource:
        return scope in scopes
    return verb in scopes and not (verb == "write" and resource in GUARDED)


def role_of_key(scopes: frozenset[str]) -> Role:
    """A key that may write stands where an admin stands, and no key can make an owner. One that
    may only read, or only write what it names, stands where a viewer does for all else."""
    return "admin" if "write" in scopes else "viewer"
