"""What the order service does by the clock; each finds its work in rows, so that any number of workers may try."""

from __future__ import annotations

from common.db import Database
from common.errors import Unavailable
from common.telemetry import get_logger
from common.worker import Timer, in_one_session
from order_service.config import OrderConfig
from order_service.domain import decisions, guests, idempotency, payments
from order_service.payments import open_provider, processing

log = get_logger(__name__)


def expire_orders(database: Database, _config: OrderConfig) -> None:
    """Cancel what was waited for long enough, batch by batch."""
    more = True
    while more:
        with database.transaction() as session:
            more = decisions.expire(session) == decisions.BATCH


def redrive_orders(database: Database, config: OrderConfig) -> None:
    """Ask the catalog again about orders that it has not decided on."""
    with database.transaction() as session:
        decisions.redrive(session, config.redrive_after)


def finish_payments(database: Database, config: OrderConfig) -> None:
    """Ask the provider again about attempts and refunds that a crash or an outage left open."""
    provider = open_provider(config, database)
    with database.read() as session:
        attempts, refunds = payments.stuck_payments(session), payments.pending_refunds(session)
    work = [(processing.charge, each) for each in attempts] + [(processing.give_back, each) for each in refunds]
    for carry_out, opened in work:
        try:
            carry_out(database, provider, opened)
        except Unavailable:
            log.warning("payment_provider_unavailable", open=len(work))
            return
        except Exception:  # one that cannot be finished must not hold up the others
            log.exception("payment_not_finished", id=str(opened))


TIMERS = (
    Timer("expire-orders", 5.0, expire_orders),
    Timer("redrive-orders", 5.0, redrive_orders),
    Timer("finish-payments", 5.0, finish_payments),
    Timer("prune-guest-carts", 3600.0, in_one_session(guests.prune)),
    Timer("prune-idempotency-keys", 3600.0, in_one_session(idempotency.prune)),
)
