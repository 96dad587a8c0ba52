"""What authors and genres have in common: a name that is theirs alone, a slug that stays, and use by books."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, or_, select, text
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects.postgresql import TSQUERY, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog_service.domain.text import comparison_key, fingerprint, slug
from catalog_service.models import Author, Book, BookAuthor, BookGenre, FormerName, Genre
from common.errors import Conflict, Invalid, NotFound

Named = type[Author] | type[Genre]


class NameTaken(Conflict):
    code = "name_taken"


class StillUsed(Conflict):
    code = "still_used"


def link_of(model: Named) -> Any:
    """The column by which books refer to an author or a genre."""
    return BookAuthor.author_id if model is Author else BookGenre.genre_id


def listing(model: Named) -> Select[Any]:
    """Each with the number of books on sale."""
    link = link_of(model)
    used = (
        select(func.count())
        .select_from(link.table.join(Book.__table__, Book.id == link.table.c.book_id))
        .where(link == model.id, Book.is_active)
        .scalar_subquery()
    )
    return select(model.id, model.name, model.slug, used.label("book_count"))


def search(model: Named, words: str | None) -> Select[Any]:
    """Those with these words in their name, the last of which may be unfinished."""
    if not words:
        return listing(model)
    indexed = func.to_tsvector(text("'simple'::regconfig"), func.search_text(model.name))
    return listing(model).where(indexed.op("@@")(func.search_query(words, type_=TSQUERY)))


def document(row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "slug": row.slug, "book_count": row.book_count}


def find(session: Session, model: Named, reference: str) -> dict[str, Any]:
    """One by id or slug, or by one of those that were merged into it. Raises NotFound."""
    condition: ColumnElement[bool]
    try:
        id = UUID(reference)
        condition = model.id.in_([id, *_successor(session, model, str(id))])
    except ValueError:
        condition = or_(model.slug == reference, model.id.in_(_successor(session, model, reference)))
    row = session.execute(listing(model).where(condition)).one_or_none()
    if row is None:
        raise NotFound
    return document(row)


def current(session: Session, model: Named, id: UUID) -> dict[str, Any]:
    """That one and no successor of it. Raises NotFound."""
    row = session.execute(listing(model).where(model.id == id)).one_or_none()
    if row is None:
        raise NotFound
    return document(row)


def _successor(session: Session, model: Named, reference: str) -> list[Any]:
    return list(session.scalars(formerly(model, [reference])))


def formerly(model: Named, references: Sequence[str]) -> Select[UUID]:
    """The ids of those that others, with these slugs or ids, were merged into."""
    kind = FormerName.kind == model.__tablename__
    return select(FormerName.target_id).where(kind, FormerName.reference.in_(references))


def ids(session: Session, model: Named, slugs: Sequence[str]) -> list[UUID]:
    """Of those with these slugs, now or before they were merged."""
    current = select(model.id).where(model.slug.in_(slugs))
    return list(session.scalars(current.union(formerly(model, slugs))))


def create(session: Session, model: Named, name: str) -> UUID:
    """Raises NameTaken."""
    key = comparison_key(name)
    _require_free(session, model, key)
    made = model(name=name, key=key, slug=_free_slugs(session, model, {key: name})[key])
    session.add(made)
    _flush_name(session, model)
    return made.id


def rename(session: Session, model: Named, id: UUID, name: str) -> bool:
    """Give it another name; False when it had this one. Its slug stays. Raises NotFound or NameTaken."""
    row = _lock(session, model, id)
    if row.name == name:
        return False
    key = comparison_key(name)
    if key != row.key:
        _require_free(session, model, key)
    row.name, row.key = name, key
    _flush_name(session, model)
    return True


def delete(session: Session, model: Named, id: UUID) -> None:
    """Raises NotFound, or StillUsed while books have it, sold or not."""
    row = _lock(session, model, id)
    link = link_of(model)
    if session.scalar(select(link).where(link == id).limit(1)):
        raise StillUsed(f"Books still have this {model.__name__.lower()}.")
    session.execute(sql_delete(FormerName).where(FormerName.kind == model.__tablename__, FormerName.target_id == id))
    session.delete(row)
    session.flush()


def _lock(session: Session, model: Named, id: UUID) -> Author | Genre:
    row = cast(Author | Genre | None, session.get(model, id, with_for_update=True, populate_existing=True))
    if row is None:
        raise NotFound
    return row


def require_ids(session: Session, model: Named, field: str, ids: Sequence[UUID]) -> list[tuple[UUID, str]]:
    """Id and name of each, in the given order; none is merged or removed before this transaction ends.

    Raises Invalid when one does not exist.
    """
    found = select(model.id, model.name).where(model.id.in_(ids)).order_by(model.id)
    names = {row.id: row.name for row in session.execute(_kept(found))} if ids else {}
    if missing := [str(id) for id in ids if id not in names]:
        raise Invalid.field(field, f"there is no {model.__name__.lower()} {', '.join(missing)}")
    return [(id, names[id]) for id in ids]


def _kept(rows: Any) -> Any:
    """Locked as a reference to them would lock them: a merge or removal at the same time is waited for first."""
    return rows.with_for_update(read=True, key_share=True)


def by_names(session: Session, model: Named, names: Iterable[str]) -> dict[str, tuple[UUID, str]]:
    """Id and name by comparison key, of as many as there are names; those that are new are made."""
    wanted: dict[str, str] = {}
    for name in names:
        wanted.setdefault(comparison_key(name), name)
    found = _by_keys(session, model, wanted)
    if missing := {key: name for key, name in wanted.items() if key not in found}:
        slugs = _free_slugs(session, model, missing)
        # In one order for everybody, so that two who make the same names do not wait for each other.
        rows = [{"name": name, "key": key, "slug": slugs[key]} for key, name in sorted(missing.items())]
        found |= _make(session, model, rows)
        found |= _by_keys(session, model, missing.keys() - found.keys())  # somebody else's, made in the meantime
    return found


def _make(session: Session, model: Named, rows: list[dict[str, str]]) -> dict[str, tuple[UUID, str]]:
    """Those of the rows that nobody else makes, in a few statements: without RETURNING it would be one for each."""
    made = insert(model).on_conflict_do_nothing(index_elements=["key"])
    found = session.execute(made.returning(model.key, model.id, model.name), rows)
    return {row.key: (row.id, row.name) for row in found}


def _by_keys(session: Session, model: Named, keys: Collection[str]) -> dict[str, tuple[UUID, str]]:
    if not keys:
        return {}
    found = select(model.key, model.id, model.name).where(model.key.in_(list(keys))).order_by(model.id)
    rows = session.execute(_kept(found))
    return {row.key: (row.id, row.name) for row in rows}


def _free_slugs(session: Session, model: Named, names: dict[str, str]) -> dict[str, str]:
    """A slug for each key: the plain one where it is free, else with a piece of the key's hash."""
    plain = {key: slug(name) for key, name in names.items()}
    taken = set(session.scalars(select(model.slug).where(model.slug.in_(plain.values()))))
    former = FormerName.kind == model.__tablename__, FormerName.reference.in_(plain.values())
    taken |= set(session.scalars(select(FormerName.reference).where(*former)))
    chosen = {}
    for key, candidate in plain.items():
        chosen[key] = f"{candidate}-{fingerprint(key, 8)}" if candidate in taken else candidate
        taken.add(candidate)
    return chosen


def _require_free(session: Session, model: Named, key: str) -> None:
    if session.scalar(select(model.id).where(model.key == key)):
        raise NameTaken(f"There is such a {model.__name__.lower()} already.")


def _flush_name(session: Session, model: Named) -> None:
    try:
        session.flush()
    except IntegrityError:
        raise NameTaken(f"There is such a {model.__name__.lower()} already.") from None
