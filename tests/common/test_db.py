"""Connections of a process: how many, that nobody waits for them in a circle, and what is sent over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from sqlalchemy import text

from common.config import ServiceConfig
from common.db import Database, connection_settings
from tests.support.wire import Statements, through

ONE = text("SELECT 1")


@pytest.fixture
def statements(config: ServiceConfig) -> Iterator[tuple[Statements, Database]]:
    """What a database's user sends to the server, and the database."""
    with through(config.database_url) as (wire, url):
        database = Database(replace(config, database_url=url), pool_size=1)
        with database.transaction() as session:
            session.execute(ONE)
        yield wire, database
        database.close()


def test_who_holds_a_connection_gets_a_second_one_when_all_are_taken(config: ServiceConfig) -> None:
    database = Database(config, pool_size=1)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(database.transaction()).execute(ONE)
        with database.aside() as beside:
            assert beside.scalar(ONE) == 1
    database.close()


def test_a_read_sends_its_statement_and_nothing_else(statements: tuple[Statements, Database]) -> None:
    wire, database = statements
    with wire.seen() as told, database.read() as session:
        session.execute(ONE)
    assert told == ["SELECT 1"]


def test_a_transaction_on_the_connection_of_a_read_is_one_all_the_same(statements: tuple[Statements, Database]) -> None:
    wire, database = statements
    with database.read() as session:
        session.execute(ONE)
    with wire.seen() as told, database.session() as session:
        session.execute(ONE)
    assert told == ["BEGIN", "SELECT 1", "ROLLBACK"]
    with wire.seen() as told, database.transaction() as session:
        session.execute(ONE)
    assert told == ["BEGIN", "SELECT 1", "COMMIT"]


def test_another_isolation_level_is_refused(config: ServiceConfig) -> None:
    database = Database(config)
    with pytest.raises(ValueError, match="SERIALIZABLE"):
        database.engine.execution_options(isolation_level="SERIALIZABLE").connect()
    database.close()


def test_through_a_pooler_the_role_has_the_settings(config: ServiceConfig) -> None:
    """Which takes none from its clients: what connections are told otherwise, `provision` has told the role."""
    shown = text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)")
    told = []
    for direct_url in ("", config.database_url):
        database = Database(replace(config, database_direct_url=direct_url), pool_size=1)
        with database.read() as session:
            rows = session.execute(shown, {"names": [*connection_settings(config.schema), "TimeZone"]})
            told.append({row.name: row.setting.replace(" ", "") for row in rows})
        database.close()
    assert told[0] == told[1]
    assert told[0]["statement_timeout"] == "15000"
    assert told[0]["search_path"].startswith(config.schema)
