"""What a storm has left behind, counted in the databases and compared with what the buyers were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

Query = Callable[..., list[Any]]
SCHEMAS = ("auth", "catalog", "orders", "reviews")
ROUTES = (
    ("orders", "orders.order_placed.v1", "catalog"),
    ("orders", "orders.order_paid.v1", "catalog"),
    ("orders", "orders.order_paid.v1", "reviews"),
    ("orders", "orders.order_cancelled.v1", "catalog"),
    ("orders", "orders.order_refunded.v1", "catalog"),
    ("orders", "orders.order_refunded.v1", "reviews"),
    ("catalog", "catalog.stock_changed.v1", "orders"),
    ("catalog", "catalog.stock_reserved.v1", "orders"),
    ("catalog", "catalog.stock_rejected.v1", "orders"),
    ("auth", "auth.user_registered.v1", "catalog"),
    ("auth", "auth.user_registered.v1", "orders"),
)
"""Which events must reach whom: publisher, name, consumer."""

OURS = """WITH ours AS (
    SELECT o.* FROM orders.orders o WHERE EXISTS (
        SELECT FROM orders.order_items i WHERE i.order_id = o.id AND i.book_id = ANY(%s::uuid[]))
)"""
UNSENT = "SELECT count(*) FROM {schema}.outbox WHERE sent_at IS NULL"
UNHANDLED = "SELECT count(*) FROM {schema}.inbox WHERE handled_at IS NULL AND dead_at IS NULL"
DEAD = "SELECT count(*) FROM {schema}.inbox WHERE dead_at >= %s"
ON_THE_WAY = """
SELECT count(*) FROM {publisher}.outbox sent WHERE sent.name = %s AND sent.recorded_at >= %s
AND NOT EXISTS (SELECT FROM {consumer}.inbox got WHERE got.id = sent.id)"""
MONEY_UNDER_WAY = """
SELECT (SELECT count(*) FROM orders.payments WHERE status = 'PROCESSING')
     + (SELECT count(*) FROM orders.refunds WHERE status = 'PENDING')"""
TWICE = """
SELECT count(*) FROM (
    SELECT FROM orders.order_history h JOIN ours ON ours.id = h.order_id
    WHERE h.status <> 'PAYMENT_FAILED' GROUP BY h.order_id, h.status HAVING count(*) > 1) AS twice"""
ANSWERED_TWICE = """
, answers AS (
    SELECT key, count(*) AS number FROM catalog.outbox
    WHERE name IN ('catalog.stock_reserved.v1', 'catalog.stock_rejected.v1') GROUP BY key
), questions AS (
    SELECT key, count(*) AS number FROM orders.outbox WHERE name = 'orders.order_placed.v1' GROUP BY key
)
SELECT COALESCE(sum(GREATEST(0, answers.number - COALESCE(questions.number, 0))), 0)
FROM ours JOIN answers ON answers.key = ours.id::text LEFT JOIN questions ON questions.key = answers.key"""
STOCK = """
SELECT b.id, b.on_hand, b.reserved,
    COALESCE(sum(i.quantity) FILTER (WHERE ours.status IN ('CONFIRMED', 'PAYMENT_FAILED')), 0) AS held,
    COALESCE(sum(i.quantity) FILTER (WHERE ours.status IN ('PAID', 'SHIPPED', 'DELIVERED')), 0) AS sold,
    (SELECT COALESCE(sum(m.quantity), 0) FROM catalog.stock_movements m
        WHERE m.book_id = b.id AND m.kind IN ('received', 'corrected')) AS came
FROM catalog.books b LEFT JOIN orders.order_items i ON i.book_id = b.id LEFT JOIN ours ON ours.id = i.order_id
WHERE b.id = ANY(%s::uuid[]) GROUP BY b.id"""
CHARGES = (
    "SELECT count(*), COALESCE(sum(amount - refunded), 0) FROM orders.simulated_charges"
    " WHERE reference IS NOT NULL AND created_at >= %s"
)
PAYMENTS = """
SELECT count(*), COALESCE(sum(p.amount - p.refunded), 0) FROM orders.payments p JOIN ours ON ours.id = p.order_id
WHERE p.status = 'SUCCEEDED'"""
STRAY_CHARGES = """
SELECT o.id::text, o.status, p.status, p.failure FROM orders.simulated_charges c
LEFT JOIN orders.payments p ON p.id::text = c.key LEFT JOIN orders.orders o ON o.id = p.order_id
WHERE c.reference IS NOT NULL AND c.created_at >= %s AND p.status IS DISTINCT FROM 'SUCCEEDED' LIMIT 5"""
UNWRITTEN = """
SELECT count(*) FROM orders.order_history h JOIN ours ON ours.id = h.order_id
WHERE h.status IN ('CONFIRMED', 'PAID', 'SHIPPED', 'CANCELLED')
AND NOT EXISTS (SELECT FROM orders.mail m WHERE m.key = 'order_' || lower(h.status) || ':' || h.order_id)"""
REFUNDS_UNWRITTEN = """
SELECT count(*) FROM orders.refunds r JOIN orders.payments p ON p.id = r.payment_id JOIN ours ON ours.id = p.order_id
WHERE r.status = 'SUCCEEDED' AND NOT EXISTS (SELECT FROM orders.mail m WHERE m.key = 'order_refunded:' || r.id)"""
MAILS = "SELECT id::text FROM orders.mail WHERE created_at >= %s"
UNSENT_MAILS = """
SELECT count(*) FROM orders.mail WHERE sent_at IS NULL AND failed_at IS NULL AND claimed_at IS NULL"""
UNTRUE_BOOKS = """
SELECT count(*) FROM catalog.books b LEFT JOIN orders.books copy ON copy.book_id = b.id
WHERE b.id = ANY(%s::uuid[])
AND (copy.available, copy.price) IS DISTINCT FROM (b.on_hand - b.reserved, b.price)"""
UNTRUE_PURCHASES = """
SELECT count(*) FROM ours JOIN orders.order_items i ON i.order_id = ours.id
LEFT JOIN reviews.purchases p ON p.order_id = ours.id AND p.book_id = i.book_id AND p.withdrawn_at IS NULL
WHERE (ours.status IN ('PAID', 'SHIPPED', 'DELIVERED')) <> (p.order_id IS NOT NULL)"""
UNDECIDED = "SELECT count(*) FROM ours WHERE status = 'PENDING'"
STATUSES = "SELECT id::text, status FROM ours"
PRICES = """
SELECT COALESCE(sum(total), 0) FROM ours WHERE status IN ('PAID', 'SHIPPED', 'DELIVERED')"""


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    value: object
    is_wrong: bool = False

    def __str__(self) -> str:
        return f"  {'✗' if self.is_wrong else ' '} {self.name:<30}{self.value}"


@dataclass(frozen=True)
class Ledger:
    """Of the orders of these books since `began`. `placed` has the ids of those that were acknowledged, by their keys.

    `wanted` is how many the buyers wanted to place.
    """

    query: Query
    books: Sequence[str]
    began: datetime
    mail: Path

    def is_settled(self) -> bool:
        """Nothing is under way any more."""
        under_way = (MONEY_UNDER_WAY, UNSENT_MAILS)
        return (
            self._undecided() == 0
            and self._on_the_way() == 0
            and self._unwritten() == 0
            and not any(self.query(each)[0][0] for each in under_way)
        )

    def lines(self, wanted: int, placed: Mapping[str, str]) -> list[Line]:
        return [
            *self._orders(wanted, placed),
            *self._events(),
            *self._stock(),
            *self._copies(),
            *self._money(),
            *self._mails(),
        ]

    def _count(self, statement: str) -> int:
        return int(self._of_ours(statement)[0][0])

    def _of_ours(self, statement: str, *values: object) -> list[Any]:
        return self.query(OURS + statement, list(self.books), *values)

    def _undecided(self) -> int:
        return self._count(UNDECIDED)

    def _on_the_way(self) -> int:
        waiting = sum(
            self.query(each.format(schema=schema))[0][0] for schema in SCHEMAS for each in (UNSENT, UNHANDLED)
        )
        return int(waiting) + self._undelivered()

    def _undelivered(self) -> int:
        return sum(
            self.query(ON_THE_WAY.format(publisher=publisher, consumer=consumer), name, self.began)[0][0]
            for publisher, name, consumer in ROUTES
        )

    def _orders(self, wanted: int, placed: Mapping[str, str]) -> list[Line]:
        rows = self._of_ours(STATUSES)
        known, statuses = {id for id, _ in rows}, Counter(status for _, status in rows)
        undecided = statuses["PENDING"]
        lost = wanted - len(placed) + len(set(placed.values()) - known)
        surplus = len(known - set(placed.values())) + len(placed) - len(set(placed.values()))
        told = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
        return [
            Line("orders wanted", wanted),
            Line("orders placed", len(placed), len(placed) != wanted),
            Line("orders decided", f"{len(rows) - undecided} ({told})", len(rows) - undecided != wanted),
            Line("orders lost", lost + undecided, lost + undecided != 0),
            Line("orders doubled", surplus, surplus != 0),
            *self._doubled(),
        ]

    def _doubled(self) -> list[Line]:
        twice, answered = self._count(TWICE), self._count(ANSWERED_TWICE)
        return [
            Line("changes of status doubled", twice, twice != 0),
            Line("answers of the stock doubled", answered, answered != 0),
        ]

    def _events(self) -> list[Line]:
        lost = self._undelivered()
        dead = sum(self.query(DEAD.format(schema=schema), self.began)[0][0] for schema in SCHEMAS)
        return [Line("events lost", lost, lost != 0), Line("dead letters", dead, dead != 0)]

    def _stock(self) -> list[Line]:
        rows = self._of_ours(STOCK, list(self.books))
        oversold = sum(max(0, held + sold - came) for _, _, _, held, sold, came in rows)
        wrong = sum(
            not (on_hand == came - sold and reserved == held and 0 <= reserved <= on_hand)
            for _, on_hand, reserved, held, sold, came in rows
        )
        return [
            Line("copies oversold", oversold, oversold != 0),
            Line("books with wrong stock", f"{wrong} of {len(rows)}", wrong != 0),
        ]

    def _copies(self) -> list[Line]:
        """What others keep of these books and of who bought them: news that had no effect are lost as well."""
        ((books,),), purchases = self.query(UNTRUE_BOOKS, list(self.books)), self._count(UNTRUE_PURCHASES)
        return [
            Line("books known wrongly", books, books != 0),
            Line("purchases known wrongly", purchases, purchases != 0),
        ]

    def _money(self) -> list[Line]:
        ((charges, charged),) = self.query(CHARGES, self.began)
        ((payments, captured),) = self._of_ours(PAYMENTS)
        ((owed,),) = self._of_ours(PRICES)
        ((under_way,),) = self.query(MONEY_UNDER_WAY)
        return [
            Line("charges", charges),
            Line("charges doubled", f"{charges - payments} {self._strays()}".rstrip(), charges != payments),
            Line("money kept", f"{charged}, for orders of {owed}", not charged == captured == owed),
            Line("charges and refunds undecided", under_way, under_way != 0),
        ]

    def _strays(self) -> str:
        """Some of the charges that no payment accounts for: order, its status, the payment's and its failure."""
        strays = self.query(STRAY_CHARGES, self.began)
        return ", ".join("/".join(str(each) for each in stray) for stray in strays)

    def _unwritten(self) -> int:
        return self._count(UNWRITTEN) + self._count(REFUNDS_UNWRITTEN)

    def _mails(self) -> list[Line]:
        """Whatever was to be written must lie in the folder, by its id; told twice is what has the same words."""
        letters = {path.stem: message_from_bytes(path.read_bytes()) for path in self.mail.glob("*.eml")}
        said = Counter((each["To"], each["Subject"]) for each in letters.values())
        doubled = sum(number - 1 for number in said.values())
        lost = self._unwritten() + sum(id not in letters for (id,) in self.query(MAILS, self.began))
        return [
            Line("mails", len(letters)),
            Line("mails doubled", doubled, doubled != 0),
            Line("mails lost", lost, lost != 0),
        ]
