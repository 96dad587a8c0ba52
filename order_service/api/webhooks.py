"""Where payment providers tell that something happened to a charge."""

from __future__ import annotations

from flask import Blueprint, current_app, request

from common.api import known_as, returns
from common.auth import foreign_credentials
from common.db import current_database
from common.errors import NotFound
from common.rooms import Room
from order_service.payments import processing
from order_service.payments.provider import PaymentProvider

api = Blueprint("webhooks", __name__, url_prefix="/api/v1/payments")

MAX_BYTES = 256 * 1024


@api.post("/webhook/<provider>")
@foreign_credentials
@returns(None, 204, "Taken")
@known_as("takePaymentWebhook")
def take(provider: str) -> None:
    """A payment provider's webhook, signed over the bytes of its body."""
    chosen: PaymentProvider = current_app.extensions["payment_provider"]
    if provider != chosen.name:
        raise NotFound
    request.max_content_length = MAX_BYTES
    notice = chosen.read_notice(request.get_data(), dict(request.headers))
    room: Room = current_app.extensions["payments_room"]
    with room.place():  # who finds none tells us again
        processing.hear(current_database(), chosen, notice)
