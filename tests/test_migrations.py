"""Each service's migrations make the tables that its models describe, and can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from auth_service import models as auth
from auth_service.config import AuthConfig
from catalog_service import models as catalog
from catalog_service.config import CatalogConfig
from common.config import ServiceConfig
from common.db import Database
from common.migrations import downgrade, upgrade
from order_service import models as orders
from order_service.config import OrderConfig
from review_service import models as reviews
from review_service.config import ReviewConfig
from tests.support.database import environment, fresh_database, install

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
