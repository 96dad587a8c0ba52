"""What finding books costs as the catalogue grows, and whether any of it reads through all books.

    python -m benchmarks.catalog                    10,000, then 100,000 and 1,000,000 made-up books
    python -m benchmarks.catalog 10000 100000       other sizes, in growing order
    python -m benchmarks.catalog --titles file.csv  multiplied from the columns `title` and `authors` of real ones

Uses TEST_DATABASE_URL's server, or an embedded one. A million books take 10 to 30 minutes to load, and 3 GB.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks.many_books import Multiplier, invented, read
from catalog_service.api.finding import find
from catalog_service.config import CatalogConfig
from catalog_service.domain import facets, search, suggest, views
from catalog_service.domain.search import Filters
from common.api import PageQuery
from common.db import Database
from tests.support.database import environment, fresh_database, install, postgres_server
from tests.support.plans import plans

ROUNDS = 40
SAMPLE = 400
SORTS = ("newest", "title", "price", "-price", "rating", "bestselling")
READ_THROUGH = "Seq Scan on books"

Work = Callable[[], Any]


class Reader:
    """Somebody who looks for books that are there."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rng = random.Random(2)
        some = text("SELECT id, isbn, title, author_names FROM books ORDER BY uuid_hash(id), id LIMIT :sample")
        self._books = session.execute(some, {"sample": SAMPLE}).all()
        self._common, self._frequent = self._words()

    def _words(self) -> tuple[str, str]:
        """The word that most titles have, and one that about a hundredth have."""
        known = self._session.execute(
            text("SELECT word, sum(frequency) AS books FROM search_words GROUP BY word ORDER BY books DESC LIMIT 300")
        ).all()
        return known[0].word, known[-1].word

    def requests(self) -> dict[str, Work]:
        shelf, narrow = Filters(genre=["g3"]), self._narrow()
        lists = {f"list of a genre by {sort}": self._page(shelf, sort) for sort in SORTS}
        return {
            "detail": lambda: views.find(self._session, str(self._some().id), staff=False),
            "search, two words of a title": self._search(lambda: " ".join(self._telling()[-2:])),
            "search, a misspelt word": self._search(self._misspelt),
            "search, a misspelt word with another": self._search(lambda: f"{self._misspelt()} {self._telling()[-1]}"),
            "search, two words typed as one": self._search(lambda: "".join(self._telling()[-2:])),
            "search, half an author's name": self._search(lambda: self._some().author_names.split()[-1][:5]),
            "search, an ISBN": self._search(lambda: self._some().isbn),
            "search, a frequent word": self._search(lambda: self._frequent),
            "search, the most common word": self._search(lambda: self._common),
            "search, two common words": self._search(lambda: f"{self._common} {self._frequent}"),
            "search, words that nothing has": self._search(lambda: f"{self._telling()[-1]} xyzzy{self._some().isbn}"),
            "list of all, newest": self._page(Filters(), "newest"),
            **lists,
            "list, narrow filters, with facets": self._page_with_facets(narrow),
            "list, an author's name": self._filtered(lambda: Filters(author=self._some().author_names.split(",")[0])),
            "list, a rare language by title": self._page(Filters(language="fi"), "title"),
            "list, out of stock, dear, by price": self._page(Filters(in_stock=False, min_price=Decimal(40)), "price"),
            "facets of all": lambda: facets.count(self._session, Filters()),
            "facets of a genre": self._facets(shelf),
            "facets of the most common word": self._facets(Filters(q=self._common)),
            "facets of a frequent word": self._facets(Filters(q=self._frequent)),
            "suggest, four letters": lambda: suggest.beginning(self._session, self._telling()[-1][:4]),
            "suggest, two letters": lambda: suggest.beginning(self._session, self._telling()[-1][:2]),
            "suggest, the most common word": lambda: suggest.beginning(self._session, self._common),
        }

    def _some(self) -> Any:
        return self._rng.choice(self._books)

    def _telling(self) -> list[str]:
        while True:
            words = [word for word in self._some().title.split() if len(word) > 4 and word.isalpha()]
            if len(words) > 1:
                return words

    def _misspelt(self) -> str:
        word = self._telling()[-1]
        return word[:3] + word[4:]

    def _narrow(self) -> Filters:
        return Filters(genre=["g3", "g5"], language="de", format="paperback", max_price=Decimal(20), min_rating=4)

    def _search(self, words: Callable[[], str]) -> Work:
        return self._filtered(lambda: Filters(q=words()))

    def _filtered(self, filters: Callable[[], Filters]) -> Work:
        def work() -> Any:
            return self._page(filters(), None)()

        return work

    def _page(self, filters: Filters, sort: str | None) -> Work:
        def work() -> Any:
            wanted = search.understood(self._session, filters)
            return find(self._session, wanted, sort, PageQuery(limit=20, cursor=None), lambda row: row)

        return work

    def _facets(self, filters: Filters) -> Work:
        return lambda: facets.count(self._session, search.understood(self._session, filters))

    def _page_with_facets(self, filters: Filters) -> Work:
        page, counts = self._page(filters, "bestselling"), self._facets(filters)
        return lambda: (page(), counts())


def milliseconds(work: Work) -> tuple[float, float]:
    """The median and the 95th percentile."""
    work()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def reads_through(engine: Engine, work: Work) -> bool:
    """Whether the plan of any of its statements has all books read."""
    with plans(engine) as found:
        work()
    return any(READ_THROUGH in plan for plan in found)


def measure(database: Database) -> dict[str, tuple[float, float, bool]]:
    with database.read() as session:
        requests = Reader(session).requests()
        return {name: (*milliseconds(work), reads_through(database.engine, work)) for name, work in requests.items()}


def report(sizes: list[int], measured: list[dict[str, tuple[float, float, bool]]]) -> None:
    print("\n| " + " " * 36 + " | " + " | ".join(f"{size:,}: p50, p95" for size in sizes) + " | p95 grows | all read |")
    for name, first in measured[0].items():
        cells = " | ".join(f"{each[name][0]:6.1f} {each[name][1]:7.1f}" for each in measured)
        all_read = "yes" if measured[-1][name][2] else "no"
        print(f"| {name:36} | {cells} | {measured[-1][name][1] / first[1]:5.1f} | {all_read} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--titles", type=Path)
    options = parser.parse_args()
    rng = random.Random(1)
    corpus = read(options.titles) if options.titles else invented(rng)
    measured: list[dict[str, tuple[float, float, bool]]] = []
    with postgres_server() as server, fresh_database(server) as url:
        config = CatalogConfig.from_env(environment(url, "catalog"))
        install(config, url)
        database = Database(config)
        books = Multiplier(database, corpus, rng)
        for size in options.sizes:
            began = time.monotonic()
            books.grow(size)
            print(f"{size:,} books after {time.monotonic() - began:.0f} s", flush=True)
            measured.append(measure(database))
            report(options.sizes[: len(measured)], measured)
        database.close()


if __name__ == "__main__":
    main()
