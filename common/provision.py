"""Making room for a service on a Postgres server: its role and its schema, by an administrator's connection."""

from __future__ import annotations

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor
from sqlalchemy.engine import URL, make_url

from common.bus import postgres as postgres_bus
from common.config import ServiceConfig
from common.db import connection_settings


def provision(config: ServiceConfig, admin_url: str) -> None:
    """Create or update the role and schema of `config`, and those of the bus where it is on Postgres too.

    The administrator's role must be a superuser, or hold CREATEROLE and CREATE on the database.
    """
    url = make_url(admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('provision'))")
            _make_room(cursor, make_url(config.database_url), config.schema)
            for extension in config.extensions:
                _try_extension(cursor, extension)
            bus = make_url(config.event_bus_url)
            if bus.drivername.startswith("postgres"):
                _make_room(cursor, bus, postgres_bus.SCHEMA)
    finally:
        connection.close()


def _make_room(cursor: cursor, url: URL, schema: str) -> None:
    role, password = sql.Identifier(url.username or schema), sql.Literal(url.password)
    cursor.execute("SELECT current_database()")
    database = sql.Identifier(cursor.fetchone()[0])  # type: ignore[index]
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [url.username or schema])
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, password))
    cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = current_user AND NOT rolsuper")
    if cursor.fetchone():
        cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    for setting, values in connection_settings(schema).items():  # for connections through a pooler
        told = sql.SQL(", ").join(map(sql.Literal, values))
        cursor.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(role, database, sql.Identifier(setting), told)
        )
    name = sql.Identifier(schema)
    cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(name, role))
    cursor.execute(sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(name))


def _try_extension(cursor: cursor, name: str) -> None:
    """Create it where the server has it and the administrator may; services do without otherwise."""
    cursor.execute("SAVEPOINT extension")
    try:
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public")
        cursor.execute(statement.format(sql.Identifier(name)))
    except psycopg2.Error:
        cursor.execute("ROLLBACK TO SAVEPOINT extension")
