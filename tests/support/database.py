"""A fresh, migrated database for each service, on a real Postgres server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from common import inbox, outbox
from common.bus.postgres import PostgresBus
from common.config import ServiceConfig
from common.db import Database
from common.events import Event, by_name
from common.migrations import upgrade
from common.provision import provision

PASSWORD = "only-in-tests"
SCHEMAS = ("auth", "catalog", "orders", "reviews", "bus", "toy")


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an administrator: TEST_DATABASE_URL's server, or an embedded one for the time of the tests."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    from devstack.postgres import temporary_postgres

    with temporary_postgres() as server:
        yield server.url


@contextmanager
def fresh_database(admin_url: str) -> Iterator[str]:
    """A new database on the server; gives an administrator's URL to it."""
    name = f"bookstore_test_{uuid4().hex[:12]}"
    _execute(admin_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(admin_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for schema in SCHEMAS:
            _execute(admin_url, sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role_of(schema, name))))


def _execute(admin_url: str, statement: sql.Composable) -> None:
    url = make_url(admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def environment(admin_url: str, schema: str, **extra: str) -> dict[str, str]:
    """Settings under which a service uses `schema` of that database, and its `bus` schema for events."""
    url = make_url(admin_url).set(password=PASSWORD)
    own, bus = (url.set(username=role_of(name, str(url.database))) for name in (schema, "bus"))
    return {
        "DATABASE_URL": own.render_as_string(hide_password=False),
        "EVENT_BUS_URL": bus.render_as_string(hide_password=False),
        "SERVICE_CLIENT_SECRET": "only-in-tests",
        "LOG_LEVEL": "WARNING",
        **extra,
    }


def role_of(schema: str, database: str) -> str:
    """Roles belong to the whole server: runs side by side must not change each other's."""
    return f"{schema}_{database.rpartition('_')[2]}"


def install(config: ServiceConfig, admin_url: str) -> None:
    """Provision and migrate, as an operator would."""
    provision(config, admin_url)
    upgrade(config)
    PostgresBus(config.event_bus_url, "tests").declare(config.queue, [])


def service_config(config_type: type[Any], **extra: str) -> Any:
    """A fixture: the service's settings on a freshly migrated database."""

    @pytest.fixture(scope="session")
    def config(admin_database_url: str) -> Any:
        settings = config_type.from_env(environment(admin_database_url, config_type.schema, **extra))
        install(settings, admin_database_url)
        return settings

    return config


def service_database() -> Any:
    """A fixture: the Database of the fixture `config`."""

    @pytest.fixture(scope="session")
    def database(config: ServiceConfig) -> Iterator[Database]:
        opened = Database(config, pool_size=20)
        yield opened
        opened.close()

    return database


def rolled_back_session() -> Any:
    """A fixture: a Session whose work is undone after the test, for rules that need no second connection."""

    @pytest.fixture
    def session(database: Database) -> Iterator[Session]:
        with database.engine.connect() as connection, ExitStack() as stack:
            outer = connection.begin()
            stack.callback(outer.rollback)
            with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as opened:
                yield opened

    return session


def emptied_tables(keep: tuple[str, ...] = ()) -> Any:
    """A fixture that leaves every table of the service empty (but for `keep`) after a test that commits."""

    @pytest.fixture
    def clean(database: Database) -> Iterator[None]:
        yield
        empty(database, keep)

    return clean


def empty(database: Database, keep: tuple[str, ...] = ()) -> None:
    with database.transaction() as session:
        names = session.scalars(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'alembic_version'"
            )
        ).all()
        session.execute(text(f"TRUNCATE {', '.join(sorted(set(names) - set(keep)))} CASCADE"))


def emitted(database: Database) -> list[Event]:
    """What the service has recorded in its outbox, in order."""
    with database.read() as session:
        rows = session.execute(outbox.table.select().order_by(outbox.table.c.position)).all()
    return [event.model_validate_json(row.body) for row in rows if (event := by_name(row.name))]


def deliver(database: Database, handlers: inbox.Handlers, event: Event) -> None:
    """Have the service handle an event in a transaction, as its worker would; raises what the handler raises."""
    with database.transaction() as session:
        handlers[type(event)](session, event)
