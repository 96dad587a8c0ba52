"""The tables of the reviews' schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, SmallInteger, Text, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.db import model_registry, utcnow
from common.ids import new_id

STARS = range(1, 6)
NOT_DELETED = text("deleted_at IS NULL")


class Base(DeclarativeBase):
    registry = model_registry()


class Reviewer(Base):
    """The name that a user goes by; nothing else is kept of them, their mail address least of all."""

    __tablename__ = "reviewers"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class Review(Base):
    """What one reader says of one book. `version` counts every change that a reader of the review would see."""

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

    __table_args__ = (
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("helpful_count >= 0", name="helpful_count"),
        # Over what is not deleted only: who deleted a review may write another.
        Index("uq_reviews_book_id_user_id", "book_id", "user_id", unique=True, postgresql_where=NOT_DELETED),
        Index("ix_reviews_user_id", "user_id", "created_at", "id"),
        *(
            Index(f"ix_reviews_{'_'.join((*scope, name))}", *scope, name, "id", postgresql_where=NOT_DELETED)
            for scope in ((), ("book_id",))
            for name in ("created_at", "helpful_count", "rating")
        ),
    )

    def rewrite(self, fields: Mapping[str, Any]) -> bool:
        """Take over rating, title and body as far as given; returns whether that changed anything."""
        changed = {name: value for name, value in fields.items() if getattr(self, name) != value}
        for name, value in changed.items():
            setattr(self, name, value)
        if changed:
            self.version += 1
            self.updated_at = utcnow()
        return bool(changed)

    def delete(self, by: UUID) -> None:
        self.deleted_at = utcnow()
        self.deleted_by = by

    def count_votes(self, change: int) -> None:
        self.helpful_count += change
        self.version += 1


class HelpfulVote(Base):
    __tablename__ = "helpful_votes"

    review_id: Mapped[UUID] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)


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
