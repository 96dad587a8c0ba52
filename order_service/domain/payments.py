"""Paying and giving back: what is recorded before and after the provider is asked, each time in its own transaction.

An attempt is committed before the provider hears of it, under a key that makes it charge once. So a crash in
between leaves an attempt that can be asked about again, and never a charge that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.errors import Conflict, Invalid, NotFound
from common.events.orders import OrderRefunded
from order_service.domain import invoices, status
from order_service.domain.status import PAYABLE, IllegalTransition
from order_service.domain.totals import ZERO
from order_service.models import Order, Payment, PaymentStatus, Refund, RefundStatus, Status
from order_service.payments.provider import Charge

PROVIDER = "payment-provider"
BY_HAND = "manual"
"""Not a provider: money that the staff took, and give back, outside of the store."""

STUCK_AFTER = timedelta(seconds=30)
BATCH = 50


class PaymentInProgress(Conflict):
    code = "payment_in_progress"


class NotPaid(Conflict):
    code = "not_paid"


class RefundTooLarge(Conflict):
    code = "refund_too_large"


class RefundPending(Conflict):
    code = "refund_pending"


def begin(session: Session, order: Order, *, provider: str, method: str) -> Payment:
    """An attempt to charge for a locked order. Raises IllegalTransition or PaymentInProgress."""
    if order.status not in PAYABLE:
        raise IllegalTransition(f"An order that is {order.status} cannot be paid.")
    if _captured_or_processing(session, order.id):
        raise PaymentInProgress("A payment for this order is under way.")
    payment = Payment(
        order_id=order.id,
        provider=provider,
        method=method,
        amount=order.total,
        refunded=ZERO,
        currency=order.currency,
    )
    session.add(payment)
    session.flush()
    return payment


def settle(session: Session, payment_id: UUID, charge: Charge) -> Payment:
    """Write down what the provider said; saying it again changes nothing.

    Money that arrives for an order which can no longer be paid goes back.
    """
    order = status.lock(session, _order_of(session, payment_id))
    payment = _locked_payment(session, payment_id)
    if payment.status != PaymentStatus.PROCESSING:
        return payment
    payment.reference, payment.failure = charge.reference, charge.failure
    payment.status = PaymentStatus.FAILED if charge.failure else PaymentStatus.SUCCEEDED
    session.flush()
    if order.status in PAYABLE:
        to = Status.PAYMENT_FAILED if charge.failure else Status.PAID
        status.change(session, order, to, actor=PROVIDER, reason=charge.failure)
        if to == Status.PAID:
            invoices.issue(session, order)
    elif not charge.failure:
        _open_refund(session, payment, payment.amount, restock=False, actor=PROVIDER, reason="paid_too_late")
    return payment


def take_by_hand(session: Session, order: Order, *, actor: str, reason: str) -> Payment:
    """Money that came some other way, by the staff's word. Raises PaymentInProgress."""
    payment = begin(session, order, provider=BY_HAND, method=BY_HAND)
    payment.status = PaymentStatus.SUCCEEDED
    session.flush()
    status.change(session, order, Status.PAID, actor=actor, reason=reason)
    invoices.issue(session, order)
    return payment


def refund(
    session: Session,
    order: Order,
    amount: Decimal | None,
    *,
    restock: bool,
    actor: str,
    reason: str | None,
) -> Refund:
    """Promise money back for a locked order: `amount`, or all that is left. Raises NotPaid, RefundTooLarge, Invalid."""
    payment_id = _captured_or_processing(session, order.id)
    payment = _locked_payment(session, payment_id) if payment_id else None
    if payment is None or payment.status != PaymentStatus.SUCCEEDED:
        raise NotPaid("Nothing has been paid for this order.")
    left = payment.amount - payment.refunded
    wanted = left if amount is None else amount
    if wanted > left or _is_refunded(order, payment):
        raise RefundTooLarge(f"At most {left} can still be refunded.", refundable=str(left))
    if restock and wanted < left:
        raise Invalid.field("restock", "needs a refund of all that is left")
    return _open_refund(session, payment, wanted, restock=restock, actor=actor, reason=reason)


def _is_refunded(order: Order, payment: Payment) -> bool:
    """What cost nothing is given back by the order's end alone."""
    if payment.amount == ZERO:
        return Status.REFUNDED not in status.TRANSITIONS[Status(order.status)]
    return payment.refunded == payment.amount


def _open_refund(
    session: Session, payment: Payment, amount: Decimal, *, restock: bool, actor: str, reason: str | None
) -> Refund:
    payment.refunded += amount
    opened = Refund(payment_id=payment.id, amount=amount, restock=restock, actor=actor, reason=reason)
    session.add(opened)
    session.flush()
    return opened


def complete_refund(session: Session, refund_id: UUID) -> None:
    """The provider has given the money back. All of it back is the end of the order."""
    payment_id = session.scalar(select(Refund.payment_id).where(Refund.id == refund_id))
    if payment_id is None:
        raise NotFound
    order = status.lock(session, _order_of(session, payment_id))
    payment = _locked_payment(session, payment_id)
    done = session.scalars(select(Refund).where(Refund.id == refund_id).with_for_update()).one()
    if done.status == RefundStatus.SUCCEEDED:
        return
    done.status = RefundStatus.SUCCEEDED
    session.flush()
    invoices.credit(session, order, done)
    if payment.refunded == payment.amount and not has_pending_refund(session, order.id):
        _end_refunded(session, order, payment, done)


def _end_refunded(session: Session, order: Order, payment: Payment, last: Refund) -> None:
    if Status.REFUNDED not in status.TRANSITIONS[Status(order.status)]:
        return  # money for an order that was cancelled before it came
    status.change(session, order, Status.REFUNDED, actor=last.actor, reason=last.reason)
    outbox.record(
        session,
        OrderRefunded(
            order_id=order.id,
            user_id=order.user_id,
            amount=payment.amount,
            currency=payment.currency,
            restock=_is_restocked(session, payment),
            lines=status.lines(order),
        ),
    )


def _is_restocked(session: Session, payment: Payment) -> bool:
    """Whether any of its refunds asked for it: they may end in another order than they were promised in."""
    return bool(session.scalar(select(exists().where(Refund.payment_id == payment.id, Refund.restock))))


def has_pending_refund(session: Session, order_id: UUID) -> bool:
    pending = (
        select(Refund.id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.order_id == order_id, Refund.status == RefundStatus.PENDING)
        .limit(1)
    )
    return session.scalar(pending) is not None


def latest(session: Session, order_id: UUID) -> Payment:
    """The last attempt to pay for an order. Raises NotFound when there was none."""
    found = session.scalar(select(Payment).where(Payment.order_id == order_id).order_by(Payment.id.desc()).limit(1))
    if found is None:
        raise NotFound
    return found


def stuck_payments(session: Session) -> Sequence[UUID]:
    """Attempts whose process died between asking the provider and writing down its answer."""
    return session.scalars(
        select(Payment.id)
        .where(Payment.status == PaymentStatus.PROCESSING, Payment.created_at < utcnow() - STUCK_AFTER)
        .order_by(Payment.created_at)
        .limit(BATCH)
    ).all()


def pending_refunds(session: Session, *, older_than: timedelta = timedelta(seconds=5)) -> Sequence[UUID]:
    return session.scalars(
        select(Refund.id)
        .where(Refund.status == RefundStatus.PENDING, Refund.created_at < utcnow() - older_than)
        .order_by(Refund.created_at)
        .limit(BATCH)
    ).all()


def _order_of(session: Session, payment_id: UUID) -> UUID:
    return session.scalars(select(Payment.order_id).where(Payment.id == payment_id)).one()


def _locked_payment(session: Session, payment_id: UUID) -> Payment:
    statement = select(Payment).where(Payment.id == payment_id).with_for_update()
    return session.scalars(statement.execution_options(populate_existing=True)).one()


def _captured_or_processing(session: Session, order_id: UUID) -> UUID | None:
    """The order's one payment that has not failed."""
    return session.scalar(
        select(Payment.id).where(Payment.order_id == order_id, Payment.status != PaymentStatus.FAILED)
    )
