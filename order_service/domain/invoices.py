"""Invoices when an order is paid, credit notes when money goes back: numbered in the transaction of their cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.errors import Conflict, NotFound
from order_service.domain.totals import ZERO
from order_service.models import DocumentCounter, DocumentFile, Invoice, Order, Refund, Status

INVOICES, CREDIT_NOTES = "INV", "CN"
PAID = frozenset({Status.PAID, Status.SHIPPED, Status.DELIVERED, Status.REFUNDED})


class NoInvoice(Conflict):
    code = "not_paid"


@dataclass(frozen=True, slots=True)
class Correction:
    """What a credit note corrects: the invoice of that number, of which earlier notes gave `credited` back."""

    invoice: str
    credited: Decimal


def issue(session: Session, order: Order) -> Invoice:
    """The invoice of a locked order that is paid; there is one, whatever is repeated."""
    return _invoice_of(session, order.id) or _write(session, INVOICES, order.id, order.total, None)


def credit(session: Session, order: Order, refund: Refund) -> None:
    """A credit note over money that has gone back. What was never invoiced is not credited either."""
    if refund.amount == ZERO or _invoice_of(session, order.id) is None:
        return
    _write(session, CREDIT_NOTES, order.id, refund.amount, refund.id)


def invoice(session: Session, order: Order) -> Invoice:
    """For its buyer: of an order paid before there were invoices, it is written now. Raises NoInvoice."""
    known = _invoice_of(session, order.id)
    if known:
        return known
    if order.status not in PAID:
        raise NoInvoice("There is an invoice once the order is paid.")
    return issue(session, order)


def documents(session: Session, order_id: UUID) -> Sequence[Invoice]:
    """The invoice, then the credit notes."""
    of_order = select(Invoice).where(Invoice.order_id == order_id)
    return session.scalars(of_order.order_by(Invoice.refund_id.isnot(None), Invoice.number)).all()


def document(session: Session, order_id: UUID, number: str) -> Invoice:
    """Raises NotFound."""
    found = session.get(Invoice, number)
    if found is None or found.order_id != order_id:
        raise NotFound
    return found


def kept(session: Session, number: str) -> bytes | None:
    """The file of a document, if it was made already."""
    return session.scalar(select(DocumentFile.content).where(DocumentFile.number == number))


def keep(session: Session, order: Order, number: str, content: bytes) -> None:
    """Unless its buyer was erased while it was made: then it has a name in it that nobody may keep."""
    buyer = select(Order.user_id).where(Order.id == order.id).with_for_update(read=True)
    if session.scalar(buyer) == order.user_id:
        session.execute(insert(DocumentFile).values(number=number, content=content).on_conflict_do_nothing())


def forget_files(session: Session, order_ids: Sequence[UUID]) -> None:
    """The documents stay, and are made anew without what was erased."""
    numbers = select(Invoice.number).where(Invoice.order_id.in_(order_ids))
    session.execute(delete(DocumentFile).where(DocumentFile.number.in_(numbers)))


def correction(session: Session, written: Invoice) -> Correction | None:
    """None for what is no credit note."""
    invoiced = _invoice_of(session, written.order_id)
    if written.refund_id is None or invoiced is None:
        return None
    notes = select(func.sum(Invoice.amount)).where(Invoice.order_id == written.order_id, Invoice.refund_id.isnot(None))
    credited = session.scalar(notes.where(Invoice.issued_at < written.issued_at)) or ZERO
    return Correction(invoiced.number, credited)


def _invoice_of(session: Session, order_id: UUID) -> Invoice | None:
    return session.scalar(select(Invoice).where(Invoice.order_id == order_id, Invoice.refund_id.is_(None)))


def _write(session: Session, series: str, order_id: UUID, amount: Decimal, refund_id: UUID | None) -> Invoice:
    number = f"{series}-{_next(session, series):06d}"
    written = Invoice(number=number, order_id=order_id, refund_id=refund_id, amount=amount)
    session.add(written)
    session.flush()
    return written


def _next(session: Session, series: str) -> int:
    """A sequence would leave a gap at each rollback; a row that is rolled back with its document does not."""
    first = insert(DocumentCounter).values(series=series, last=1)
    counted = first.on_conflict_do_update(index_elements=["series"], set_={"last": DocumentCounter.last + 1})
    return session.execute(counted.returning(DocumentCounter.last)).scalar_one()
