from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import psycopg2
import pytest

from common.bus import Bus, open_bus
from common.bus.rabbitmq import RabbitMQBus
from common.db import Database
from common.provision import provision
from tests.common import toy
from tests.support.database import empty, environment, service_database

BUSES = ["postgres", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
database = service_database()


@pytest.fixture(scope="session")
def config(admin_database_url: str) -> toy.ToyConfig:
    settings = toy.ToyConfig.from_env(environment(admin_database_url, "toy"))
    provision(settings, admin_database_url)
    toy.create_tables(Database(settings))
    return settings


@pytest.fixture(params=BUSES)
def bus_config(request: pytest.FixtureRequest, config: toy.ToyConfig, database: Database) -> Iterator[toy.ToyConfig]:
    """The toy's settings with one bus after the other, its queue declared and empty."""
    chosen = config if request.param == "postgres" else replace(config, event_bus_url=rabbitmq_url())
    opened = open_bus(chosen.event_bus_url, "tests")
    opened.declare(chosen.queue, [each.name for each in toy.HANDLERS])
    yield chosen
    if isinstance(opened, RabbitMQBus):
        opened.remove(chosen.queue)
    else:
        empty_bus(config.event_bus_url)
    opened.close()
    empty(database)


def empty_bus(url: str) -> None:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE bus.message")
    connection.close()


@pytest.fixture
def bus(bus_config: toy.ToyConfig) -> Iterator[Bus]:
    opened = open_bus(bus_config.event_bus_url, "tests")
    yield opened
    opened.close()


def rabbitmq_url() -> str:
    return f"{os.environ['TEST_EVENT_BUS_URL']}?namespace=test-{uuid4().hex[:8]}"
