"""The whole store as real processes: once on each bus."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from devstack.tcp_proxy import TcpProxy
from tests.support.database import fresh_database
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack

BUSES = ["postgres", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]


@pytest.fixture(scope="session", params=BUSES)
def bus(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def broker(bus: str) -> Iterator[TcpProxy | None]:
    """The way to the broker, which can be cut; there is none where the database is the bus."""
    if bus == "postgres":
        yield None
        return
    address = urlsplit(os.environ["TEST_EVENT_BUS_URL"])
    proxy = TcpProxy(address.hostname or "127.0.0.1", address.port or 5672)
    yield proxy
    proxy.cut()


@pytest.fixture(scope="session")
def store(postgres_url: str, broker: TcpProxy | None) -> Iterator[Stack]:
    """Every process, with its events on this bus."""
    with fresh_database(postgres_url) as admin_url, Stack(admin_url, _through(broker)) as stack:
        stack.admin_url = admin_url  # type: ignore[attr-defined]
        yield stack


def _through(broker: TcpProxy | None) -> str | None:
    if broker is None:
        return None
    address = urlsplit(os.environ["TEST_EVENT_BUS_URL"])
    login = address.netloc.rpartition("@")[0]
    return urlunsplit(address._replace(netloc=f"{login}@127.0.0.1:{broker.port}"))


@pytest.fixture(scope="session")
def admin(store: Stack) -> Staff:
    account = store.accounts["admin"]
    return Staff.sign_in(store.gateway, account.email, account.password)


@pytest.fixture
def buyer(store: Stack) -> Person:
    return Person.register(store.gateway)


Query = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def query(store: Stack) -> Query:
    """Look into the store's database as its administrator, who may see all schemas."""

    def run(statement: str, *values: Any) -> list[Any]:
        connection = psycopg2.connect(store.admin_url)  # type: ignore[attr-defined]
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        finally:
            connection.close()

    return run


@pytest.fixture(autouse=True)
def logs_when_it_fails(request: pytest.FixtureRequest, store: Stack) -> Iterator[None]:
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        print(store.logs())  # noqa: T201 - pytest shows it below the failure
