"""Invoices and credit notes, as PDF."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app, send_file
from sqlalchemy.orm import selectinload

from common.api import FileContent, Money, returns
from common.api import Response as Answer
from common.app import config
from common.auth import current_user, requires_user
from common.db import current_database, session, transaction
from order_service import invoice_pdf
from order_service.domain import invoices, status, views
from order_service.domain.invoices import Correction
from order_service.models import Invoice, Order
from order_service.pdf import Press

api = Blueprint("invoices", __name__, url_prefix="/api/v1/orders")


class DocumentOut(Answer):
    number: str
    kind: str
    amount: Money
    issued_at: datetime


class DocumentsOut(Answer):
    items: list[DocumentOut]


@api.get("/<uuid:order_id>/invoice")
@requires_user("orders:read")
@returns(FileContent(("application/pdf",)))
def get_invoice(order_id: UUID) -> Response:
    """The invoice of one's own order, once it is paid."""
    with transaction() as own:
        order = status.lock_own(own, order_id, current_user().user_id)
        written = invoices.invoice(own, order)
    return _pdf(order, written)


@api.get("/<uuid:order_id>/documents")
@requires_user("orders:read")
@returns(DocumentsOut)
def list_documents(order_id: UUID) -> dict[str, Any]:
    """The invoice and the credit notes of one's own order."""
    views.order(session, order_id, owner=current_user().user_id)
    return {"items": [_described(each) for each in invoices.documents(session, order_id)]}


@api.get("/<uuid:order_id>/documents/<number>")
@requires_user("orders:read")
@returns(FileContent(("application/pdf",)))
def get_document(order_id: UUID, number: str) -> Response:
    """One of them."""
    views.order(session, order_id, owner=current_user().user_id)
    written = invoices.document(session, order_id, number)
    return _pdf(
        session.get_one(Order, order_id, options=[selectinload(Order.items)]),
        written,
        invoices.correction(session, written),
    )


def _described(written: Invoice) -> dict[str, Any]:
    kind = "invoice" if written.refund_id is None else "credit_note"
    return {"number": written.number, "kind": kind, "amount": written.amount, "issued_at": written.issued_at}


def _made(order: Order, written: Invoice, corrects: Correction | None) -> bytes:
    """Made once and kept: whoever asks for it again, or at the same time, gets the same."""
    database = current_database()

    def kept() -> bytes | None:
        with database.read() as reader:
            return invoices.kept(reader, written.number)

    def make() -> bytes:
        content = invoice_pdf.render(order, written, config.invoice_seller, corrects)
        with transaction() as own:
            invoices.keep(own, order, written.number, content)
        return content

    session.close()  # its connection is for others while this one waits
    press: Press = current_app.extensions["press"]
    return press.made(make, kept)


def _pdf(order: Order, written: Invoice, corrects: Correction | None = None) -> Response:
    content = invoices.kept(session, written.number) or _made(order, written, corrects)
    name = f"{written.number}.pdf"
    answer = send_file(BytesIO(content), "application/pdf", as_attachment=True, download_name=name)
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
