"""Making one author, or one genre, of several: books follow, and whatever led to the others leads to the one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from catalog_service.domain import named
from catalog_service.domain.books import write_author_names
from catalog_service.domain.named import Named
from catalog_service.models import Author, FormerName
from common.errors import Invalid, NotFound


def merge(session: Session, model: Named, id: UUID, duplicates: Sequence[UUID]) -> list[dict[str, Any]]:
    """Give the books of `duplicates` to `id` and remove those; what was removed. Raises NotFound or Invalid.

    No other service is told of the books: what they are told says nothing of authors and genres.
    """
    if id in duplicates:
        raise Invalid.field("duplicate_ids", "holds the one that is to stay")
    rows, books = named.lock(session, model, [id, *duplicates], books_of=duplicates)
    _require_all(model, rows, id, duplicates)
    gone = [rows[duplicate] for duplicate in dict.fromkeys(duplicates)]
    _move_links(session, model, id, list(duplicates))
    if model is Author:
        write_author_names(session, books)
    _lead(session, model, gone, id)
    session.execute(delete(model).where(model.id.in_(duplicates)))
    return [{"id": row.id, "name": row.name, "slug": row.slug} for row in gone]


def _require_all(model: Named, rows: dict[UUID, Any], id: UUID, duplicates: Sequence[UUID]) -> None:
    if id not in rows:
        raise NotFound
    if missing := [str(each) for each in duplicates if each not in rows]:
        raise Invalid.field("duplicate_ids", f"there is no {model.__name__.lower()} {', '.join(missing)}")


def _lead(session: Session, model: Named, gone: Sequence[Any], target: UUID) -> None:
    """Have all that led to those that are gone, their names included, lead to the one that stays."""
    plain, by_key = model.__tablename__, named.key_kind(model)
    chained = FormerName.kind.in_([plain, by_key]), FormerName.target_id.in_([row.id for row in gone])
    session.execute(update(FormerName).where(*chained).values(target_id=target))
    references = [(plain, row.slug) for row in gone] + [(plain, str(row.id)) for row in gone]
    references += [(by_key, row.key) for row in gone]
    former = insert(FormerName).on_conflict_do_update(index_elements=["kind", "reference"], set_={"target_id": target})
    rows = [{"kind": kind, "reference": reference, "target_id": target} for kind, reference in references]
    session.execute(former, rows)


def _move_links(session: Session, model: Named, id: UUID, duplicates: list[UUID]) -> None:
    """Each book is linked to the one that stays once, at the place of the first."""
    link = named.link_of(model)
    entity = link.class_
    other = aliased(entity)
    other_link = getattr(other, link.key)
    among = other_link.in_([id, *duplicates])
    first = exists().where(other.book_id == entity.book_id, among, _comes_before(model, other, entity, link.key))
    surplus = delete(entity).where(link.in_([id, *duplicates]), first)
    session.execute(surplus.execution_options(synchronize_session=False))
    moved = update(entity).where(link.in_(duplicates)).values({link.key: id})
    session.execute(moved.execution_options(synchronize_session=False))


def _comes_before(model: Named, other: Any, entity: Any, key: str) -> Any:
    column = "position" if model is Author else key
    return getattr(other, column) < getattr(entity, column)
