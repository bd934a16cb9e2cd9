"""Columns that hold secrets: a type of their own, which is also the registry of them.

A column of the type `Encrypted` takes nothing that `Secrets.encrypt` did not make, so a secret
cannot be stored in clear by mistake; and `columns` finds every one of them in the schema, so
that a rotation of keys cannot forget one.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from chorus.accounts.secrets import is_encrypted


class Encrypted(sa.TypeDecorator[str]):
    """Text made by `Secrets.encrypt`; it is read as it is stored, and decrypted where needed."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and not is_encrypted(value):
            raise ValueError("a secret must be encrypted before it is stored")
        return value


def columns(metadata: sa.MetaData) -> list[sa.Column[str]]:
    """Every encrypted column of the schema, table by table."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Encrypted)
    ]
