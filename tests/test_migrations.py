"""Each service's migrations make the tables that its models describe, and can be undone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from auth_service import models as auth
from auth_service.config import AuthConfig
from catalog_service import models as catalog
from catalog_service.config import CatalogConfig
from common.config import ServiceConfig
from common.db import Database
from common.migrations import await_schema, downgrade, upgrade
from common.provision import provision
from order_service import models as orders
from order_service.config import OrderConfig
from review_service import models as reviews
from review_service.config import ReviewConfig
from tests.support.database import environment, fresh_database, install

ROOT = Path(__file__).parents[1]
SERVICES: list[tuple[type[ServiceConfig], Any]] = [
    (AuthConfig, auth.Base),
    (CatalogConfig, catalog.Base),
    (OrderConfig, orders.Base),
    (ReviewConfig, reviews.Base),
]


@pytest.fixture(params=SERVICES, ids=lambda service: service[0].service)
def migrated(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[tuple[ServiceConfig, Any]]:
    """A service's settings with its freshly migrated schema, and its models."""
    config_type, base = request.param
    with fresh_database(postgres_url) as url:
        config = config_type.from_env(environment(url, config_type.schema, KEY_ENCRYPTION_KEY="only-in-tests-" * 4))
        install(config, url)
        yield config, base.metadata


def test_the_schema_is_what_the_models_say(migrated: tuple[ServiceConfig, Any]) -> None:
    config, models = migrated

    def is_own(_object: object, name: str | None, kind: str, _reflected: bool, _against: object) -> bool:
        """Indexes for similarity need an extension, and models describe what is there without it as well."""
        if kind == "index":
            return not str(name).endswith("_similar")
        return kind != "table" or name in models.tables

    database = Database(config)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_own, "compare_type": True})
        assert compare_metadata(context, models) == []
    database.close()


def test_every_step_can_be_undone(migrated: tuple[ServiceConfig, Any]) -> None:
    config, _ = migrated
    downgrade(config, "base")
    upgrade(config)


@pytest.fixture
def bare(postgres_url: str) -> Iterator[dict[str, str]]:
    """The environment of a service that has its place in the database, and no tables yet."""
    with fresh_database(postgres_url) as url:
        settings = environment(url, ReviewConfig.schema)
        provision(ReviewConfig.from_env(settings), url)
        yield settings


def test_three_that_migrate_at_once_end_well(bare: dict[str, str]) -> None:
    command, settings = [sys.executable, "-m", "review_service", "migrate"], {"PATH": os.environ["PATH"], **bare}
    started = [subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE) for _ in range(3)]
    for each in started:
        _, complaint = each.communicate(timeout=120)
        assert each.returncode == 0, complaint.decode()[-2000:]


def test_an_older_release_leaves_a_newer_schema_as_it_is(bare: dict[str, str]) -> None:
    config = ReviewConfig.from_env(bare)
    assert not await_schema(config, 0.2, pause=0.1), "there is none"
    upgrade(config, "0001")
    assert not await_schema(config, 0.2, pause=0.1), "it is not there yet"
    assert upgrade(config)
    assert await_schema(config, 5)
    database = Database(config)
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    assert not upgrade(config)
    assert await_schema(config, 5)
