"""Alembic, run from code: each service's numbered migrations, in its own schema, with time-outs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from alembic import command, context, op
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, MetaData, NullPool, create_engine, text

from common import inbox, mail, outbox
from common.config import ServiceConfig
from common.db import NAMING_CONVENTION, connection_options, psycopg2_url

LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "5min"


def upgrade(config: ServiceConfig, revision: str = "head") -> None:
    """Bring the schema of a service up to `revision`; two at once wait for each other."""
    _run(config, lambda settings: command.upgrade(settings, revision))


def downgrade(config: ServiceConfig, revision: str) -> None:
    _run(config, lambda settings: command.downgrade(settings, revision))


def _run(config: ServiceConfig, action) -> None:  # type: ignore[no-untyped-def]
    options = {"options": connection_options(config.schema), "connect_timeout": 5}
    engine = create_engine(psycopg2_url(config.database_url), poolclass=NullPool, connect_args=options)
    with engine.connect() as connection:
        settings = AlembicConfig()
        settings.set_main_option("script_location", str(_location(config)))
        settings.attributes["connection"] = connection
        action(settings)


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
        context.execute("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.migrate'))")
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
