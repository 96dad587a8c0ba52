"""From an attempt that is written down to its outcome: the provider is asked while no transaction is open."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from uuid import UUID

from common.db import Database, utcnow
from common.errors import Unavailable
from common.failpoints import reach
from common.telemetry import get_logger
from order_service.domain import payments
from order_service.domain.status import PAYABLE
from order_service.domain.totals import ZERO
from order_service.models import Order, Payment, PaymentStatus, Refund, RefundStatus
from order_service.payments.provider import Charge, Entry, Notice, PaymentProvider, Return

log = get_logger(__name__)


def charge(database: Database, provider: PaymentProvider, payment_id: UUID) -> Payment:
    """Carry out an attempt, for the first time or again. Raises Unavailable with the attempt left as it is."""
    attempt = _payment(database, payment_id)
    if attempt.amount == ZERO:
        outcome = Charge(None)
    else:
        _require(provider, attempt)
        outcome = provider.charge(str(attempt.id), attempt.amount, attempt.currency, attempt.method)
    reach("payment.after_charge")
    return _settle(database, provider, payment_id, outcome)


def resolve(database: Database, provider: PaymentProvider, payment_id: UUID) -> Payment:
    """Find out what became of an attempt, and charge only if somebody still waits for it. Raises Unavailable."""
    attempt = _payment(database, payment_id)
    if attempt.reference is None and _is_wanted(database, provider, attempt):
        return charge(database, provider, payment_id)
    _require(provider, attempt)
    if attempt.reference:
        entry = provider.look_up(attempt.reference)
        if entry is None:
            raise LookupError(f"{provider.name} does not know {attempt.reference}")
    else:
        entry = provider.find(str(attempt.id), attempt.created_at)
    return _settle(database, provider, payment_id, entry.charge if entry else Charge(None, "abandoned"))


def give_back(database: Database, provider: PaymentProvider, refund_id: UUID) -> None:
    """Carry out a refund that was promised, for the first time or again. Raises Unavailable."""
    with database.read() as session:
        refund = session.get_one(Refund, refund_id)
        payment = session.get_one(Payment, refund.payment_id)
    given = Return(None, RefundStatus.SUCCEEDED)
    if payment.provider != payments.BY_HAND and payment.reference and refund.amount:
        _require(provider, payment)
        given = provider.refund(str(refund.id), payment.reference, refund.amount, payment.currency)
    if given.status == RefundStatus.FAILED:
        log.error("refund_failed", refund_id=str(refund_id))
    reach("payment.after_refund")
    with database.transaction() as session:
        payments.complete_refund(session, refund_id, given)


def hear(database: Database, provider: PaymentProvider, notice: Notice) -> None:
    """Act on a webhook, once: whatever it says, the provider is asked how things stand. Raises Unavailable."""
    with database.read() as session:
        if payments.knows_notice(session, provider.name, notice.event_id):
            return
    entry = provider.look_up(notice.reference) if notice.reference else None
    known = of_entry(database, provider, entry) if entry else None
    if entry and known:
        _settle(database, provider, known.id, entry.charge)
    with database.transaction() as session:
        payments.remember_notice(session, provider.name, notice.event_id)


def of_entry(database: Database, provider: PaymentProvider, entry: Entry) -> Payment | None:
    """The attempt for which a charge was made; None if it is none of ours."""
    with suppress(ValueError), database.read() as session:
        known = session.get(Payment, UUID(entry.key))
        return known if known and known.provider == provider.name else None
    return None


def send_back(provider: PaymentProvider, entry: Entry, amount: Decimal) -> bool:
    """Return money that belongs to no order of ours; once, however often it is asked for. Whether it is on its way."""
    log.warning("charge_sent_back", provider=provider.name, reference=entry.charge.reference)
    given = provider.refund(f"orphan-{entry.key}", str(entry.charge.reference), amount, entry.currency)
    return given.status != RefundStatus.FAILED


def _settle(database: Database, provider: PaymentProvider, payment_id: UUID, outcome: Charge) -> Payment:
    """Write down what came of an attempt.

    What came for one that had been given up goes back: its order may have ended, or been paid by another attempt since.
    """
    with database.transaction() as session:
        attempt = payments.settle(session, payment_id, outcome)
    if attempt.status == PaymentStatus.FAILED and outcome.is_captured and outcome.reference:
        entry = provider.look_up(outcome.reference)
        if entry and entry.kept > ZERO:
            send_back(provider, entry, entry.kept)
    return attempt


def _payment(database: Database, payment_id: UUID) -> Payment:
    with database.read() as session:
        return session.get_one(Payment, payment_id)


def _is_wanted(database: Database, provider: PaymentProvider, attempt: Payment) -> bool:
    """Whether to charge for an attempt again: its key must still be good, and its order be waiting for the money."""
    if provider.keys_last and utcnow() - attempt.created_at > provider.keys_last:
        return False
    with database.read() as session:
        return session.get_one(Order, attempt.order_id).status in PAYABLE


def _require(provider: PaymentProvider, payment: Payment) -> None:
    """An older payment may be of a provider that is no longer the store's."""
    if payment.provider != provider.name:
        raise Unavailable(f"The payment provider {payment.provider} is not connected.")
