"""Paying and giving back: what is recorded before and after the provider is asked, each time in its own transaction.

An attempt is committed before the provider hears of it, under a key that makes it charge once. So a crash in
between leaves an attempt that can be asked about again, and never a charge that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, exists, extract, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.errors import Conflict, Invalid, NotFound
from common.events.orders import OrderRefunded
from common.ids import new_id
from order_service.domain import invoices, letters, sales, status
from order_service.domain.status import PAYABLE, IllegalTransition
from order_service.domain.totals import ZERO
from order_service.models import Order, Payment, PaymentStatus, Refund, RefundStatus, Status, WebhookEvent
from order_service.payments.provider import Charge, Return

PROVIDER = "payment-provider"
BY_HAND = "manual"
"""Not a provider: money that the staff took, and give back, outside of the store."""

TOO_LATE = "paid_too_late"
STUCK_AFTER = timedelta(seconds=30)
PATIENCE = 10
"""What has been open for long is asked about after a tenth of that time only."""
BATCH = 50
NOTICES_KEPT_FOR = timedelta(days=60)


class PaymentInProgress(Conflict):
    code = "payment_in_progress"


class NotPaid(Conflict):
    code = "not_paid"


class RefundTooLarge(Conflict):
    code = "refund_too_large"


class RefundPending(Conflict):
    code = "refund_pending"


def begin(session: Session, order: Order, *, provider: str, method: str, payment_id: UUID | None = None) -> Payment:
    """An attempt to charge for a locked order. Raises IllegalTransition or PaymentInProgress."""
    if order.status not in PAYABLE:
        raise IllegalTransition(f"An order that is {order.status} cannot be paid.")
    if _captured_or_processing(session, order.id):
        raise PaymentInProgress("A payment for this order is under way.")
    payment = Payment(
        id=payment_id or new_id(),
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
    An attempt that is over stays what it was: what came for it all the same, `processing` returns.
    """
    order = status.lock(session, _order_of(session, payment_id))
    payment = _locked_payment(session, payment_id)
    if payment.status != PaymentStatus.PROCESSING:
        return payment
    payment.reference, payment.failure = charge.reference, charge.failure
    if charge.is_pending:
        return payment
    payment.status = PaymentStatus.FAILED if charge.failure else PaymentStatus.SUCCEEDED
    session.flush()
    if order.status in PAYABLE:
        to = Status.PAYMENT_FAILED if charge.failure else Status.PAID
        status.change(session, order, to, actor=PROVIDER, reason=charge.failure)
        if to == Status.PAID:
            invoices.issue(session, order)
    elif not charge.failure:
        _open_refund(session, payment, payment.amount, restock=False, actor=PROVIDER, reason=TOO_LATE)
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


def complete_refund(session: Session, refund_id: UUID, given: Return) -> None:
    """Write down what the provider did about a refund. All the money back is the end of the order."""
    payment_id = session.scalar(select(Refund.payment_id).where(Refund.id == refund_id))
    if payment_id is None:
        raise NotFound
    order = status.lock(session, _order_of(session, payment_id))
    payment = _locked_payment(session, payment_id)
    done = session.scalars(select(Refund).where(Refund.id == refund_id).with_for_update()).one()
    if done.status != RefundStatus.PENDING:
        return
    done.status, done.reference = given.status, given.reference
    if given.status == RefundStatus.FAILED:
        payment.refunded -= done.amount  # it is still ours, and may be promised again
    session.flush()
    if given.status != RefundStatus.SUCCEEDED:
        return
    done.completed_at = utcnow()
    session.flush()
    sales.given_back(session, done.id)
    invoices.credit(session, order, done)
    letters.owe(session, letters.REFUNDED, done.id, order.user_id)
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


def give_back_again(session: Session, payment_id: UUID) -> Refund | None:
    """Promise once more what is left of the money for a cancelled order, of which a refund has failed."""
    order = status.lock(session, _order_of(session, payment_id))
    payment = _locked_payment(session, payment_id)
    left = payment.amount - payment.refunded
    if order.status != Status.CANCELLED or payment.status != PaymentStatus.SUCCEEDED or left == ZERO:
        return None
    return _open_refund(session, payment, left, restock=False, actor=PROVIDER, reason=TOO_LATE)


def has_pending_refund(session: Session, order_id: UUID) -> bool:
    pending = (
        select(Refund.id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.order_id == order_id, Refund.status == RefundStatus.PENDING)
        .limit(1)
    )
    return session.scalar(pending) is not None


def stuck_payments(session: Session) -> Sequence[UUID]:
    """Take a batch of attempts on which nobody works any more, or on which the provider has not decided.

    They are another worker's only when they are due again.
    """
    return _take(session, Payment, PaymentStatus.PROCESSING, STUCK_AFTER)


def pending_refunds(session: Session, *, older_than: timedelta = timedelta(seconds=5)) -> Sequence[UUID]:
    """Take a batch of refunds that were promised and not confirmed."""
    return _take(session, Refund, RefundStatus.PENDING, older_than)


def _take(session: Session, kind: type[Payment | Refund], status: str, older_than: timedelta) -> Sequence[UUID]:
    last_asked = func.coalesce(kind.asked_at, kind.created_at)
    age, since_asked = (extract("epoch", func.now() - time) for time in (kind.created_at, last_asked))
    is_due = kind.asked_at.is_(None) | (since_asked * PATIENCE > age)
    due = select(kind.id).where(kind.status == status, last_asked < func.now() - older_than, is_due)
    due = due.order_by(last_asked).limit(BATCH).with_for_update(skip_locked=True)
    taken = session.scalars(due).all()
    session.execute(update(kind).where(kind.id.in_(taken)).values(asked_at=func.now(), updated_at=kind.updated_at))
    return taken


def remember_notice(session: Session, provider: str, event_id: str) -> None:
    """So that a webhook which comes again is known."""
    told = insert(WebhookEvent).values(provider=provider, event_id=event_id, received_at=utcnow())
    session.execute(told.on_conflict_do_nothing())


def knows_notice(session: Session, provider: str, event_id: str) -> bool:
    return session.get(WebhookEvent, (provider, event_id)) is not None


def prune_notices(session: Session) -> None:
    """Forget webhooks that no provider repeats any more."""
    session.execute(delete(WebhookEvent).where(WebhookEvent.received_at < utcnow() - NOTICES_KEPT_FOR))


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
