"""A new store has no orders; there is nothing to put in."""

from __future__ import annotations

from sqlalchemy.orm import Session

from order_service.config import OrderConfig


def seed(_session: Session, _config: OrderConfig) -> None:
    """Nothing: books come by events, and orders from customers."""
