"""The tables of the reviews' schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.db import model_registry, utcnow
from common.ids import new_id

STARS = range(1, 6)
NOT_DELETED = text("deleted_at IS NULL")
_ORDERS = (("created_at",), ("helpful_count",), ("rating", "created_at"))
_HELPFUL_OF_STARS = ("book_id", "rating", "helpful_count")
_QUEUES = {
    "queue": NOT_DELETED,
    "queue_hidden": text("deleted_at IS NULL AND hidden_at IS NOT NULL"),
    "queue_deleted": text("deleted_at IS NOT NULL"),
}


class Base(DeclarativeBase):
    registry = model_registry()


class Reviewer(Base):
    """The name that a user goes by; nothing else is kept of them, their mail address least of all."""

    __tablename__ = "reviewers"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class Review(Base):
    """What one reader says of one book. `version` counts what its writer and the staff make of it, who go by it; that
    others vote for it is no edit.

    A hidden one is there for its writer and the staff alone: it is counted nowhere. `report_count` counts the reports
    that nobody has decided on. Once the staff have settled whether it spoils, its writer's word on that is not taken.
    """

    __tablename__ = "reviews"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    book_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("reviewers.user_id"))
    rating: Mapped[int] = mapped_column(SmallInteger)
    title: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str | None] = mapped_column(Text)
    verified_purchase: Mapped[bool]
    helpful_count: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[UUID | None]
    contains_spoiler: Mapped[bool] = mapped_column(default=False, server_default=false())
    spoiler_settled: Mapped[bool] = mapped_column(default=False, server_default=false())
    report_count: Mapped[int] = mapped_column(default=0, server_default="0")
    hidden_at: Mapped[datetime | None]
    hidden_by: Mapped[UUID | None]
    hidden_reason: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("report_count >= 0", name="report_count"),
        CheckConstraint(
            "(hidden_at IS NULL) = (hidden_by IS NULL) AND (hidden_at IS NULL) = (hidden_reason IS NULL)",
            name="hidden",
        ),
        CheckConstraint("helpful_count >= 0", name="helpful_count"),
        # Over what is not deleted only: who deleted a review may write another.
        Index("uq_reviews_book_id_user_id", "book_id", "user_id", unique=True, postgresql_where=NOT_DELETED),
        Index("ix_reviews_user_id", "user_id", "created_at", "id"),
        *(
            Index(f"ix_reviews_{'_'.join(order)}", *order, "id", postgresql_where=NOT_DELETED)
            for order in (*_ORDERS, *(("book_id", *order) for order in _ORDERS), _HELPFUL_OF_STARS)
        ),
        *(Index(f"ix_reviews_{name}", "report_count", "id", postgresql_where=where) for name, where in _QUEUES.items()),
        Index("ix_reviews_queue_book_id", "book_id", "report_count", "id", postgresql_where=NOT_DELETED),
    )

    @property
    def is_counted(self) -> bool:
        """Whether it is part of its book's rating."""
        return self.deleted_at is None and self.hidden_at is None

    def rewrite(self, fields: Mapping[str, Any]) -> bool:
        """Take over what its writer gives; returns whether that changed anything."""
        settled = {"contains_spoiler"} if self.spoiler_settled else set()
        changed = {
            name: value for name, value in fields.items() if name not in settled and getattr(self, name) != value
        }
        for name, value in changed.items():
            setattr(self, name, value)
        if changed:
            self.version += 1
            self.updated_at = utcnow()
        return bool(changed)

    def delete(self, by: UUID) -> None:
        self.deleted_at, self.deleted_by = utcnow(), by
        self.version += 1

    def hide(self, by: UUID, reason: str) -> None:
        self.hidden_at, self.hidden_by, self.hidden_reason = utcnow(), by, reason
        self.version += 1

    def show(self) -> None:
        self.deleted_at = self.deleted_by = None
        self.hidden_at = self.hidden_by = self.hidden_reason = None
        self.version += 1

    def settle_spoiler(self, contains_spoiler: bool) -> None:
        self.spoiler_settled = True
        if self.contains_spoiler != contains_spoiler:
            self.contains_spoiler = contains_spoiler
            self.version += 1


class HelpfulVote(Base):
    __tablename__ = "helpful_votes"

    review_id: Mapped[UUID] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)


class ReviewReport(Base):
    """A user's complaint about a review; closed once the staff have decided on it."""

    __tablename__ = "review_reports"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    review_id: Mapped[UUID] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(index=True)
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("review_id", "user_id"),
        Index("ix_review_reports_review_id_id", "review_id", "id"),
    )


class RatingAlert(Base):
    """A burst: so many low ratings of one book, each soon after the one before. One row for each burst."""

    __tablename__ = "rating_alerts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    book_id: Mapped[UUID]
    low_ratings: Mapped[int]
    started_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (Index("ix_rating_alerts_book_id_last_at", "book_id", "last_at"),)


class Purchase(Base):
    """Replica: this order of this user was paid and has this book in it.

    A withdrawn row stays, so that a payment that is told late cannot bring it back. `checked_at` is when the
    order service was last known to have it. Both times are this database's, which alone compares them.
    """

    __tablename__ = "purchases"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    checked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    withdrawn_at: Mapped[datetime | None]


class Erasure(Base):
    """A user of whom nothing is kept. That much is: events come late, and a rebuild has read its page before."""

    __tablename__ = "erasures"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    erased_at: Mapped[datetime] = mapped_column(default=utcnow)


class BookRating(Base):
    """How many visible reviews give a book how many stars; its row stays when they are gone, for the version's sake."""

    __tablename__ = "book_ratings"

    book_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    stars_1: Mapped[int] = mapped_column(server_default="0")
    stars_2: Mapped[int] = mapped_column(server_default="0")
    stars_3: Mapped[int] = mapped_column(server_default="0")
    stars_4: Mapped[int] = mapped_column(server_default="0")
    stars_5: Mapped[int] = mapped_column(server_default="0")
    review_count: Mapped[int] = mapped_column(
        Computed("stars_1 + stars_2 + stars_3 + stars_4 + stars_5", persisted=True)
    )
    stars_total: Mapped[int] = mapped_column(
        Computed("stars_1 + 2 * stars_2 + 3 * stars_3 + 4 * stars_4 + 5 * stars_5", persisted=True)
    )

    __table_args__ = (CheckConstraint("LEAST(stars_1, stars_2, stars_3, stars_4, stars_5) >= 0", name="stars"),)
