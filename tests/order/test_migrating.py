"""What migrations make of the orders that are there."""

from __future__ import annotations

from sqlalchemy import text

from common.db import Database
from common.migrations import downgrade, upgrade
from order_service.config import OrderConfig
from tests.support.database import environment, fresh_database, install

BEFORE = (
    """
    INSERT INTO orders (id, number, user_id, status, from_cart, subtotal, discount, shipping, tax, total, currency,
        payment_ttl, placed_at, updated_at)
    SELECT md5(n::text)::uuid, '2026-00000' || n, md5('user' || n)::uuid, 'PAID', true, 10, 0, 0, 0, 10, 'USD',
        '30 min', now() - n * interval '1 day', now() FROM generate_series(1, 3) n
    """,
    """
    INSERT INTO order_items (order_id, position, book_id, title, quantity, unit_price, line_total)
    SELECT id, 1, md5('book')::uuid, CASE number WHEN '2026-000001' THEN 'New title' ELSE 'Old title' END, 1, 10, 10
    FROM orders
    """,
    """
    INSERT INTO mail (id, key, recipient, subject, text, html, due_at, sent_at, created_at)
    SELECT id, 'order_paid:' || id, 'a@example.com', '', '', '', now(), now(), now() FROM orders
    """,
    """
    INSERT INTO payments (id, order_id, provider, method, status, amount, refunded, currency, created_at, updated_at)
    SELECT md5(number || method)::uuid, id, 'simulator', method, outcome, 10, 0, 'USD', now() + after, now()
    FROM orders, (VALUES ('tok_pendingDeclined', 'FAILED', interval '1 s'), ('tok_visa', 'SUCCEEDED', interval '9 s'))
        made (method, outcome, after)
    """,
    """
    INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, order_id, running_until, created_at)
    SELECT user_id, operation, 'k', '', id, now(), now() FROM orders, (VALUES ('pay'), ('refund')) used (operation)
    """,
)
AFTER = {
    "SELECT count(*) FROM book_orders JOIN orders o ON o.id = order_id AND o.placed_at = book_orders.placed_at": [3],
    "SELECT title FROM sold_titles ORDER BY title": ["New title", "Old title"],
    """
    SELECT count(*) FROM owed_letters l JOIN orders o ON o.id = l.subject_id AND o.user_id = l.user_id
    WHERE l.kind = 'order_paid' AND l.written_at IS NOT NULL
    """: [3],
    """
    SELECT count(*) FROM idempotency_keys k JOIN payments p ON p.id = k.payment_id AND p.order_id = k.order_id
    WHERE k.operation = 'pay' AND p.method = 'tok_pendingDeclined'
    """: [3],
    "SELECT count(*) FROM idempotency_keys WHERE payment_id IS NULL AND operation = 'refund'": [3],
}


def test_orders_from_before_are_searched_and_their_letters_and_keys_known(postgres_url: str) -> None:
    with fresh_database(postgres_url) as url:
        config = OrderConfig.from_env(environment(url, OrderConfig.schema))
        install(config, url)
        downgrade(config, "0006")
        database = Database(config)
        with database.transaction() as session:
            for statement in BEFORE:
                session.execute(text(statement))
        upgrade(config)
        with database.read() as session:
            assert {each: session.scalars(text(each)).all() for each in AFTER} == AFTER
        database.close()
