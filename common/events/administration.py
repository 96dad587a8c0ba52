"""What the staff did, told by each service in the same words, for the audit trail that the auth service keeps."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from common.events.base import Event


class AdminActed(Event):
    """`action` names resource and verb (`book.updated`); `before` and `after` hold what changed, where it applies."""

    key_field: ClassVar[str] = "resource_id"

    actor_id: str
    action: str
    resource: str
    resource_id: str
    at: datetime
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    reason: str | None = None
    request_id: str | None = None
    id: UUID


class CatalogAdminActed(AdminActed):
    name: ClassVar[str] = "catalog.admin_acted.v1"


class OrdersAdminActed(AdminActed):
    name: ClassVar[str] = "orders.admin_acted.v1"


class ReviewsAdminActed(AdminActed):
    name: ClassVar[str] = "reviews.admin_acted.v1"
