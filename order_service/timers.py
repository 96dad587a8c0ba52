"""What the order service does by the clock; each finds its work in rows, so that any number of workers may try."""

from __future__ import annotations

from common.db import Database
from common.errors import Unavailable
from common.telemetry import get_logger
from common.worker import Timer, in_one_session
from order_service.config import OrderConfig
from order_service.domain import decisions, idempotency, payments
from order_service.payments import open_provider, processing

log = get_logger(__name__)


def expire_orders(database: Database, _config: OrderConfig) -> None:
    """Cancel what was waited for long enough, batch by batch."""
    more = True
    while more:
        with database.transaction() as session:
            more = decisions.expire(session) == decisions.BATCH


def finish_payments(database: Database, config: OrderConfig) -> None:
    """Ask the provider again about attempts and refunds that a crash or an outage left open."""
    provider = open_provider(config, database)
    with database.read() as session:
        attempts, refunds = payments.stuck_payments(session), payments.pending_refunds(session)
    try:
        for payment_id in attempts:
            processing.charge(database, provider, payment_id)
        for refund_id in refunds:
            processing.give_back(database, provider, refund_id)
    except Unavailable:
        log.warning("payment_provider_unavailable", open=len(attempts) + len(refunds))


TIMERS = (
    Timer("expire-orders", 5.0, expire_orders),
    Timer("finish-payments", 5.0, finish_payments),
    Timer("prune-idempotency-keys", 3600.0, in_one_session(idempotency.prune)),
)
