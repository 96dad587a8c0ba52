"""Books by the million: titles and authors multiplied from some thousands, as skewed as real ones, loaded by COPY."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from catalog_service.domain import words
from catalog_service.domain.text import comparison_key
from common.db import Database
from common.ids import new_id

BATCH = 5_000
GENRES = 24
PUBLISHERS = 2_000
BOOKS_PER_AUTHOR = 4
LANGUAGES = {"en": 700, "de": 80, "es": 70, "fr": 60, "it": 40, "pt": 30, "nl": 15, "sv": 4, "fi": 1}
FORMATS = {"paperback": 60, "hardcover": 25, "ebook": 12, "audiobook": 3}
SYLLABLES = (
    "ba", "ce", "di", "fo", "gu", "ha", "jo", "ka", "li", "mo", "ne", "pra", "qui", "ro", "sa", "ti", "u", "ver", "wyn",
    "zo",
)  # fmt: skip
NOUNS = (
    "House", "River", "Garden", "Winter", "Clock", "Empire", "Daughter", "Secret", "Ocean", "Shadow", "Letter",
    "Kingdom", "Orchard", "Machine",
)  # fmt: skip
_UNHURRIED = text("SET statement_timeout = 0")
OPENED = datetime(2021, 1, 1, tzinfo=UTC)
YEARS_5 = 5 * 365 * 24 * 3600

BOOK_COLUMNS = (
    "id", "code", "isbn", "title", "author_names", "publisher", "series_name", "series_position", "language", "format",
    "price", "currency", "low_stock_threshold", "on_hand", "reserved", "units_sold", "rating_average", "rating_count",
    "rating_version", "is_active", "revision", "version", "created_at", "updated_at",
)  # fmt: skip
NAMED_COLUMNS = ("id", "name", "key", "slug", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Corpus:
    """What all titles and names are put together from."""

    titles: Sequence[str]
    authors: Sequence[str]


def invented(rng: random.Random, size: int = 10_000) -> Corpus:
    """Titles of two rare words and a common one."""

    def word() -> str:
        return "".join(rng.choices(SYLLABLES, k=3)).capitalize()

    def common() -> str:
        return NOUNS[int(len(NOUNS) * rng.random() ** 2)]

    titles = [f"The {common()} of {word()} {word()}" for _ in range(size)]
    return Corpus(titles, [f"{word()} {word()}" for _ in range(size // 2)])


def read(path: Path) -> Corpus:
    """From the columns `title` and `authors` of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    authors = dict.fromkeys(name.strip() for row in rows for name in row["authors"].split(","))
    return Corpus([row["title"][:300] for row in rows], list(authors))


class Multiplier:
    """Adds books to an empty catalogue: those of the corpus first, then mixtures of them."""

    def __init__(self, database: Database, corpus: Corpus, rng: random.Random) -> None:
        self._database = database
        self._corpus = corpus
        self._rng = rng
        self._authors: list[tuple[UUID, str]] = []
        self._keys: set[str] = set()
        self._genres = [new_id() for _ in range(GENRES)]
        self.size = 0
        rows = [(id, f"Genre {n}", f"genre {n}", f"g{n}", OPENED, OPENED) for n, id in enumerate(self._genres)]
        self._copy("genres", NAMED_COLUMNS, rows)

    def grow(self, size: int) -> None:
        """Up to so many books, with the dictionary of the search and the planner's statistics."""
        while self.size < size:
            self._add(min(BATCH, size - self.size))
        words.learn_all(self._database)
        with self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(_UNHURRIED)
            connection.execute(text("VACUUM ANALYZE"))

    def _add(self, number: int) -> None:
        self._add_authors(max(1, number // BOOKS_PER_AUTHOR))
        books = [self._book(self.size + n) for n in range(number)]
        self._copy("books", BOOK_COLUMNS, (row for row, _ in books))
        written = [(row[0], author, place) for row, authors in books for place, author in enumerate(authors)]
        self._copy("book_authors", ["book_id", "author_id", "position"], written)
        self._copy("book_genres", ["book_id", "genre_id"], self._shelved(row[0] for row, _ in books))
        self.size += number

    def _add_authors(self, number: int) -> None:
        made = []
        while len(made) < number:
            name = self._name(len(self._authors) + len(made))
            if (key := comparison_key(name)) not in self._keys:
                self._keys.add(key)
                made.append((new_id(), name, key, f"a{len(self._keys)}", OPENED, OPENED))
        self._copy("authors", NAMED_COLUMNS, made)
        self._authors += [(id, name) for id, name, *_ in made]

    def _name(self, number: int) -> str:
        names = self._corpus.authors
        if number < len(names) and comparison_key(names[number]) not in self._keys:
            return names[number]
        first, last = self._rng.choice(names), self._rng.choice(names)
        return f"{first.split()[0]} {self._rng.choice(SYLLABLES).capitalize()} {last.split()[-1]}"

    def _title(self, number: int) -> str:
        titles = self._corpus.titles
        if number < len(titles):
            return titles[number]
        one, other = self._rng.choice(titles).split(), self._rng.choice(titles).split()
        return " ".join(one[: (len(one) + 1) // 2] + other[len(other) // 2 :])

    def _book(self, number: int) -> tuple[tuple[Any, ...], list[UUID]]:
        rng = self._rng
        title = self._title(number)
        authors = dict(self._some_author() for _ in range(1 if rng.random() < 0.85 else 2))
        series = title.split("(")[0].strip()[:100] if rng.random() < 0.15 else None
        rated = self._skewed(3_000_000) if rng.random() < 0.7 else 0
        stars = round(min(5, max(1, rng.gauss(3.9, 0.4))), 2) if rated else None
        at = OPENED + timedelta(seconds=rng.randrange(YEARS_5))
        row = (
            new_id(), f"B{number}", f"978{number:010}", title, ", ".join(authors.values()),
            f"Publisher {int(PUBLISHERS * rng.random() ** 3)}", series, rng.randint(1, 9) if series else None,
            rng.choices(list(LANGUAGES), list(LANGUAGES.values()))[0],
            rng.choices(list(FORMATS), list(FORMATS.values()))[0],
            f"{rng.lognormvariate(2.7, 0.5):.2f}", "USD", 5, 0 if rng.random() < 0.2 else rng.randint(1, 40), 0,
            self._skewed(100_000) if rng.random() < 0.5 else 0, stars, rated, 0, True, 1, 1, at, at,
        )  # fmt: skip
        return row, list(authors)

    def _skewed(self, most: int) -> int:
        return min(most, int(self._rng.paretovariate(0.7)))

    def _some_author(self) -> tuple[UUID, str]:
        return self._authors[int(len(self._authors) * self._rng.random() ** 2)]

    def _shelved(self, books: Iterable[Any]) -> Iterator[tuple[Any, UUID]]:
        for book in books:
            shelves = {int(GENRES * self._rng.random() ** 2) for _ in range(self._rng.randint(1, 3))}
            yield from ((book, self._genres[shelf]) for shelf in shelves)

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        file = io.StringIO()
        csv.writer(file).writerows(rows)
        file.seek(0)
        with self._database.engine.begin() as connection, connection.connection.cursor() as cursor:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv)", file)  # type: ignore[attr-defined]
