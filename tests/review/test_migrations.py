"""The migrations make the tables that the models describe."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from common.db import Database
from common.ids import new_id
from review_service.domain import views
from review_service.models import Base

OWN = {*Base.metadata.tables}


def test_the_schema_is_what_the_models_say(database: Database) -> None:
    def is_own(_object: object, name: str | None, kind: str, _reflected: bool, _against: object) -> bool:
        return kind != "table" or name in OWN

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_own, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_list_is_read_along_an_index(database: Database) -> None:
    """A page costs the same wherever it is, since it need not be sorted."""
    with database.read() as session:
        session.execute(text("SET enable_seqscan = off"))
        session.execute(text("SET enable_sort = off"))
        for sort in ("newest", "helpful", "rating"):
            for book_id in (None, new_id()):
                statement = views.statement(book_id=book_id).order_by(*(key.column.desc() for key in views.order(sort)))
                compiled = statement.limit(20).compile(session.connection(), compile_kwargs={"literal_binds": True})
                plan = "\n".join(session.scalars(text(f"EXPLAIN {compiled}".replace(":", "\\:"))))
                assert "Sort" not in plan, plan
        session.execute(text("RESET ALL"))
