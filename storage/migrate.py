"""Bring a database to the present schema, and refuse one that this program does not know."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from storage import troubles
from storage.backups import copying
from storage.engine import folder_of
from storage.errors import Unavailable

_FOLDER = Path(__file__).parent / "migrations"
COPIES = 5
"""Copies from before an upgrade that are kept."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def counts(engine: Engine) -> dict[str, int]:
    """Rows per table, read directly."""
    with engine.connect() as connection:
        quote = engine.dialect.identifier_preparer.quote
        return {
            table: connection.execute(text(f"SELECT count(*) FROM {quote(table)}")).scalar_one()  # noqa: S608 - names come from the schema
            for table in inspect(engine).get_table_names()
            if table != "alembic_version"
        }


def upgrade(engine: Engine, to: str = "head", *, backup: bool = True) -> None:
    """Run all missing migrations in one transaction; foreign keys rest meanwhile.

    Before them a database is copied to the folder `backups` beside it, unless `backup` is False.

    Raises:
        Unavailable: rows would be lost or left dangling, there is no room for the copy, or the
            database is of a newer Assay; nothing was changed then.
    """
    with troubles.spoken(folder_of(engine)):
        at = revision(engine)
        if at is not None and at not in revisions():
            raise _of_a_newer(at)
        if at is not None and at == _named(to):
            return
        if backup and at is not None:
            _copy(engine, at)
        _run(engine, to)


def _named(to: str) -> str | None:
    script = ScriptDirectory.from_config(_config()).get_revision(to)
    return script.revision if script is not None else None


def _copy(engine: Engine, at: str) -> None:
    backups = folder_of(engine) / "backups"
    copying.database(engine, backups / f"before-upgrade-{at}-{copying.stamp()}.db")
    copying.prune(list(backups.glob("before-upgrade-*.db")), COPIES)


def _run(engine: Engine, to: str) -> None:
    before = counts(engine)
    config = _config()
    with engine.connect() as connection:
        # Batch migrations drop and rebuild tables: with foreign keys on, cascades and checks
        # would hit the rows in between. Outside a transaction only.
        connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")  # type: ignore[union-attr]
        try:
            locked = connection.execution_options(begin="BEGIN IMMEDIATE")
            with locked.begin():
                config.attributes["connection"] = locked
                command.upgrade(config, to)
                _check(locked, before)
        finally:
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = ON")  # type: ignore[union-attr]


def _check(connection, before: dict[str, int]) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if dangling:
        raise Unavailable(
            "The upgrade would leave rows without their parents. Nothing was changed."
        )
    for table, rows in before.items():
        now = connection.exec_driver_sql(f'SELECT count(*) FROM "{table}"').scalar_one()  # noqa: S608 - names come from the schema
        if now < rows:
            raise Unavailable(f"The upgrade would lose rows of {table}. Nothing was changed.")


def revision(engine: Engine) -> str | None:
    """The schema a database is at; None where no migration has touched it."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@cache
def revisions() -> tuple[str, ...]:
    """Every schema that this program knows, newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())


def check(engine: Engine) -> None:
    """Refuse a database that is not at this program's schema.

    Raises:
        Unavailable: it is older (run the upgrade) or newer (use the newer program).
    """
    with troubles.spoken(folder_of(engine)):
        at, schemas = revision(engine), revisions()
    if at == schemas[0]:
        return
    if at is None or at in schemas:
        raise Unavailable("The database is not up to date. Run: python -m storage upgrade")
    raise _of_a_newer(at)


def _of_a_newer(at: str) -> Unavailable:
    return Unavailable(
        f"The database was written by a newer Assay (schema {at}). Start that version instead."
    )
