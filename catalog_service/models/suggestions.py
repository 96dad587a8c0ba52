"""Books that readers miss, and how those readers are reached."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base
from common.db import utcnow
from common.ids import new_id


class SuggestionStatus(StrEnum):
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class Contact(Base):
    """A user's name and mail address, as the auth service tells them."""

    __tablename__ = "contacts"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)


class Suggestion(Base):
    """`book_id` is the draft that an approval made; `told_at`, when the mail about the decision was written."""

    __tablename__ = "suggestions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID]
    title: Mapped[str] = mapped_column(String(500))
    author: Mapped[str] = mapped_column(String(200))
    isbn: Mapped[str | None] = mapped_column(String(13))
    note: Mapped[str | None] = mapped_column(String(2000))
    status: Mapped[str] = mapped_column(String(16), default=SuggestionStatus.PENDING)
    reason: Mapped[str | None] = mapped_column(String(500))
    book_id: Mapped[UUID | None] = mapped_column(ForeignKey("books.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    decided_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"status IN {tuple(str(status) for status in SuggestionStatus)}", name="status"),
        CheckConstraint("(status = 'PENDING') = (decided_at IS NULL)", name="decided"),
        Index("ix_suggestions_user_id_id", "user_id", "id"),
        Index("ix_suggestions_status_id", "status", "id"),
        Index(
            "ix_suggestions_untold",
            "decided_at",
            postgresql_where=text("decided_at IS NOT NULL AND told_at IS NULL"),
        ),
    )
