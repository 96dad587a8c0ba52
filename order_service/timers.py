"""What the order service does by the clock; each finds its work in rows, so that any number of workers may try."""

from __future__ import annotations

from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy.exc import DBAPIError

from common.db import Database
from common.errors import Unavailable
from common.mail import prune_mail, send_mail
from common.telemetry import get_logger
from common.worker import Timer, in_one_session
from order_service.config import OrderConfig
from order_service.domain import decisions, guests, idempotency, letters, payments, prebooks
from order_service.payments import open_provider, processing, simulated_webhooks
from order_service.payments.simulator import Simulator

log = get_logger(__name__)
OLDEST_PENDING = Gauge("oldest_pending_order_age_seconds", "How long the oldest order without a stock decision waits")


def expire_orders(database: Database, _config: OrderConfig) -> None:
    """Cancel what was waited for long enough, each order in a transaction of its own."""
    more = True
    while more:
        with database.transaction() as session:
            late = decisions.overdue(session)
        ended = [_end(database, order_id) for order_id in late]
        more = all(ended) and len(late) == decisions.BATCH


def _end(database: Database, order_id: UUID) -> bool:
    try:
        with database.transaction() as session:
            decisions.expire(session, order_id)
    except Exception as error:  # one that cannot be cancelled must not keep the others' books
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        log.exception("order_not_expired", order_id=str(order_id))
        return False
    return True


def redrive_orders(database: Database, config: OrderConfig) -> None:
    """Ask the catalog again about orders that it has not decided on."""
    with database.transaction() as session:
        decisions.redrive(session, config.redrive_after)


def finish_payments(database: Database, config: OrderConfig) -> None:
    """Ask the provider again about attempts and refunds that a crash or an outage left open."""
    provider = open_provider(config, database)
    with database.transaction() as session:
        attempts, refunds = payments.stuck_payments(session), payments.pending_refunds(session)
    work = [(processing.resolve, each) for each in attempts] + [(processing.give_back, each) for each in refunds]
    for carry_out, opened in work:
        try:
            carry_out(database, provider, opened)
        except Unavailable:
            log.warning("payment_provider_unavailable", open=len(work))
            return
        except Exception:  # one that cannot be finished must not hold up the others
            log.exception("payment_not_finished", id=str(opened))


def tell_as_the_simulator(database: Database, config: OrderConfig) -> None:
    """Send the simulator's webhooks, where it is the provider."""
    if config.payment_provider == Simulator.name:
        simulated_webhooks.deliver(database, config.order_url)


def measure(database: Database, _config: OrderConfig) -> None:
    with database.read() as session:
        OLDEST_PENDING.set(decisions.longest_wait(session).total_seconds())


def write_letters(database: Database, config: OrderConfig) -> None:
    """Write the mails that are owed, each in a transaction of its own."""
    with database.read() as session:
        owed = letters.due(session)
    for kind, subject_id in owed:
        try:
            with database.transaction() as session:
                letters.write(session, kind, subject_id, config.public_url)
        except Exception as error:  # one that cannot be written must not hold up the others
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise  # that is no fault of the letter
            log.exception("letter_not_written", kind=kind, subject=str(subject_id))
            with database.transaction() as session:
                letters.put_off(session, kind, subject_id)


def expire_offers(database: Database, _config: OrderConfig) -> None:
    """Give the copies that somebody did not come for, or that were left, to the next in the queue."""
    with database.read() as session:
        late = prebooks.overdue(session)
    for book_id in late:
        with database.transaction() as session:
            prebooks.expire(session, book_id)


TIMERS = (
    Timer("measure-orders", 10.0, measure),
    Timer("write-letters", 1.0, write_letters),
    Timer("send-mail", 1.0, send_mail),
    Timer("prune-mail", 3600.0, prune_mail),
    Timer("expire-offers", 30.0, expire_offers),
    Timer("give-up-letters", 3600.0, in_one_session(letters.give_up)),
    Timer("expire-orders", 5.0, expire_orders),
    Timer("redrive-orders", 5.0, redrive_orders),
    Timer("finish-payments", 5.0, finish_payments),
    Timer("simulated-webhooks", 2.0, tell_as_the_simulator),
    Timer("prune-webhooks", 3600.0, in_one_session(payments.prune_notices)),
    Timer("prune-guest-carts", 3600.0, in_one_session(guests.prune)),
    Timer("prune-idempotency-keys", 3600.0, in_one_session(idempotency.prune)),
)
