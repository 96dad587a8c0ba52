"""One Postgres server for the run, and one database of its own for each test process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.database import fresh_database, postgres_server

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # that something else was running is no fault of what is tested


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """An administrator's URL of a real Postgres server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def admin_database_url(postgres_url: str) -> Iterator[str]:
    """An administrator's URL of an empty database, which is dropped after the run."""
    with fresh_database(postgres_url) as url:
        yield url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where no broker is offered, what needs one is not part of the run."""
    if os.environ.get("TEST_EVENT_BUS_URL", "").startswith("amqp"):
        return
    without = [item for item in items if item.get_closest_marker("rabbitmq")]
    config.hook.pytest_deselected(items=without)
    items[:] = [item for item in items if item not in without]
