"""What authors and genres have in common: a name that is theirs alone, a slug that stays, and use by books."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, or_, select, text
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects.postgresql import TSQUERY, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog_service.domain.text import comparison_key, fingerprint, slug
from catalog_service.models import Author, Book, BookAuthor, BookGenre, FormerName, Genre, GenreCount
from common.errors import Conflict, Invalid, NotFound, Unavailable

Named = type[Author] | type[Genre]
Known = dict[str, tuple[UUID, str]]
"""Id and name by comparison key."""

ATTEMPTS = 10


class NameTaken(Conflict):
    code = "name_taken"


class StillUsed(Conflict):
    code = "still_used"


def link_of(model: Named) -> Any:
    """The column by which books refer to an author or a genre."""
    return BookAuthor.author_id if model is Author else BookGenre.genre_id


def listing(model: Named) -> Select[Any]:
    """Each with the number of books on sale."""
    used: Any = _books_of_author() if model is Author else _books_of_genre()
    return select(model.id, model.name, model.slug, used.label("book_count"))


def _books_of_author() -> ColumnElement[int]:
    """Counted one by one, for there are as many as somebody wrote."""
    written = select(func.count()).join_from(BookAuthor, Book)
    return written.where(BookAuthor.author_id == Author.id, Book.is_active).scalar_subquery()


def _books_of_genre() -> ColumnElement[int]:
    """A shelf may hold a good part of the catalogue: its last count, and what has come and gone since."""
    since = select(func.coalesce(func.sum(GenreCount.books), 0)).where(GenreCount.genre_id == Genre.id)
    return Genre.book_count + since.scalar_subquery()


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
    is_it: ColumnElement[bool]
    try:
        id = UUID(reference)
        is_it, reference = model.id == id, str(id)
    except ValueError:
        is_it = model.slug == reference
    wanted = or_(is_it, model.id.in_(_successor(session, model, reference)))
    row = session.execute(listing(model).where(wanted).order_by(is_it.desc()).limit(1)).one_or_none()
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
    """One that was merged into another may have its name again. Raises NameTaken."""
    key = comparison_key(name)
    made: Known = {}
    while not made:  # again when somebody else has just made one with the same slug
        _require_free(session, model, key)
        made = _make(session, model, {key: name})
    _take_back(session, model, key)
    return made[key][0]


def to_change(session: Session, model: Named, id: UUID) -> Author | Genre:
    """It as it is now, locked until the transaction ends; if an author, with the books. Raises NotFound."""
    lock(session, model, [id], books_of=[id] if model is Author else [])
    row = cast(Author | Genre | None, session.get(model, id, populate_existing=True))
    if row is None:
        raise NotFound
    return row


def rename(session: Session, row: Author | Genre, name: str) -> bool:
    """Give it another name; False when it had this one. Its slug stays. Raises NameTaken."""
    if row.name == name:
        return False
    key = comparison_key(name)
    if key != row.key:
        _require_free(session, type(row), key)
        _take_back(session, type(row), key)
    row.name, row.key = name, key
    _flush_name(session, type(row))
    return True


def delete(session: Session, row: Author | Genre) -> None:
    """Names that were merged into it lead nowhere then. Raises StillUsed while books have it, sold or not."""
    model = type(row)
    link = link_of(model)
    if session.scalar(select(link).where(link == row.id).limit(1)):
        raise StillUsed(f"Books still have this {model.__name__.lower()}.")
    formerly_others = FormerName.kind.in_([model.__tablename__, key_kind(model)]), FormerName.target_id == row.id
    session.execute(sql_delete(FormerName).where(*formerly_others))
    session.delete(row)
    session.flush()


def lock(
    session: Session, model: Named, ids: Sequence[UUID], *, books_of: Sequence[UUID]
) -> tuple[dict[UUID, Any], list[UUID]]:
    """Those of these that there are, and the ids of the books that have one of `books_of`: all locked.

    Books before names, and each in the order of their ids, as for whoever writes a book. Which books these are is only
    certain once the names are locked: if somebody is writing another one by then, all are let go and it is tried again.
    """
    rows = select(model.id, model.name, model.slug, model.key).where(model.id.in_(ids)).order_by(model.id)
    link = link_of(model)
    links = select(link.class_.book_id).where(link.in_(books_of))
    books = select(Book.id).order_by(Book.id)
    for _ in range(ATTEMPTS):
        with session.begin_nested() as attempt:
            held = set(session.scalars(books.where(Book.id.in_(links)).with_for_update())) if books_of else set()
            found = {row.id: row for row in session.execute(rows.with_for_update())}
            later = set(session.scalars(links)) - held if books_of else set()
            if later:
                held |= set(session.scalars(books.where(Book.id.in_(later)).with_for_update(skip_locked=True)))
            if later <= held:
                return found, list(held)
            attempt.rollback()
    raise Unavailable("Its books are just being written; try again.")


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


def by_names(session: Session, model: Named, names: Iterable[str]) -> Known:
    """Id and name by comparison key, of as many as there are names; those that are new are made.

    The name of one that was merged is that of the one that stayed.
    """
    wanted: dict[str, str] = {}
    for name in names:
        wanted.setdefault(comparison_key(name), name)
    found = _known(session, model, wanted)
    found |= _known(session, model, wanted.keys() - found.keys())  # what was merged while its lock was waited for
    while missing := {key: name for key, name in wanted.items() if key not in found}:
        found |= _make(session, model, missing)
        found |= _known(session, model, missing.keys() - found.keys())  # somebody else's, made in the meantime
    return found


def _make(session: Session, model: Named, names: dict[str, str]) -> Known:
    """Those of which nobody else has made the key or the slug, in a few statements.

    Without RETURNING it would be one statement for each.
    """
    slugs = _free_slugs(session, model, names)
    # In one order for everybody, so that two who make the same names do not wait for each other.
    ordered = sorted(names, key=lambda key: (slug(names[key]), key))
    rows = [{"name": names[key], "key": key, "slug": slugs[key]} for key in ordered]
    made = insert(model).on_conflict_do_nothing().returning(model.key, model.id, model.name)
    return {row.key: (row.id, row.name) for row in session.execute(made, rows)}


def _known(session: Session, model: Named, keys: Collection[str]) -> Known:
    """Those that there are, by their own key or one that was merged into them."""
    if not keys:
        return {}
    merged = select(FormerName.reference, FormerName.target_id).where(
        FormerName.kind == key_kind(model), FormerName.reference.in_(list(keys))
    )
    targets = {row.reference: row.target_id for row in session.execute(merged)}
    wanted = or_(model.key.in_(list(keys)), model.id.in_(list(targets.values())))
    rows = session.execute(_kept(select(model.key, model.id, model.name).where(wanted).order_by(model.id))).all()
    by_id = {row.id: (row.id, row.name) for row in rows}
    found = {key: by_id[id] for key, id in targets.items() if id in by_id}
    return found | {row.key: by_id[row.id] for row in rows if row.key in keys}


def key_kind(model: Named) -> str:
    """The kind of FormerName that is the comparison key of a name."""
    return f"{model.__tablename__}.key"


def _take_back(session: Session, model: Named, key: str) -> None:
    merged = FormerName.kind == key_kind(model), FormerName.reference == key
    session.execute(sql_delete(FormerName).where(*merged))


def _free_slugs(session: Session, model: Named, names: dict[str, str]) -> dict[str, str]:
    """A slug for each key: the plain one where it is free, else with a piece of a hash."""
    chosen: dict[str, str] = {}
    for attempt in count():
        wanted = {key: _slug(key, name, attempt) for key, name in names.items() if key not in chosen}
        if not wanted:
            break
        taken = _taken_slugs(session, model, wanted.values()).union(chosen.values())
        for key, candidate in wanted.items():
            if candidate not in taken:
                chosen[key] = candidate
                taken.add(candidate)
    return chosen


def _slug(key: str, name: str, attempt: int) -> str:
    if attempt == 0:
        return slug(name)
    return f"{slug(name)}-{fingerprint(key if attempt == 1 else f'{key} {attempt}', 8)}"


def _taken_slugs(session: Session, model: Named, slugs: Collection[str]) -> set[str]:
    """Those that lead to one of them, now or since a merge."""
    former = FormerName.kind == model.__tablename__, FormerName.reference.in_(slugs)
    both = select(model.slug).where(model.slug.in_(slugs)).union(select(FormerName.reference).where(*former))
    return set(session.scalars(both))


def _require_free(session: Session, model: Named, key: str) -> None:
    if session.scalar(select(model.id).where(model.key == key)):
        raise NameTaken(f"There is such a {model.__name__.lower()} already.")


def _flush_name(session: Session, model: Named) -> None:
    try:
        session.flush()
    except IntegrityError:
        raise NameTaken(f"There is such a {model.__name__.lower()} already.") from None
