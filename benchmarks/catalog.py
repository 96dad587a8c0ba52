"""What finding books costs as the catalogue grows, and whether any of it reads through the whole table.

    python -m benchmarks.catalog                    10,000 and then 100,000 made-up books
    python -m benchmarks.catalog 10000 1000000      other sizes, in growing order
    python -m benchmarks.catalog --titles file.csv  titles and authors multiplied from columns of that name

Uses TEST_DATABASE_URL's server, or an embedded one. It stops growing after MOST_SECONDS.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from catalog_service.config import CatalogConfig
from catalog_service.domain import facets, search, suggest, views, words
from catalog_service.domain.search import Filters
from common.api import PageQuery
from common.db import Database
from common.pagination import paginate
from tests.support.database import environment, fresh_database, install, postgres_server

ROUNDS = 40
MOST_SECONDS = 240
BATCH = 5_000
SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "jo",
    "ka",
    "li",
    "mo",
    "ne",
    "pra",
    "qui",
    "ro",
    "sa",
    "ti",
    "u",
    "ver",
    "wyn",
    "zo",
]
NOUNS = [
    "House",
    "River",
    "Garden",
    "Winter",
    "Clock",
    "Empire",
    "Daughter",
    "Secret",
    "Ocean",
    "Shadow",
    "Letter",
    "Kingdom",
    "Orchard",
    "Machine",
]

_INSERT = text("""
WITH made AS (
    INSERT INTO books (id, code, title, author_names, series_name, publisher, language, format, price, currency,
        low_stock_threshold, on_hand, reserved, units_sold, rating_count, rating_version, is_active, revision,
        version, created_at, updated_at)
    SELECT gen_random_uuid(), 'B' || (:start + n), title, author, NULL, 'Publisher ' || n % 300,
        (ARRAY['en', 'en', 'en', 'de', 'fr'])[1 + n % 5], (ARRAY['paperback', 'hardcover', 'ebook'])[1 + n % 3],
        5 + n % 40, 'USD', 5, n % 7, 0, n % 500, n % 90, 0, true, 1, 1, now(), now()
    FROM unnest(CAST(:titles AS text[]), CAST(:authors AS text[])) WITH ORDINALITY AS given(title, author, n)
    RETURNING id, code
)
INSERT INTO book_genres (book_id, genre_id)
SELECT made.id, genres.id FROM made JOIN genres ON genres.slug = 'g' || (hashtext(made.code) & 15)
""")


def invented(rng: random.Random) -> tuple[str, str]:
    """A title of two rare words and a common one, and an author; as skewed as real ones are."""
    rare = ["".join(rng.choices(SYLLABLES, k=3)).capitalize() for _ in range(3)]
    common = NOUNS[int(len(NOUNS) * rng.random() ** 2)]
    return f"The {common} of {rare[0]} {rare[1]}", f"{rng.choice(NOUNS)} {rare[2]}"


def multiplied(path: Path, rng: random.Random) -> Callable[[], tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(row["title"], row["authors"]) for row in csv.DictReader(file)]

    def one() -> tuple[str, str]:
        title, author = rng.choice(rows)
        return f"{title} {invented(rng)[0].rsplit(' ', 1)[1]}"[:500], author

    return one


def grow(database: Database, start: int, size: int, one: Callable[[], tuple[str, str]], deadline: float) -> int:
    """Add books up to `size` while there is time; how many there are."""
    while start < size and time.monotonic() < deadline:
        pairs = [one() for _ in range(min(BATCH, size - start))]
        titles, authors = zip(*pairs, strict=True)
        with database.transaction() as session:
            session.execute(_INSERT, {"start": start, "titles": list(titles), "authors": list(authors)})
        start += len(pairs)
    words.learn_all(database)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return start


def page(session: Session, filters: Filters, sort: str | None = None) -> Any:
    filters = search.understood(session, filters)
    query = PageQuery(limit=20, cursor=None)
    by = search.order(filters, sort)
    return paginate(session, search.statement(filters), by=by, query=query, row=lambda row: row)


def requests(session: Session) -> dict[str, Callable[[], Any]]:
    sample = session.execute(text("SELECT id, title FROM books ORDER BY id LIMIT 200")).all()
    rng = random.Random(2)

    def some() -> Any:
        return rng.choice(sample)

    def misspelt() -> str:
        word = some().title.split()[-1]
        return word[:3] + word[4:]

    shelf = Filters(genre=["g3"])
    return {
        "search, two rare words": lambda: page(session, Filters(q=" ".join(some().title.split()[-2:]))),
        "search, misspelt": lambda: page(session, Filters(q=misspelt())),
        "search, a very common word": lambda: page(session, Filters(q="house")),
        "list of a genre, bestselling": lambda: page(session, shelf, "bestselling"),
        "facets of a genre": lambda: facets.count(session, shelf),
        "suggest": lambda: suggest.beginning(session, some().title[4:10]),
        "detail": lambda: views.find(session, str(some().id), staff=False),
    }


def milliseconds(work: Callable[[], Any]) -> tuple[float, float]:
    work()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def sequential(session: Session, work: Callable[[], Any]) -> bool:
    """Whether the work read through the books: told by the server's own count of such scans."""
    counted = text("SELECT pg_stat_get_xact_numscans('books'::regclass)")
    session.rollback()
    before = session.scalar(counted)
    work()
    after = session.scalar(counted)
    session.rollback()
    return bool(after != before)


def measure(database: Database, size: int) -> None:
    print(f"\n{size} books{'':14} p50 ms   p95 ms   whole table read")
    with database.read() as session:
        measured = {name: milliseconds(work) for name, work in requests(session).items()}
    with Session(database.engine) as session:
        for name, work in requests(session).items():
            p50, p95 = measured[name]
            print(f"{name:30} {p50:8.1f} {p95:8.1f}   {'yes' if sequential(session, work) else 'no'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--titles", type=Path)
    options = parser.parse_args()
    rng = random.Random(1)
    one = multiplied(options.titles, rng) if options.titles else lambda: invented(rng)
    deadline = time.monotonic() + MOST_SECONDS
    with postgres_server() as server, fresh_database(server) as url:
        config = CatalogConfig.from_env(environment(url, "catalog"))
        install(config, url)
        database = Database(config)
        with database.transaction() as session:
            session.execute(
                text(
                    "INSERT INTO genres SELECT gen_random_uuid(), 'g' || n, 'g' || n, 'g' || n, now(), now() "
                    "FROM generate_series(0, 15) n"
                )
            )
        held = 0
        for size in options.sizes:
            held = grow(database, held, size, one, deadline)
            measure(database, held)
        database.close()


if __name__ == "__main__":
    main()
