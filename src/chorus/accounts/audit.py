"""The audit log: who changed what, written in the transaction of the change.

The route layer calls `record` for every change that succeeds (`permissions.TABLE` says which are
audited), with the names of the fields that were sent. A verb that knows more, such as the role
before and after, says so by `note`. Values that may be secret are never written.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.principal import Principal
from chorus.accounts.tables import AuditEntry

_NOTE = "chorus_audit_note"


def note(session: AsyncSession, **detail: Any) -> None:
    """Have the entry of this change say more: JSON values, no secrets."""
    session.info.setdefault(_NOTE, {}).update(detail)


def record(
    session: AsyncSession,
    principal: Principal,
    action: str,
    resource: str,
    resource_id: uuid.UUID | None,
    *,
    fields: Sequence[str] = (),
    request_id: str | None = None,
    address: str | None = None,
) -> None:
    """`action` is the operation's name in the OpenAPI document, `resource` as in its path."""
    session.add(
        AuditEntry(
            organization_id=principal.organization_id,
            actor=principal.kind,
            actor_id=principal.id,
            actor_name=principal.name,
            action=action,
            resource=resource,
            resource_id=resource_id,
            fields=sorted(fields),
            detail=session.info.pop(_NOTE, None),
            request_id=request_id,
            address=address,
        )
    )


def record_operator(
    session: AsyncSession,
    organization_id: uuid.UUID,
    who: str,
    action: str,
    resource: str,
    resource_id: uuid.UUID | None,
    fields: Sequence[str] = (),
) -> None:
    """A change from the command line; `who` is the machine's user."""
    session.add(
        AuditEntry(
            organization_id=organization_id,
            actor="operator",
            actor_name=who,
            action=action,
            resource=resource,
            resource_id=resource_id,
            fields=sorted(fields),
            detail=session.info.pop(_NOTE, None),
        )
    )
