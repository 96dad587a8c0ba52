"""What the review service publishes, keyed by book."""

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from common.events.base import Event


class BookRatingChanged(Event):
    """A book's rating over all its visible reviews. `version` grows with every change of it."""

    name: ClassVar[str] = "reviews.book_rating_changed.v1"
    key_field: ClassVar[str] = "book_id"

    book_id: UUID
    version: int
    count: int
    average: Decimal | None
