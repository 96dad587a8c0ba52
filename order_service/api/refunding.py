"""Carrying out a refund that was promised, within the request that promised it."""

from __future__ import annotations

from flask import current_app

from common.db import current_database
from common.errors import Unavailable
from common.rooms import Room
from common.telemetry import get_logger
from order_service.models import Refund
from order_service.payments import processing

log = get_logger(__name__)


def give_back(refund: Refund | None) -> None:
    """Ask the provider now; should it be away or too many wait for it, the promise stands and the worker asks again."""
    if refund is None:
        return
    room: Room = current_app.extensions["payments_room"]
    try:
        with room.place():
            processing.give_back(current_database(), current_app.extensions["payment_provider"], refund.id)
    except Unavailable:
        log.warning("refund_postponed", refund_id=str(refund.id))
