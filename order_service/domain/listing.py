"""The order in which orders are listed."""

from __future__ import annotations

from common.pagination import Sort
from order_service.models import Order

_ORDER = Order.__table__.c
NEWEST_FIRST = (Sort(_ORDER.placed_at, "placed_at", descending=True), Sort(_ORDER.id, "id", descending=True))
