"""From an attempt that is written down to its outcome: the provider is asked while no transaction is open."""

from __future__ import annotations

from uuid import UUID

from common.db import Database
from common.failpoints import reach
from order_service.domain import payments
from order_service.models import Payment, Refund
from order_service.payments.provider import PaymentProvider


def charge(database: Database, provider: PaymentProvider, payment_id: UUID) -> Payment:
    """Carry out an attempt, for the first time or again. Raises Unavailable with the attempt left as it is."""
    with database.read() as session:
        attempt = session.get_one(Payment, payment_id)
    outcome = provider.charge(str(attempt.id), attempt.amount, attempt.currency, attempt.method)
    reach("payment.after_charge")
    with database.transaction() as session:
        return payments.settle(session, payment_id, outcome)


def give_back(database: Database, provider: PaymentProvider, refund_id: UUID) -> None:
    """Carry out a refund that was promised, for the first time or again. Raises Unavailable."""
    with database.read() as session:
        refund = session.get_one(Refund, refund_id)
        payment = session.get_one(Payment, refund.payment_id)
    if payment.provider != payments.BY_HAND:
        provider.refund(str(refund.id), str(refund.payment_id), refund.amount)
    reach("payment.after_refund")
    with database.transaction() as session:
        payments.complete_refund(session, refund_id)
