"""What a server needs before it starts: a schema, the right secret key, a first organization and
key, and a database that can be written.

Run once, before any worker exists. A SQLite database is brought to this version's schema;
Postgres, which others may be using, is changed only by `chorus migrate`.
"""

from __future__ import annotations

import errno

from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts import seal
from chorus.accounts.bootstrap import bootstrap
from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.billing.prices import Prices, WrongPrices
from chorus.db import Database
from chorus.db_trouble import trouble
from chorus.migrations import run as migrations
from chorus.migrations.schema import metadata
from chorus.settings import Settings


class NotReady(Exception):
    """The server cannot start; the message is a sentence that says why."""


async def prepare(settings: Settings) -> str | None:
    """Returns the first API key if it was made now. Raises `NotReady`."""
    database = Database(settings)
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        secrets = Secrets.of(settings)
        Prices.of(settings)
        if settings.is_sqlite:
            await migrations.upgrade(database)
            await database.optimize()
        else:
            await _require_schema(database)
        await seal.ensure(database, secrets, metadata)
        return await bootstrap(database, settings)
    except (SecretsUnreadable, WrongPrices, migrations.MigrationFailed) as error:
        raise NotReady(str(error)) from error
    except SQLAlchemyError as error:
        found = trouble(settings, error)
        advice = found.advice[0].upper() + found.advice[1:]
        raise NotReady(f"The database cannot be used: {found.says}. {advice}.") from error
    except OSError as error:
        folder = settings.data_dir.absolute()
        advice = "Set CHORUS_DATA_DIR to a folder that this user may write to."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "Make room on its disk."
        raise NotReady(
            f"The data folder {folder} cannot be used: {error.strerror or error}. {advice}"
        ) from error
    finally:
        await database.close()


async def _require_schema(database: Database) -> None:
    found, wanted = await migrations.current(database), migrations.head()
    if found != wanted:
        raise NotReady(
            f"The database's schema is {found or 'empty'}, this version needs {wanted}: "
            "run `chorus migrate` first."
        )
