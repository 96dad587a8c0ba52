"""The migrations make the tables that the models describe, and can be undone."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from auth_service.config import AuthConfig
from auth_service.models import Base
from common.db import Database
from common.migrations import downgrade, upgrade
from tests.support.database import environment, fresh_database, install

OWN = {*Base.metadata.tables}


def test_the_schema_is_what_the_models_say(database: Database) -> None:
    def is_own(_object: object, name: str | None, kind: str, _reflected: bool, _against: object) -> bool:
        return kind != "table" or name in OWN

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_own, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_step_can_be_undone(admin_database_url: str) -> None:
    with fresh_database(admin_database_url) as url:
        config = AuthConfig.from_env(environment(url, "auth", KEY_ENCRYPTION_KEY="only-in-tests-" * 4))
        install(config, url)
        downgrade(config, "base")
        upgrade(config)
