"""One order under any order of attempts, webhooks, timers, cancellations and refunds: the money adds up each time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import String, cast, func, select, text

from common.db import Database
from common.ids import new_id
from order_service.config import OrderConfig
from order_service.events import HANDLERS
from order_service.models import Payment, PaymentStatus, SimulatedCharge
from order_service.payments import processing
from order_service.payments.provider import Notice
from order_service.payments.simulator import Simulator
from order_service.timers import finish_payments
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver

METHODS = ("tok_visa", "tok_chargeDeclined", "tok_lostAnswer", "tok_pending", "tok_pendingDeclined")
STEPS = (*METHODS, "webhooks", "time", "timer", "cancel", "part", "refund", "ship")


def an_hour_goes_by(database: Database) -> None:
    with database.transaction() as session:
        for table in ("payments", "refunds"):
            session.execute(text(f"UPDATE {table} SET created_at = created_at - interval '1 hour', asked_at = NULL"))
        session.execute(text("UPDATE simulated_charges SET settles_at = settles_at - interval '1 hour'"))


def every_webhook_twice(database: Database, order_id: UUID) -> None:
    provider = Simulator(database)
    attempts = select(cast(Payment.id, String)).where(Payment.order_id == order_id)
    with database.read() as session:
        references = session.scalars(select(SimulatedCharge.reference).where(SimulatedCharge.key.in_(attempts))).all()
    for reference in [*references, *references]:
        processing.hear(database, provider, Notice(f"evt_{reference}_{new_id()}", reference))


def steps(shop: Shop, database: Database, config: OrderConfig, order_id: str) -> dict[str, Callable[[], object]]:
    path = f"/admin/orders/{order_id}/refund"
    paying = {method: lambda method=method: shop.pay(order_id, method) for method in METHODS}
    return {
        **paying,
        "webhooks": lambda: every_webhook_twice(database, UUID(order_id)),
        "time": lambda: an_hour_goes_by(database),
        "timer": lambda: finish_payments(database, config),
        "cancel": lambda: shop.post(f"/orders/{order_id}/cancel"),
        "part": lambda: shop.post(path, {"amount": "5.00"}, staff=True),
        "refund": lambda: shop.post(path, staff=True),
        "ship": lambda: shop.move(order_id, "SHIPPED"),
    }


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.sampled_from(STEPS), min_size=2, max_size=9))
def test_what_is_kept_is_what_the_order_says(
    shop: Shop, database: Database, config: OrderConfig, plan: list[str]
) -> None:
    book = new_id()
    deliver(database, HANDLERS, told(book))
    order_id = shop.confirmed(book)
    possible = steps(shop, database, config, order_id)
    for step in [*plan, "time", "timer", "webhooks", "time", "timer"]:
        possible[step]()
    order = shop.get(f"/orders/{order_id}").json
    expected = Decimal("12.99") if order["status"] in ("PAID", "SHIPPED", "DELIVERED") else Decimal(0)
    if expected:
        expected -= Decimal(order["payment"]["refunded"])
    assert kept_there(database, UUID(order_id)) == expected, (plan, order["status"])


def kept_there(database: Database, order_id: UUID) -> Decimal:
    """What the provider has of an order's money; of no order is any attempt left open."""
    with database.read() as session:
        ids = session.execute(select(Payment.id, Payment.status).where(Payment.order_id == order_id)).all()
        assert all(row.status != PaymentStatus.PROCESSING for row in ids)
        kept = func.sum(SimulatedCharge.amount - SimulatedCharge.refunded)
        charged = SimulatedCharge.failure.is_(None), SimulatedCharge.key.in_([str(row.id) for row in ids])
        return session.scalar(select(kept).where(*charged)) or Decimal(0)
