"""Alembic, run from code: each service's numbered migrations, in its own schema, with time-outs."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command, context, op
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from common import inbox, mail, outbox
from common.config import ServiceConfig
from common.db import NAMING_CONVENTION, connection_options, psycopg2_url

LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "5min"
LOOK_AGAIN_SECONDS = 1.0


def upgrade(config: ServiceConfig, revision: str = "head") -> bool:
    """Bring the schema of a service up to `revision`; several at once wait for each other.

    False when it is of a newer version than this one, and left as it is: a rollback needs no other schema.
    """
    with _one_at_a_time(config):
        if _is_beyond(config):
            return False
        _run(config, lambda settings: command.upgrade(settings, revision))
    return True


def await_schema(config: ServiceConfig, seconds: float, *, pause: float = LOOK_AGAIN_SECONDS) -> bool:
    """Wait until the schema is at this version's head or beyond; whether it came to that in time.

    A database that cannot be reached, or has no schema yet, is waited for as well.
    """
    deadline = time.monotonic() + seconds
    while not _is_ready(config):
        if time.monotonic() + pause > deadline:
            return False
        time.sleep(pause)
    return True


def _is_ready(config: ServiceConfig) -> bool:
    try:
        return _is_beyond(config) or _current(config) in _scripts(config).get_heads()
    except (OperationalError, ProgrammingError):
        return False


def _is_beyond(config: ServiceConfig) -> bool:
    """Whether the schema is at a revision that this version does not know."""
    current = _current(config)
    return current is not None and current not in {each.revision for each in _scripts(config).walk_revisions()}


def _current(config: ServiceConfig) -> str | None:
    with _connected(config) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _scripts(config: ServiceConfig) -> ScriptDirectory:
    return ScriptDirectory(str(_location(config)))


@contextmanager
def _one_at_a_time(config: ServiceConfig) -> Iterator[None]:
    """By a lock of the session on a connection of its own: one of a transaction ends with the first migration."""
    with _connected(config) as connection:
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(hashtext(current_schema() || '.migrate'))"))
        connection.commit()
        yield


def downgrade(config: ServiceConfig, revision: str) -> None:
    with _one_at_a_time(config):
        _run(config, lambda settings: command.downgrade(settings, revision))


def _run(config: ServiceConfig, action) -> None:  # type: ignore[no-untyped-def]
    with _connected(config) as connection:
        settings = AlembicConfig()
        settings.set_main_option("script_location", str(_location(config)))
        settings.attributes["connection"] = connection
        action(settings)


def _connected(config: ServiceConfig) -> Connection:
    options = {"options": connection_options(config.schema), "connect_timeout": 5}
    engine = create_engine(
        psycopg2_url(config.database_direct_url or config.database_url), poolclass=NullPool, connect_args=options
    )
    return engine.connect()


def _location(config: ServiceConfig) -> Path:
    spec = importlib.util.find_spec(f"{config.service}_service")
    if spec is None or spec.origin is None:
        raise LookupError(f"{config.service}_service cannot be found")
    return Path(spec.origin).parent / "migrations"


def run_env() -> None:
    """What a service's migrations/env.py calls."""
    connection: Connection = context.config.attributes["connection"]
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.commit()
    named = MetaData(naming_convention=NAMING_CONVENTION)
    context.configure(connection=connection, transaction_per_migration=True, target_metadata=named)
    with context.begin_transaction():
        context.run_migrations()


def create_messaging() -> None:
    """The outbox and the inbox, which every service has."""
    for metadata in (outbox.metadata, inbox.metadata):
        metadata.create_all(op.get_bind(), checkfirst=False)


def create_mail() -> None:
    """The mail that a service has yet to send, or has sent."""
    mail.metadata.create_all(op.get_bind(), checkfirst=False)


def drop_messaging() -> None:
    for metadata in (inbox.metadata, outbox.metadata):
        metadata.drop_all(op.get_bind(), checkfirst=False)
