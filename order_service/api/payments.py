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
from order_service.models import Payment, PaymentStatus
from order_service.payments import processing
from order_service.payments.provider import PaymentProvider

api = Blueprint("payments", __name__, url_prefix="/api/v1/orders")


class PayBody(Request):
    payment_method: Annotated[str, StringConstraints(min_length=1, max_length=100)]


@api.post("/<uuid:order_id>/pay")
@requires_user("orders:write")
@accepts(body=PayBody)
@returns(OrderOut, description="Paid")
def pay(order_id: UUID, body: PayBody) -> Response:
    """Charge for a confirmed order; after a refusal by the card's bank it may be tried again."""
    provider: PaymentProvider = current_app.extensions["payment_provider"]
    if not provider.accepts(body.payment_method):
        raise Invalid.field("payment_method", "is not a payment method")
    bearer = current_user()
    content = {"order_id": str(order_id), **body.model_dump()}
    use = idempotency.requested_use(bearer.user_id, "pay", content)
    earlier = attempt = None
    with transaction() as own:
        order = status.lock_own(own, order_id, bearer.user_id)
        earlier = keys.claim(own, use, order_id) if use else None
        if earlier is None:
            attempt = payments.begin(own, order, provider=provider.name, method=body.payment_method)
    if attempt is None:
        return idempotency.replay(use, earlier, *_answer_as_it_stands(order_id))
    code, answer = _answer(processing.charge(current_database(), provider, attempt.id))
    idempotency.keep(use, code, answer)
    return idempotency.respond(code, answer)


def _answer(payment: Payment) -> tuple[int, dict[str, Any]]:
    if payment.status == PaymentStatus.FAILED:
        return 402, problem(402, "payment_declined", "The payment was declined.", reason=payment.failure)
    with current_database().read() as reader:
        return 200, idempotency.as_json(views.order(reader, payment.order_id))


def _answer_as_it_stands(order_id: UUID) -> tuple[int, dict[str, Any]]:
    """For a request whose first process died: what its attempt has come to since."""
    with current_database().read() as reader:
        return _answer(payments.latest(reader, order_id))
