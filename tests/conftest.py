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


SERVERS = {"rabbitmq": ("TEST_EVENT_BUS_URL", "amqp"), "redis": ("TEST_REDIS_URL", "redis")}
"""By the marker of the tests that need one: the variable that names it, and how its address begins."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where a server is not offered, what needs it is not part of the run."""
    absent = [
        name for name, (variable, scheme) in SERVERS.items() if not os.environ.get(variable, "").startswith(scheme)
    ]
    without = [item for item in items if any(item.get_closest_marker(name) for name in absent)]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]
