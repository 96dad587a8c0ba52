"""How many of the books that a search finds are by which author, on which shelf, and so on.

In a large catalogue, of more than SAMPLE books so many are counted and the rest is estimated. They are those with the
lowest hashes of their ids, which is a fair sample; and how far up the hashes they reach tells of how many they are one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    String,
    case,
    cast,
    func,
    literal,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from catalog_service.domain import planner
from catalog_service.domain.search import Filters, conditions, first
from catalog_service.models import Author, Book, BookAuthor, BookGenre, Genre

NAMES = ("genre", "author", "publisher", "language", "format", "in_stock", "price", "rating")
PRICE_BANDS = (5, 10, 20, 50)
MOST_VALUES = 20
SAMPLE = 4_000
LARGE = 30_000
"""So many books make a catalogue a large one; in others every count is exact."""
HASHES = 2**32
SIGNIFICANT_DIGITS = 2


def count(session: Session, filters: Filters) -> dict[str, Any]:
    """`facets`: the most frequent values of each, with the value to filter by, its name and its count.

    `facets_estimated`: whether the counts are estimates.
    """
    sample = SAMPLE if planner.number_of_books(session) > LARGE else None
    found = _found(session, filters, sample)
    facets: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    rows = session.execute(union_all(_reach(found), *(select(part.subquery()) for part in _parts(found)))).all()
    reach, counted = rows[0], rows[1:]
    is_estimated = reach[3] == sample
    share = (int(reach.value) + HASHES // 2 + 1) / HASHES if is_estimated else 1.0
    for row in counted:
        facets[row.facet].append({"value": row.value, "name": row.name, "count": _whole(row[3], share)})
    return {"facets": facets, "facets_estimated": is_estimated}


def _whole(counted: int, share: float) -> int:
    """Of all books, when so many were counted in this share of them; not told more exactly than it is known."""
    return counted if share == 1.0 else int(float(f"{counted / share:.{SIGNIFICANT_DIGITS}g}"))


def _found(session: Session, filters: Filters, sample: int | None) -> CTE:
    columns = {
        "id": Book.id,
        "publisher": Book.publisher,
        "language": Book.language,
        "format": Book.format,
        "in_stock": Book.on_hand > Book.reserved,
        "price": _price_band(),
        "rating": cast(func.floor(Book.rating_average), Integer),
        "place": func.uuid_hash(Book.id, type_=Integer),
    }
    found: Any = select(*(column.label(name) for name, column in columns.items())).where(*conditions(filters))
    if sample is not None:
        found = first(session, filters, columns, ["place", "id"], sample)
    return found.cte("found").prefix_with("MATERIALIZED", dialect="postgresql")


def _reach(found: CTE) -> Any:
    """How many there are in the sample, and how far it reaches."""
    last, name = cast(func.max(found.c.place), String), cast(null(), String)
    return select(literal("reach").label("facet"), last.label("value"), name.label("name"), func.count().label("count"))


def _parts(found: CTE) -> list[Select[Any]]:
    return [
        _of_links(found, "genre", BookGenre.genre_id, Genre, Genre.slug),
        _of_links(found, "author", BookAuthor.author_id, Author, cast(Author.id, String)),
        *(_of_column(name, found.c[name]) for name in ("publisher", "language", "format")),
        *(_of_column(name, cast(found.c[name], String)) for name in ("in_stock", "price", "rating")),
    ]


def _price_band() -> ColumnElement[str]:
    """From-to, as min_price and max_price take them; the last band is open."""
    lower = [0, *PRICE_BANDS]
    bands = [(Book.price < to, f"{start}-{to - 1}.99") for start, to in zip(lower, PRICE_BANDS, strict=False)]
    return case(*bands, else_=f"{PRICE_BANDS[-1]}-")


def _of_column(facet: str, column: Any) -> Select[Any]:
    counted = func.count().label("count")
    return (
        select(literal(facet).label("facet"), column.label("value"), column.label("name"), counted)
        .where(column.is_not(None))
        .group_by(column)
        .order_by(counted.desc(), column)
        .limit(MOST_VALUES)
    )


def _of_links(found: CTE, facet: str, link: Any, model: Any, value: Any) -> Select[Any]:
    """The links are looked up book by book: OFFSET keeps the planner from reading all there are."""
    links = select(link.label("id")).where(link.class_.book_id == found.c.id).offset(0).lateral()
    number = func.count().label("count")
    most = select(links.c.id, number).select_from(found.join(links, true())).group_by(links.c.id)
    top = most.order_by(number.desc()).fetch(MOST_VALUES, with_ties=True).subquery()
    return (
        select(literal(facet).label("facet"), value.label("value"), model.name.label("name"), top.c.count)
        .join_from(top, model, model.id == top.c.id)
        .order_by(top.c.count.desc(), model.key)
        .limit(MOST_VALUES)
    )
