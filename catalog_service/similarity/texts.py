"""A book as a list of tokens: words as the database stems them, and who wrote it, its series and its genres.

A token that is there several times counts for more. What is no word begins with `@`, which no word does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from common.db import Database

BATCH = 2_000
AUTHOR, SERIES, GENRE = "@author:", "@series:", "@genre:"
TIMES = {"title": 2, "names": 1, "about": 1, "shelves": 1}
TIMES_OF_LINKS = 3
_FIRST = UUID(int=0)

# The same words are asked for with the same functions, so that a text finds what the training learnt.
_PAGE = text("""
SELECT books.id,
    tsvector_to_array(to_tsvector('english', search_text(title || ' ' || COALESCE(subtitle, '')))) AS title,
    tsvector_to_array(to_tsvector('english', search_text(author_names))) AS names,
    tsvector_to_array(to_tsvector('english', search_text(left(COALESCE(description, ''), 4000)))) AS about,
    tsvector_to_array(to_tsvector('english', search_text(COALESCE(shelf.names, '')))) AS shelves,
    NULLIF(search_text(series_name), '') AS series,
    ARRAY(SELECT author_id FROM book_authors WHERE book_id = books.id ORDER BY position) AS authors,
    shelf.ids AS genres
FROM books, LATERAL (
    SELECT string_agg(name, ' ') AS names, COALESCE(array_agg(genres.id ORDER BY genres.id), '{}') AS ids
    FROM book_genres JOIN genres ON genres.id = genre_id WHERE book_id = books.id
) AS shelf
WHERE is_active AND books.id > :after AND abs(hashtext(books.id::text)::bigint) % 1000000 < :share * 1000000
ORDER BY books.id LIMIT :batch
""")


class Described(NamedTuple):
    id: UUID
    tokens: list[str]


def batches(database: Database, share: float = 1.0) -> Iterator[list[Described]]:
    """All books on sale, or about this share of them, in the order of their ids; no transaction is held open."""
    after = _FIRST
    while True:
        with database.read() as session:
            rows = session.execute(_PAGE, {"after": after, "share": share, "batch": BATCH}).all()
        if not rows:
            return
        yield [Described(row.id, _tokens(row)) for row in rows]
        after = rows[-1].id


def _tokens(row: Any) -> list[str]:
    tokens = [word for name, times in TIMES.items() for word in getattr(row, name) * times]
    links = [AUTHOR + str(id) for id in row.authors] + [GENRE + str(id) for id in row.genres]
    if row.series:
        links.append(SERIES + row.series[:100])
    return tokens + links * TIMES_OF_LINKS
