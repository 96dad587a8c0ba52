"""Making one author, or one genre, of several: books follow, and whatever led to the others leads to the one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.orm import Session, aliased

from catalog_service.domain import announcements, ledger, named
from catalog_service.domain.books import write_author_names
from catalog_service.domain.named import Named
from catalog_service.models import Author, Book, FormerName
from common import outbox
from common.db import utcnow
from common.errors import Invalid, NotFound


def merge(session: Session, model: Named, id: UUID, duplicates: Sequence[UUID]) -> list[dict[str, Any]]:
    """Give the books of `duplicates` to `id` and remove those; what was removed. Raises NotFound or Invalid."""
    if id in duplicates:
        raise Invalid.field("duplicate_ids", "holds the one that is to stay")
    rows = _locked(session, model, [id, *duplicates])
    gone = [rows[duplicate] for duplicate in dict.fromkeys(duplicates)]
    books = _move_links(session, model, id, list(duplicates))
    session.execute(
        update(FormerName)
        .where(FormerName.kind == model.__tablename__, FormerName.target_id.in_(duplicates))
        .values(target_id=id)
    )
    session.execute(insert(FormerName), [_former(model, row, key, id) for row in gone for key in (row.slug, row.id)])
    session.execute(delete(model).where(model.id.in_(duplicates)))
    _tell(session, model, books)
    return [{"id": row.id, "name": row.name, "slug": row.slug} for row in gone]


def _locked(session: Session, model: Named, ids: Sequence[UUID]) -> dict[UUID, Any]:
    """All rows in id order, so that two who merge the same do not wait for each other. Raises NotFound or Invalid."""
    ordered = select(model.id, model.name, model.slug).where(model.id.in_(ids)).order_by(model.id).with_for_update()
    rows: dict[UUID, Any] = {row.id: row for row in session.execute(ordered)}
    if ids[0] not in rows:
        raise NotFound
    if missing := [str(id) for id in ids[1:] if id not in rows]:
        raise Invalid.field("duplicate_ids", f"there is no {model.__name__.lower()} {', '.join(missing)}")
    return rows


def _former(model: Named, row: Any, reference: Any, target: UUID) -> dict[str, Any]:
    return {"kind": model.__tablename__, "reference": str(reference), "target_id": target}


def _move_links(session: Session, model: Named, id: UUID, duplicates: list[UUID]) -> list[UUID]:
    """Each book is linked to the one that stays once, at the place of the first; the books that changed, locked."""
    link = named.link_of(model)
    entity = link.class_
    held = select(entity.book_id).where(link.in_(duplicates)).distinct()
    books = list(session.scalars(held))
    ledger.lock(session, books)
    other = aliased(entity)
    other_link = getattr(other, link.key)
    among = other_link.in_([id, *duplicates])
    first = exists().where(other.book_id == entity.book_id, among, _comes_before(model, other, entity, link.key))
    surplus = delete(entity).where(entity.book_id.in_(books), link.in_([id, *duplicates]), first)
    session.execute(surplus.execution_options(synchronize_session=False))
    moved = update(entity).where(link.in_(duplicates)).values({link.key: id})
    session.execute(moved.execution_options(synchronize_session=False))
    return books


def _comes_before(model: Named, other: Any, entity: Any, key: str) -> Any:
    column = "position" if model is Author else key
    return getattr(other, column) < getattr(entity, column)


def _tell(session: Session, model: Named, books: list[UUID]) -> None:
    if model is Author:
        write_author_names(session, books)
    else:
        edited = {"revision": Book.revision + 1, "version": Book.version + 1, "updated_at": utcnow()}
        written = update(Book).where(Book.id.in_(books)).values(edited)
        session.execute(written.execution_options(synchronize_session=False))
    session.expire_all()
    changed = session.scalars(select(Book).where(Book.id.in_(books)).order_by(Book.id))
    outbox.record_all(session, [announcements.changed(book) for book in changed])
