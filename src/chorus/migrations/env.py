"""What Alembic runs: the steps in one transaction, on the connection that it is handed.

On SQLite, changing a table means copying it and dropping the old one, and dropping a parent
deletes its children as long as foreign keys are enforced. They are switched off before the
transaction (inside one the switch is ignored), checked before it commits, and switched on again.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.engine import Connection

from chorus.db import Json, UtcDateTime
from chorus.migrations.schema import metadata


def render(kind: str, thing: Any, _: Any) -> str | Literal[False]:
    """How a generated step writes Chorus's own column types."""
    if kind == "type" and isinstance(thing, UtcDateTime):
        return "UtcDateTime()"
    return "Json" if kind == "type" and thing is Json else False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


migrate(context.config.attributes["connection"])
