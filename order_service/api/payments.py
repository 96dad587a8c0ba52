"""Paying an order."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint, Response, current_app
from pydantic import StringConstraints

from common.api import Request, accepts, returns
from common.auth import current_user, requires_user
from common.db import current_database, transaction
from common.errors import Invalid, problem
from order_service.api import idempotency
from order_service.api.schemas import OrderOut
from order_service.domain import idempotency as keys
from order_service.domain import payments, status, views
from order_service.domain.idempotency import Earlier
from order_service.domain.status import IllegalTransition
from order_service.models import Payment, PaymentStatus, Status
from order_service.payments import processing
from order_service.payments.provider import PaymentProvider

api = Blueprint("payments", __name__, url_prefix="/api/v1/orders")


class PayBody(Request):
    payment_method: Annotated[str, StringConstraints(min_length=1, max_length=100)]


@api.post("/<uuid:order_id>/pay")
@requires_user("orders:write")
@accepts(body=PayBody)
@returns(OrderOut, description="Paid")
@returns(OrderOut, 202, description="Under way: the provider decides later")
def pay(order_id: UUID, body: PayBody) -> Response:
    """Charge for a confirmed order; after a refusal by the card's bank it may be tried again."""
    provider: PaymentProvider = current_app.extensions["payment_provider"]
    if not provider.accepts(body.payment_method):
        raise Invalid.field("payment_method", "is not a payment method")
    bearer = current_user()
    content = {"order_id": str(order_id), **body.model_dump()}
    use = idempotency.requested_use(bearer.user_id, "pay", content)
    with transaction() as own:
        order = status.lock_own(own, order_id, bearer.user_id)
        begun: Earlier | Payment | None = keys.claim(own, use, order_id) if use else None
        begun = begun or payments.begin(own, order, provider=provider.name, method=body.payment_method)
    if isinstance(begun, Earlier):
        return idempotency.replay(use, begun, lambda: _answer_as_it_stands(order_id))
    attempt = processing.charge(current_database(), provider, begun.id)
    code, answer = _answer(attempt)
    if attempt.status != PaymentStatus.PROCESSING:  # else nobody knows the answer yet
        idempotency.keep(use, code, answer)
    return idempotency.respond(code, answer)


def _answer(payment: Payment) -> tuple[int, dict[str, Any]]:
    if payment.status == PaymentStatus.FAILED:
        return 402, problem(402, "payment_declined", "The payment was declined.", reason=payment.failure)
    with current_database().read() as reader:
        order = views.order(reader, payment.order_id)
    if order["status"] == Status.CANCELLED:
        detail = "The order was cancelled meanwhile; what was paid goes back."
        return 409, problem(409, IllegalTransition.code, detail)
    return (202 if payment.status == PaymentStatus.PROCESSING else 200), idempotency.as_json(order)


def _answer_as_it_stands(order_id: UUID) -> tuple[int, dict[str, Any]]:
    """For a request whose first process died: what its attempt has come to since. Raises StillRunning."""
    with current_database().read() as reader:
        attempt = payments.latest(reader, order_id)
    if attempt.status == PaymentStatus.PROCESSING:  # not to be kept as an answer: nobody knows it yet
        raise keys.StillRunning("The provider has not been heard of this payment yet.")
    return _answer(attempt)
