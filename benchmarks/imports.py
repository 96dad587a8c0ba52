"""What taking in and writing out books costs per row, and whether memory grows with the file.

    python -m benchmarks.imports                 10,000 and then 100,000 made-up books, as CSV
    python -m benchmarks.imports --format onix   or marc
    python -m benchmarks.imports 1000 10000      other sizes, in growing order

Each import runs in a process of its own, whose peak memory is told; time is told as a multiple of a plain COPY of the
same rows into the same table in the same run. Uses TEST_DATABASE_URL's server, or an embedded one.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import text

from catalog_service.config import CatalogConfig
from catalog_service.domain import exports
from catalog_service.domain.imports import jobs
from catalog_service.domain.imports.formats import FORMATS
from catalog_service.domain.imports.run import Import
from catalog_service.domain.search import Filters
from common.db import Database, utcnow
from tests.support.database import environment, fresh_database, install, postgres_server

SIZES = (10_000, 100_000)
COLUMNS = "code, title, author_names, format, price, currency, low_stock_threshold, on_hand, reserved, units_sold"
REST = "rating_count, rating_version, is_active, revision, version, created_at, updated_at, id"


def books(count: int) -> Iterator[Any]:
    silent = dict.fromkeys(("isbn", "subtitle", "publisher", "series_name", "series_position", "cost_price"))
    common = silent | {"language": "en", "format": "paperback", "pages": 300, "published_year": 1999, "currency": "USD"}
    common |= {"low_stock_threshold": 5, "on_hand": 0, "reserved": 0, "is_active": True, "created_at": utcnow()}
    for number in range(count):
        own = {"code": f"N-{number}", "title": f"The Book of {number}", "price": Decimal(number % 4000) / 100 + 1}
        people = {"authors": [f"Author {number % 5000}"], "genres": [f"Genre {number % 50}"]}
        yield SimpleNamespace(**common, **own, **people, description=f"What is told of {number}. " * 5)


def copy(database: Database, count: int) -> float:
    """Seconds for the same rows by COPY, indexes and triggers included."""
    rows = io.StringIO()
    for number, book in enumerate(books(count)):
        own = (f"C-{number}", book.title, book.authors[0], book.format, str(book.price), "USD", "5", "0", "0", "0")
        rest = (
            "0",
            "0",
            "t",
            "1",
            "1",
            str(book.created_at),
            str(book.created_at),
            f"00000000-0000-0000-0000-{number:012d}",
        )
        rows.write("\t".join((*own, *rest)) + "\n")
    rows.seek(0)
    raw = database.engine.raw_connection()
    with raw.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        started = time.perf_counter()
        cursor.copy_expert(f"COPY books ({COLUMNS}, {REST}) FROM STDIN", rows)
        raw.commit()
        seconds = time.perf_counter() - started
    raw.close()
    return seconds


def take_in(environ: dict[str, str], path: str, format: str) -> tuple[float, int, int]:
    """Seconds, rows that went in or were there, and peak memory in MiB, of a process that does only this."""
    os.environ.update(environ)
    config = CatalogConfig.from_env()
    database = Database(config)
    started = time.perf_counter()
    importing = Import(database.transaction, config.currency)
    with database.transaction() as session:
        size = Path(path).stat().st_size
        job = jobs.begin_here(session, format=format, dry_run=False, actor="benchmark", filename="books", size=size)
    with Path(path).open("rb") as file:
        importing.run(job, FORMATS[format].reader(file, importing.count_read))
    with database.transaction() as session:
        done = jobs.finish(session, job)
    return time.perf_counter() - started, done.created + done.unchanged, _peak()


def put_out(environ: dict[str, str], format: str) -> tuple[float, int, int]:
    """Seconds, bytes and peak memory in MiB of an export."""
    os.environ.update(environ)
    database = Database(CatalogConfig.from_env())
    started = time.perf_counter()
    size = sum(map(len, exports.stream(database.transaction(), exports.statement(Filters()), format)))
    return time.perf_counter() - started, size, _peak()


def _peak() -> int:
    """In MiB. The kernel's own figure where there is one: `ru_maxrss` begins with what the parent had at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform != "darwin" else 1024 * 1024)


def alone(work: Any, *arguments: Any) -> Any:
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def measure(count: int, format: str, environ: dict[str, str], database: Database) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books"
        with path.open("wb") as file:
            file.writelines(FORMATS[format].write(books(count)))
        with database.transaction() as session:
            session.execute(text("TRUNCATE books, authors, genres, imports, outbox, word_queue CASCADE"))
        copied = copy(database, count)
        with database.transaction() as session:
            session.execute(text("TRUNCATE books, word_queue CASCADE"))
        for name, result in (
            ("import", alone(take_in, environ, str(path), format)),
            ("again, unchanged", alone(take_in, environ, str(path), format)),
            ("export", alone(put_out, environ, format)),
        ):
            seconds, _, peak = result
            rate = f"{count / seconds:8,.0f} rows/s"
            print(f"{format} {count:>8,} {name:<17} {seconds / copied:6.1f} x COPY {rate} {peak:5} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--format", choices=FORMATS, default="csv")
    chosen = parser.parse_args()
    with postgres_server() as server, fresh_database(server) as url:
        environ = environment(url, CatalogConfig.schema)
        config = CatalogConfig.from_env(environ)
        install(config, url)
        database = Database(config)
        for count in chosen.sizes:
            measure(count, chosen.format, environ, database)
        database.close()


if __name__ == "__main__":
    main()
