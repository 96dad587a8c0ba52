"""The mails about orders. What happened owes a letter, in its own transaction; the worker writes it afterwards.

So no request waits for a template, a letter is written though its reader is not known yet (their registration may
still be on its way), and each at most once: that it was written is kept for longer than the mail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import mail
from common.db import utcnow
from order_service.domain import views
from order_service.models import (
    Book,
    Customer,
    Invoice,
    Order,
    OwedLetter,
    Payment,
    Prebooking,
    PrebookStatus,
    Refund,
    Status,
)

BATCH = 50
AGAIN_AFTER = timedelta(minutes=5)
GIVEN_UP_AFTER = timedelta(days=7)
"""How long a letter waits for its reader to become known."""

CONFIRMED, PAID, SHIPPED, CANCELLED = "order_confirmed", "order_paid", "order_shipped", "order_cancelled"
REFUNDED = "order_refunded"
BACK_IN_STOCK = "back_in_stock"
OF_STATUS: Mapping[Status, str] = {
    Status.CONFIRMED: CONFIRMED,
    Status.PAID: PAID,
    Status.SHIPPED: SHIPPED,
    Status.CANCELLED: CANCELLED,
}

REASONS = {
    "out_of_stock": "Not all of the books could be had any more.",
    "unpaid": "It was not paid in time.",
    "no_stock_decision": "We could not find out in time whether the books can be had.",
    "cancelled_by_customer": "You called it off.",
    "cancelled_by_staff": "We had to call it off.",
}


def owe(session: Session, kind: str, subject_id: UUID, user_id: UUID) -> None:
    """A letter of this kind about an order, a refund or a pre-booking, once this transaction has committed."""
    owed = insert(OwedLetter).values(
        kind=kind, subject_id=subject_id, user_id=user_id, created_at=utcnow(), due_at=utcnow()
    )
    session.execute(owed.on_conflict_do_nothing())


def due(session: Session) -> Sequence[Row[str, UUID]]:
    """(kind, subject) of a batch of letters whose readers are known."""
    return session.execute(
        select(OwedLetter.kind, OwedLetter.subject_id)
        .join(Customer, Customer.user_id == OwedLetter.user_id)
        .where(OwedLetter.due_at <= utcnow(), OwedLetter.written_at.is_(None))
        .order_by(OwedLetter.due_at)
        .limit(BATCH)
    ).all()


def write(session: Session, kind: str, subject_id: UUID, public_url: str) -> None:
    """Put a letter among the mails to send; of several workers one does."""
    owed = session.scalar(
        select(OwedLetter)
        .where(OwedLetter.kind == kind, OwedLetter.subject_id == subject_id, OwedLetter.written_at.is_(None))
        .with_for_update(skip_locked=True)
    )
    reader = session.get(Customer, owed.user_id) if owed else None
    if owed is None or reader is None:
        return
    context = _CONTEXTS[kind](session, subject_id)
    if context is None:
        session.delete(owed)
        return
    owed.written_at = utcnow()
    template = mail.Template("order_service", kind)
    known = {"username": reader.name, "link": f"{public_url}/cart?prebook={subject_id}"}
    mail.post(session, key=_key(kind, subject_id), to=reader.email, template=template, context=known | context)


def put_off(session: Session, kind: str, subject_id: UUID) -> None:
    """Try one that could not be written again later, behind all others."""
    session.execute(
        update(OwedLetter)
        .where(OwedLetter.kind == kind, OwedLetter.subject_id == subject_id)
        .values(due_at=utcnow() + AGAIN_AFTER)
    )


def give_up(session: Session) -> None:
    """Forget those whose reader never became known."""
    too_late = OwedLetter.created_at < utcnow() - GIVEN_UP_AFTER
    session.execute(delete(OwedLetter).where(OwedLetter.written_at.is_(None), too_late))


def written_to(session: Session, user_id: UUID) -> Sequence[Row[Any]]:
    """The mails to somebody that are still kept, the first one first."""
    kept = select(*(mail.table.c[name] for name in ("recipient", "subject", "text", "created_at", "sent_at")))
    return session.execute(kept.where(mail.table.c.key.in_(_keys(session, user_id))).order_by(mail.table.c.id)).all()


def erase(session: Session, user_id: UUID) -> None:
    """Forget what is owed to somebody and what they were written, to an address that they had before too."""
    mail.forget(session, _keys(session, user_id))
    session.execute(delete(OwedLetter).where(OwedLetter.user_id == user_id))


def _keys(session: Session, user_id: UUID) -> list[str]:
    owed = select(OwedLetter.kind, OwedLetter.subject_id).where(OwedLetter.user_id == user_id)
    return [_key(kind, subject_id) for kind, subject_id in session.execute(owed)]


def _key(kind: str, subject_id: UUID) -> str:
    return f"{kind}:{subject_id}"


def _of_order(session: Session, order_id: UUID) -> dict[str, Any]:
    order = views.order(session, order_id)
    cancelled = [each["reason"] or "" for each in order["history"] if each["status"] == Status.CANCELLED]
    reason = cancelled[-1] if cancelled else ""
    expires_at = session.scalar(select(Order.expires_at).where(Order.id == order_id))
    return {
        "order": order,
        "reason": REASONS.get(reason, reason),
        "pay_until": _moment(expires_at) if expires_at else None,
        "address_lines": _address_lines,
    }


def _of_refund(session: Session, refund_id: UUID) -> dict[str, Any] | None:
    refunds = (
        select(Refund.amount, Payment.order_id, Invoice.number.label("credit_note"))
        .join(Payment, Payment.id == Refund.payment_id)
        .outerjoin(Invoice, Invoice.refund_id == Refund.id)
    )
    found = session.execute(refunds.where(Refund.id == refund_id)).one_or_none()
    if found is None:
        return None
    return _of_order(session, found.order_id) | {"amount": found.amount, "credit_note": found.credit_note}


def _of_prebooking(session: Session, prebooking_id: UUID) -> dict[str, Any] | None:
    """Nothing for an offer that was taken up or ended in the meantime."""
    prebooking = session.get(Prebooking, prebooking_id)
    if prebooking is None or prebooking.status != PrebookStatus.NOTIFIED or prebooking.expires_at is None:
        return None
    book = session.get_one(Book, prebooking.book_id)
    return {"prebooking": prebooking, "book": book, "until": _moment(prebooking.expires_at)}


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def _address_lines(address: Mapping[str, Any]) -> list[str]:
    town = " ".join(filter(None, (address.get("postal_code"), address.get("city"))))
    lines = (address.get("name"), address.get("line1"), address.get("line2"), town, address.get("region"))
    return [each for each in (*lines, address.get("country")) if each]


_CONTEXTS: Mapping[str, Callable[[Session, UUID], dict[str, Any] | None]] = {
    **dict.fromkeys(OF_STATUS.values(), _of_order),
    REFUNDED: _of_refund,
    BACK_IN_STOCK: _of_prebooking,
}
