"""How SQLAlchemy speaks to Postgres here: switching autocommit on and off sends nothing to the server."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

DRIVER = "postgresql+psycopg2_flag"
AUTOCOMMIT = "AUTOCOMMIT"


class FlagDialect(PGDialect_psycopg2):
    """psycopg2 with its `autocommit` flag, which only it looks at.

    Its `set_isolation_level`, which SQLAlchemy calls, has the server told `SET default_transaction_isolation`
    before and after every read. Only the server's default level and autocommit are used in this project.
    """

    supports_statement_cache = True

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        if level not in (AUTOCOMMIT, self.default_isolation_level):
            raise ValueError(f"isolation level {level} is not used here")
        dbapi_connection.autocommit = level == AUTOCOMMIT


registry.register("postgresql.psycopg2_flag", FlagDialect.__module__, FlagDialect.__name__)
