"""Tables of money. All amounts are whole micro-dollars."""

from __future__ import annotations

import uuid
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.billing.prices import METERS
from chorus.db import Base, UtcDateTime, choice, utcnow

KINDS = ("charge", "top_up", "embedding")


class LedgerLine(Base):
    """One movement of money; lines are added and never changed, which the database enforces.

    A charge belongs to a call, and its key is (call, meter, sequence): the same charge cannot be
    written twice. `quantity` units cost `price_micros` for every `price_per`, which makes
    `amount_micros`; the price is null where none was known. `charged` says whether it was taken
    off the balance: it is false where nobody is charged. A top-up adds `amount_micros` to the
    balance, or takes off it where the operator corrects a mistake. An embedding is what vectors of
    a document cost: of one reading of it, with the operator's key, and its key is that reading.

    The call, the agent, the number and the document are no foreign keys: the ledger outlives what
    it names.
    """

    __tablename__ = "ledger_lines"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    kind: Mapped[str] = mapped_column(choice(*KINDS, name="kind"))
    call_id: Mapped[uuid.UUID | None]
    meter: Mapped[str | None] = mapped_column(choice(*METERS, name="meter"))
    sequence: Mapped[int | None]
    engine: Mapped[str | None] = mapped_column(sa.String(255))
    discarded: Mapped[bool] = mapped_column(default=False)
    quantity: Mapped[int | None] = mapped_column(sa.BigInteger)
    price_version: Mapped[str | None] = mapped_column(sa.String(64))
    price_micros: Mapped[int | None] = mapped_column(sa.BigInteger)
    price_per: Mapped[int | None] = mapped_column(sa.BigInteger)
    amount_micros: Mapped[int] = mapped_column(sa.BigInteger)
    charged: Mapped[bool]
    agent_id: Mapped[uuid.UUID | None]
    phone_number_id: Mapped[uuid.UUID | None]
    document_id: Mapped[uuid.UUID | None]
    reading_id: Mapped[uuid.UUID | None]
    note: Mapped[str | None] = mapped_column(sa.String(500))
    called_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    __table_args__ = (
        sa.UniqueConstraint("call_id", "meter", "sequence"),
        sa.CheckConstraint(
            "kind <> 'charge' OR (call_id IS NOT NULL AND meter IS NOT NULL"
            " AND sequence IS NOT NULL AND quantity > 0 AND amount_micros >= 0)",
            name="charge",
        ),
        sa.CheckConstraint(
            "kind <> 'embedding' OR (reading_id IS NOT NULL AND document_id IS NOT NULL"
            " AND meter IS NOT NULL AND quantity > 0 AND amount_micros >= 0)",
            name="embedding",
        ),
        sa.Index(None, "organization_id", "created_at", "id"),
        sa.Index(None, "organization_id", "called_at"),
        # For whoever asks for a call's lines: with both columns in one index no planner takes
        # one that begins with the organization alone, and reads all lines that it has.
        sa.Index(None, "organization_id", "call_id", "created_at", "id"),
        sa.Index(None, "organization_id", "meter", "created_at", "id"),
        # A top-up among millions of charges.
        sa.Index(
            "ix_ledger_lines_top_ups",
            "organization_id",
            "created_at",
            "id",
            sqlite_where=sa.text("kind = 'top_up'"),
            postgresql_where=sa.text("kind = 'top_up'"),
        ),
        sa.Index(
            "ix_ledger_lines_embeddings",
            "organization_id",
            "created_at",
            "id",
            sqlite_where=sa.text("kind = 'embedding'"),
            postgresql_where=sa.text("kind = 'embedding'"),
        ),
        sa.Index(
            "ix_ledger_lines_readings",
            "reading_id",
            unique=True,
            sqlite_where=sa.text("kind = 'embedding'"),
            postgresql_where=sa.text("kind = 'embedding'"),
        ),
    )


class _Sums:
    """Of one meter. `calls` have this meter; `first_calls` are those of them that count here when
    meters are added up, so that no call counts twice. `amount_micros` holds `discarded_micros`."""

    calls: Mapped[int] = mapped_column(sort_order=1)
    first_calls: Mapped[int] = mapped_column(sort_order=2)
    quantity: Mapped[int] = mapped_column(sa.BigInteger, sort_order=3)
    amount_micros: Mapped[int] = mapped_column(sa.BigInteger, sort_order=4)
    discarded_micros: Mapped[int] = mapped_column(sa.BigInteger, sort_order=5)


class UsageDay(_Sums, Base):
    """What the calls of one day, in UTC, used of one meter: sums of the ledger (`sums.py`).

    `by` says of what `of_id` is the id: of the organization, an agent, or a number (all zeros: of
    calls without one)."""

    __tablename__ = "usage_days"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    by: Mapped[str] = mapped_column(
        choice("organization", "agent", "phone_number", name="by"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    of_id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True)
    meter: Mapped[str] = mapped_column(choice(*METERS, name="meter"), primary_key=True)
    __table_args__ = ({"sqlite_with_rowid": False},)


class UsageMonth(_Sums, Base):
    """As `UsageDay`, of all days of a month; `month` is the first of them."""

    __tablename__ = "usage_months"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    by: Mapped[str] = mapped_column(
        choice("organization", "agent", "phone_number", name="by"), primary_key=True
    )
    month: Mapped[date] = mapped_column(primary_key=True)
    of_id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True)
    meter: Mapped[str] = mapped_column(choice(*METERS, name="meter"), primary_key=True)
    __table_args__ = ({"sqlite_with_rowid": False},)


class Balance(Base):
    """What an organization has left: its top-ups less its charges, kept in the transaction that
    writes the line. Whoever decides by it locks this row first."""

    __tablename__ = "balances"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    amount_micros: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class Hold(Base):
    """Money that a call under way may still use; it is gone when the call is settled.

    `provider`, `direction` and `transcriber` say how the call's time is priced while it runs;
    `minute_micros` is what a minute of it was expected to cost beside its time.
    """

    __tablename__ = "balance_holds"

    call_id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True)
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    amount_micros: Mapped[int] = mapped_column(sa.BigInteger)
    minute_micros: Mapped[int] = mapped_column(sa.BigInteger)
    provider: Mapped[str] = mapped_column(sa.String(32))
    direction: Mapped[str] = mapped_column(sa.String(32))
    transcriber: Mapped[str] = mapped_column(sa.String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
