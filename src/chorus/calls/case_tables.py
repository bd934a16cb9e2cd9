"""The table of test cases: calls that were kept to be held again against an agent."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.db import Base, Json, Tenant


class CaseRow(Tenant, Base):
    """A test case. It is a copy: what becomes of the call later changes nothing in it, and it goes
    with its agent. `call_id` is no foreign key: a case outlives the call it was made of.
    `agent_version` is null where the call was held with unsaved changes. `script` and `expected`
    are as the API has them (`case_schemas.py`)."""

    __tablename__ = "test_cases"

    agent_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("agents.id", ondelete="CASCADE"))
    call_id: Mapped[uuid.UUID]
    agent_version: Mapped[int | None]
    name: Mapped[str] = mapped_column(sa.String(255))
    note: Mapped[str] = mapped_column(sa.Text, default="")
    context_variables: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    script: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    expected: Mapped[dict[str, Any]] = mapped_column(Json)

    __table_args__ = (
        sa.Index(None, "organization_id", "created_at", "id"),
        sa.Index(None, "organization_id", "agent_id", "created_at", "id"),
        sa.Index(None, "agent_id"),
        sa.Index(None, "call_id"),
    )
