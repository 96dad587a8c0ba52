"""Paying an order."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint, Response, current_app
from pydantic import StringConstraints

from common.api import Request, accepts, known_as, returns
from common.auth import current_user, requires_user
from common.db import current_database, transaction
from common.errors import Invalid, problem
from common.ids import new_id
from common.rooms import Room
from order_service.api import idempotency
from order_service.api.schemas import OrderOut
from order_service.domain import idempotency as keys
from order_service.domain import payments, status, views
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
@returns(OrderOut, 202, description="Under way: the provider decides later, and the order tells")
@known_as("payOrder")
def pay(order_id: UUID, body: PayBody) -> Response:
    """Charge for a confirmed order; after a refusal by the card's bank it may be tried again."""
    provider: PaymentProvider = current_app.extensions["payment_provider"]
    if not provider.accepts(body.payment_method):
        raise Invalid.field("payment_method", "is not a payment method")
    bearer = current_user()
    content = {"order_id": str(order_id), **body.model_dump()}
    use = idempotency.requested_use(bearer.user_id, "pay", content)
    room: Room = current_app.extensions["payments_room"]
    with room.place():  # before anything is written down: who finds none may just come again
        return _pay(provider, order_id, bearer.user_id, body.payment_method, use)


def _pay(provider: PaymentProvider, order_id: UUID, user_id: UUID, method: str, use: keys.Use | None) -> Response:
    attempt_id = new_id()
    with transaction() as own:
        order = status.lock_own(own, order_id, user_id)
        earlier = keys.claim(own, use, order_id, attempt_id) if use else None
        if earlier is None:
            payments.begin(own, order, provider=provider.name, method=method, payment_id=attempt_id)
    if use and earlier:
        return idempotency.replay(use, earlier, lambda: _answer_as_it_stands(earlier.payment_id))
    code, answer = _answer(processing.charge(current_database(), provider, attempt_id))
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


def _answer_as_it_stands(payment_id: UUID | None) -> tuple[int, dict[str, Any]]:
    """For a request whose first process died: what its attempt has come to since. Raises StillRunning."""
    with current_database().read() as reader:
        attempt = reader.get(Payment, payment_id) if payment_id else None  # None by a version that did not keep it
    if attempt is None or attempt.status == PaymentStatus.PROCESSING:  # no answer to keep: nobody knows it yet
        raise keys.StillRunning("The provider has not been heard of this payment yet.")
    return _answer(attempt)
