"""What the auth service hears of: the staff's doings elsewhere, for the audit trail."""

from __future__ import annotations

from auth_service.domain import audit
from common.events.administration import CatalogAdminActed, OrdersAdminActed, ReviewsAdminActed
from common.inbox import Handlers

HANDLERS: Handlers = {
    CatalogAdminActed: audit.take_over,
    OrdersAdminActed: audit.take_over,
    ReviewsAdminActed: audit.take_over,
}

RETIRED: frozenset[str] = frozenset()
"""Names of events that were handled once and are given up for good: what still comes of them is closed unread."""
