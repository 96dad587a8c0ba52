"""What the staff's views of sales and orders cost as there are more orders, and whether any reads through all of them.

    python -m benchmarks.orders                  10,000, 100,000 and 1,000,000 made-up orders
    python -m benchmarks.orders 10000 50000      other sizes, in growing order

Uses TEST_DATABASE_URL's server, or an embedded one. It stops growing after MOST_SECONDS.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Select, create_engine, text
from sqlalchemy.orm import Session

from common.api import PageQuery
from common.db import Database, psycopg2_url, utcnow
from common.pagination import Listing, listing, paginate
from order_service import orders_csv
from order_service.config import OrderConfig
from order_service.domain import analytics, sales, search, views
from order_service.domain.analytics import Period
from order_service.domain.listing import NEWEST_FIRST
from order_service.models import Order, Status
from tests.support.database import environment, fresh_database, install, postgres_server

ROUNDS = 20
MOST_SECONDS = 900
BATCH = 100_000
BOOKS = 10_000
ORDERS_PER_CUSTOMER = 5
EXPORTED = 10_000
READ_THROUGH = ("orders", "order_items", "order_history", "payments", "book_orders")
LOADING = "-csearch_path=orders -csession_replication_role=replica -csynchronous_commit=off"
RELATIVE_TO = "summary of a month"

# Ids and numbers grow with time, as they do in a store; a few books are in many orders, most in some.
_ID = """(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
    || '8' || substr(md5(random()::text), 1, 15))::uuid"""
_MADE = f"""
    CREATE TEMPORARY TABLE made ON COMMIT DROP AS
    SELECT *, {_ID} AS id FROM (
    SELECT n, md5((n * CAST(7919 AS bigint) % :customers)::text)::uuid AS user_id,
           now() - (:most - n) * interval '730 days' / :most AS at,
           (ARRAY['PAID', 'DELIVERED', 'DELIVERED', 'DELIVERED', 'CANCELLED', 'SHIPPED'])[1 + n % 6] AS status,
           floor(random() ^ 3 * :books)::int AS first_book, floor(random() ^ 3 * :books)::int AS second_book
    FROM generate_series(CAST(:start AS int) + 1, CAST(:stop AS int)) n) orders
"""
_ORDERS = """
    INSERT INTO orders (id, number, user_id, status, from_cart, subtotal, discount, shipping, tax, tax_rate,
        tax_included, total, currency, payment_ttl, placed_at, updated_at)
    SELECT id, to_char(at, 'YYYY-') || lpad(n::text, 6, '0'), user_id, status, true, 30, 0, 0, 0, 0, false, 30, 'USD',
        '30 min', at, at FROM made ORDER BY n
"""
_ITEMS = """
    INSERT INTO order_items (order_id, position, book_id, title, quantity, unit_price, line_total, unit_cost)
    SELECT id, position, b.book_id, b.title, position, 10, position * 10, 6
    FROM (SELECT n, id, 1 AS position, first_book AS code FROM made
          UNION ALL SELECT n, id, 2, second_book FROM made WHERE first_book <> second_book) i
    JOIN books b ON b.code = i.code::text ORDER BY n, position
"""
_HISTORY = f"""
    INSERT INTO order_history (id, order_id, status, at, actor, reason)
    SELECT {_ID}, id, s.status, at + s.step * interval '1 minute', 'order-service',
        CASE s.status WHEN 'CANCELLED' THEN 'unpaid' END
    FROM made JOIN (VALUES (0, 'PENDING'), (1, 'CONFIRMED'), (2, 'PAID'), (2, 'CANCELLED')) s (step, status)
      ON s.step < 2 OR (s.status = 'CANCELLED') = (made.status = 'CANCELLED')
"""
_PAYMENTS = f"""
    INSERT INTO payments (id, order_id, provider, method, status, amount, refunded, currency, reference, created_at,
        updated_at)
    SELECT {_ID}, id, 'simulator', 'tok_visa', 'SUCCEEDED', 30, 0, 'USD', 'ch_' || n, at, at
    FROM made WHERE status <> 'CANCELLED'
"""
# What triggers would do row by row.
_KEPT = (
    """
    INSERT INTO book_orders (book_id, placed_at, order_id)
    SELECT book_id, at, id FROM made JOIN order_items ON order_id = id ORDER BY book_id
    """,
    """
    INSERT INTO sold_titles SELECT DISTINCT book_id, title FROM made JOIN order_items ON order_id = id
    ON CONFLICT DO NOTHING
    """,
)
_CUSTOMERS = """
    INSERT INTO customers SELECT md5(n::text)::uuid, 'reader' || n, 'reader' || n || '@example.org'
    FROM generate_series(0, :customers - 1) n ON CONFLICT DO NOTHING
"""
_BOOKS = """
    INSERT INTO books (book_id, version, code, title, price, currency, is_active, available, cost_price)
    SELECT md5('book' || n)::uuid, 1, n,
        CASE WHEN n % 997 = 3 THEN 'Q' ELSE (ARRAY['The', 'A', 'Of', 'My'])[1 + n % 4] END
        || ' ' || initcap(substr(md5(n::text), 1, 7))
        || ' ' || (ARRAY['Garden', 'River', 'House', 'Winter', 'Letter'])[1 + n % 5]
        || CASE WHEN n % 997 = 3 THEN ' Quixote' ELSE '' END, 10, 'USD', true, 100, 6
    FROM generate_series(0, :books - 1) n
"""


def grow(loader: Engine, start: int, size: int, most: int, deadline: float) -> int:
    """Add orders up to `size` while there is time; how many there are."""
    while start < size and time.monotonic() < deadline:
        stop = min(start + BATCH, size)
        made = {"start": start, "stop": stop, "most": most, "books": BOOKS, "customers": most // ORDERS_PER_CUSTOMER}
        statements = (_MADE, _ORDERS, _ITEMS, _HISTORY, _PAYMENTS, *_KEPT)
        with loader.begin() as connection:
            for statement in (*((_BOOKS, _CUSTOMERS) if start == 0 else ()), *statements):
                connection.execute(text(statement), made)
        start = stop
    with Session(loader) as session:
        sales.recount(session)
        session.commit()
    with loader.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return start


def questions(session: Session) -> dict[str, Callable[[], Any]]:
    return {**_figures(session), **_lists(session), **_searches(session)}


def _figures(session: Session) -> dict[str, Callable[[], Any]]:
    today = utcnow().date()
    month, year = (Period(today - timedelta(days=days), today) for days in (30, 365))
    one = session.execute(text("SELECT id FROM orders WHERE number LIKE '%-000002'")).scalar_one()

    def top(period: Period) -> Callable[[], Any]:
        return lambda: analytics.top_books(session, period, "USD", by="revenue", limit=10)

    return {
        RELATIVE_TO: lambda: analytics.summary(session, month, "USD"),
        "summary of a year": lambda: analytics.summary(session, year, "USD"),
        "a year by day": lambda: analytics.by_day(session, year, "USD"),
        "top books of a month": top(month),
        "top books of a year": top(year),
        "one more order counted in": lambda: _count_one(session, one),
    }


def _lists(session: Session) -> dict[str, Callable[[], Any]]:
    oldest, newest = session.execute(text("SELECT min(placed_at), max(placed_at) FROM orders")).one()
    middle = oldest + (newest - oldest) / 2
    customer = session.scalar(text("SELECT user_id FROM orders WHERE number LIKE '%-000002'"))
    of_a_month = views.ORDERS.where(Order.placed_at >= middle, Order.placed_at < middle + timedelta(days=30))
    cancelled, paid = (views.ORDERS.where(Order.status == each) for each in (Status.CANCELLED, Status.PAID))
    deep = [middle, session.scalar(text("SELECT id FROM orders LIMIT 1"))]
    return {
        "first page of all": lambda: _page(session, views.ORDERS),
        "a page from the middle": lambda: _batch(session, listing(views.ORDERS, NEWEST_FIRST), deep),
        "first page of a status": lambda: _page(session, cancelled),
        "a status from the middle": lambda: _batch(session, listing(paid, NEWEST_FIRST), deep),
        "first page of a month": lambda: _page(session, of_a_month),
        "first page of a customer": lambda: _page(session, views.ORDERS.where(Order.user_id == customer)),
        "all, with their number": lambda: _page(session, views.ORDERS, total=True),
        "a status, with their number": lambda: _page(session, cancelled, total=True),
        "a month, with their number": lambda: _page(session, of_a_month, total=True),
    }


def _searches(session: Session) -> dict[str, Callable[[], Any]]:
    number = session.scalar(text("SELECT number FROM orders WHERE number LIKE '%-000777'"))
    best = session.scalar(text("SELECT title FROM books WHERE code = '0'"))
    asked: Mapping[str, str] = {
        "search: a number": str(number),
        "search: the running part": "777",
        "search: a number's beginning": str(number)[:-2],
        "search: a mail address": "reader77@example.org",
        "search: a part of a name": "reader77",
        "search: every customer": "example.org",
        "search: the best seller": str(best),
        "search: a title's rare word": "quixote",
        "search: in a fifth of titles": "winter",
        "search: a letter of few": "q",
        "search: beginning of a quarter": "of",
        "search: found nowhere": "zzyzx",
    }
    return {name: lambda q=q: _found(session, q) for name, q in asked.items()}  # type: ignore[misc]


def _found(session: Session, q: str) -> Any:
    return _page(session, search.orders(session, views.ORDERS, q))


def _page(session: Session, wanted: Select[Any] | Listing, *, total: bool = False) -> Any:
    query = PageQuery(limit=20, cursor=None, total=total)
    found = paginate(session, wanted, by=NEWEST_FIRST, query=query, row=views.plain)
    return views.complete(session, found["items"])


def _batch(session: Session, wanted: Listing, after: list[Any]) -> Any:
    return views.complete(session, [views.plain(row) for row in session.execute(wanted.batch(after, 20))])


def _count_one(session: Session, order_id: UUID) -> None:
    """One order more, undone."""
    undone = session.begin_nested()
    sales.sold(session, order_id)
    undone.rollback()


@dataclass(frozen=True, slots=True)
class Taken:
    """Milliseconds, and the tables that were read from one end to the other."""

    p50: float
    p95: float
    read_through: str = ""


def measure(session: Session, work: Callable[[], Any]) -> Taken:
    through = read_through(session, work)
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    session.rollback()
    return Taken(statistics.median(taken), statistics.quantiles(taken, n=20)[-1], through)


def read_through(session: Session, work: Callable[[], Any]) -> str:
    """Told by the server's own count of such scans in this transaction."""
    scans = text("SELECT name, pg_stat_get_xact_numscans(name::regclass) FROM unnest(CAST(:names AS text[])) name")
    session.rollback()
    before = dict(session.execute(scans, {"names": list(READ_THROUGH)}).all())
    work()
    after = session.execute(scans, {"names": list(READ_THROUGH)}).all()
    session.rollback()
    return ", ".join(name for name, number in after if number > before[name])


def export(database: Database, held: int) -> Taken:
    """A thousand orders of the CSV, the first few thousand of all that it would have."""
    rows, taken, start = orders_csv.rows(database, listing(views.ORDERS, NEWEST_FIRST).batch, NEWEST_FIRST), [], 0.0
    next(rows)
    for _ in range(min(EXPORTED, held) // 1000):
        start = time.perf_counter()
        for _ in range(1000 // orders_csv.BATCH):
            next(rows, "")
        taken.append((time.perf_counter() - start) * 1000)
    return Taken(statistics.median(taken), max(taken))


def answers(database: Database, size: int) -> dict[str, Taken]:
    print(f"\n{size} orders{'':20} p50 ms   p95 ms   read through", flush=True)
    found = {}
    with Session(database.engine) as session:
        for name, work in questions(session).items():
            found[name] = measure(session, work)
            _tell(name, found[name])
    found["CSV of 1,000 orders"] = export(database, size)
    _tell("CSV of 1,000 orders", found["CSV of 1,000 orders"])
    print(f"most memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB", flush=True)
    return found


def _tell(name: str, taken: Taken) -> None:
    print(f"{name:34} {taken.p50:8.1f} {taken.p95:8.1f}   {taken.read_through or '-'}", flush=True)


def compare(sizes: list[int], found: list[dict[str, Taken]]) -> None:
    """What benchmarks/README.md shows: the largest size against the smallest."""
    first, last = found[0], found[-1]
    unit = last[RELATIVE_TO].p50
    print(
        f"\n| {sizes[-1]} against {sizes[0]} orders | p50 ({RELATIVE_TO} = 1) | p50 grows | p95 grows | read through |"
    )
    print("|---|---:|---:|---:|:---|")
    for name, now in last.items():
        p50, p95 = now.p50 / first[name].p50, now.p95 / first[name].p95
        print(f"| {name} | {now.p50 / unit:.1f} | {p50:.1f} | {p95:.1f} | {now.read_through or '-'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    deadline = time.monotonic() + MOST_SECONDS
    with postgres_server() as server, fresh_database(server) as url:
        config = OrderConfig.from_env(environment(url, "orders"))
        install(config, url)
        database = Database(config)
        loader = create_engine(psycopg2_url(url), connect_args={"options": LOADING})
        held, found = [0], []
        for size in options.sizes:
            start = time.monotonic()
            held.append(grow(loader, held[-1], size, options.sizes[-1], deadline))
            print(f"\n{held[-1] - held[-2]} orders added in {time.monotonic() - start:.0f} s", flush=True)
            found.append(answers(database, held[-1]))
        compare(held[1:], found)
        loader.dispose()
        database.close()


if __name__ == "__main__":
    main()
