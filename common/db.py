"""The database of a service: its engine, the session of a request, and what all its tables share.

One transaction per request, opened and committed here; the domain flushes but never commits. Pure reads run
in autocommit, which spares them BEGIN and COMMIT.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import cast

import psycopg2
from flask import current_app, g, has_request_context, request
from sqlalchemy import DateTime, Engine, MetaData, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.orm import Session, registry, sessionmaker
from werkzeug.local import LocalProxy

from common.config import ServiceConfig
from common.dialect import AUTOCOMMIT, DRIVER
from common.failpoints import reach

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 5_000

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def model_registry() -> registry:
    """What a service's declarative base is built on: `class Base(DeclarativeBase): registry = model_registry()`.

    Tables name no schema: the connection's search_path is the service's schema.
    """
    return registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION),
        type_annotation_map={datetime: DateTime(timezone=True)},
    )


def utcnow() -> datetime:
    return datetime.now(UTC)


def psycopg2_url(url: str) -> URL:
    """The URL with its driver named: a bare postgresql:// may mean another driver to SQLAlchemy."""
    return make_url(url).set(drivername="postgresql+psycopg2")


class Database:
    """The connections of one process to its service's schema."""

    def __init__(self, config: ServiceConfig, *, pool_size: int | None = None) -> None:
        self.config = config
        self.url = psycopg2_url(config.database_url)
        self.direct_url = psycopg2_url(config.database_direct_url or config.database_url)
        """For what a pooler cannot pass on: being notified, and locks of a session."""
        self.engine = self._open_engine(pool_size or config.web_connections)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        autocommit = self.engine.execution_options(isolation_level=AUTOCOMMIT)
        self._readers = sessionmaker(autocommit, expire_on_commit=False)

    def _open_engine(self, pool_size: int) -> Engine:
        return open_engine(
            self.url,
            schema=self.config.schema,
            application_name=self.config.service,
            pool_size=pool_size,
            max_overflow=2,
            pool_timeout=10,
            pool_recycle=1800,
            is_pooled=bool(self.config.database_direct_url),
        )

    def session(self, *, read_only: bool = False) -> Session:
        return self._readers() if read_only else self._sessions()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits when the block ends and rolls back when it raises."""
        with self._sessions.begin() as opened:
            yield opened

    @contextmanager
    def aside(self) -> Iterator[Session]:
        """As `transaction`, for who holds a connection already.

        It has connections of its own: where a request may take a second one from those that all others want a first
        one of, they end up waiting for each other.
        """
        with Session(self._aside, expire_on_commit=False) as opened, opened.begin():
            yield opened

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reads only, in autocommit."""
        with self._readers() as opened:
            yield opened

    def ping(self) -> None:
        """Raises sqlalchemy.exc.OperationalError when the database cannot be reached."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def ping_aside(self) -> None:
        """As `ping`, for who must not wait for the connections that requests use."""
        with self._aside.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()
        if "_aside" in self.__dict__:
            self._aside.dispose()

    @cached_property
    def _aside(self) -> Engine:
        return self._open_engine(1)


def open_engine(url: URL, *, schema: str, application_name: str, is_pooled: bool = False, **pool: int) -> Engine:
    """Connections that see `schema`. Their errors tell no values of rows: they end in logs, and rows hold addresses.

    `is_pooled`: a pooler stands between, which takes no settings; there the role has them from `provision`.
    """
    options = {} if is_pooled else {"options": connection_options(schema)}
    engine = create_engine(
        url.set(drivername=DRIVER),
        hide_parameters=True,
        skip_autocommit_rollback=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": application_name,
            **options,
        },
        **pool,
    )
    event.listen(engine, "handle_error", _shorten)
    return engine


def _shorten(context: ExceptionContext) -> None:
    error = context.original_exception
    if isinstance(error, psycopg2.Error) and error.diag.message_detail:
        told = f"{error.diag.message_primary} ({error.pgcode})"
        error.args = (told,)
        if context.sqlalchemy_exception:
            context.sqlalchemy_exception.args = (told,)


def connection_settings(schema: str) -> dict[str, list[str]]:
    """Settings of Postgres that every connection of a service has; each a list of values."""
    return {
        "search_path": [schema, "public"],
        "timezone": ["UTC"],
        "jit": ["off"],
        "random_page_cost": ["1.1"],
        "statement_timeout": [str(STATEMENT_TIMEOUT_MS)],
        "lock_timeout": [str(LOCK_TIMEOUT_MS)],
        "idle_in_transaction_session_timeout": ["60000"],
    }


def connection_options(schema: str) -> str:
    return " ".join(f"-c{name}={','.join(values)}" for name, values in connection_settings(schema).items())


def current_database() -> Database:
    return cast(Database, current_app.extensions["database"])


def _request_session() -> Session:
    if "session" not in g:
        read_only = has_request_context() and request.method in READ_METHODS
        g.session = current_database().session(read_only=read_only)
    return cast(Session, g.session)


session: Session = cast(Session, LocalProxy(_request_session))
"""The session of the request being answered."""


@contextmanager
def transaction() -> Iterator[Session]:
    """A transaction of its own inside a request, committed when the block ends.

    For the few requests that must not hold one open while they wait for somebody else.
    """
    with current_database().transaction() as opened:
        yield opened
        reach("request.before_commit")
    reach("request.after_commit")


def end_request_session(*, commit: bool) -> None:
    """Commit or roll back what the request did, if it used the database at all."""
    opened: Session | None = g.pop("session", None)
    if opened is None:
        return
    try:
        if commit:
            reach("request.before_commit")
            opened.commit()
            reach("request.after_commit")
        else:
            opened.rollback()
    finally:
        opened.close()


def notify(session: Session, channel: str, payload: str = "") -> None:
    """Wake whoever listens to `channel` of this service, once the transaction has committed."""
    session.execute(
        text("SELECT pg_notify(current_schema() || '_' || :channel, :payload)"),
        {"channel": channel, "payload": payload},
    )
