"""Summaries, and how often a provider was asked for one."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base


class Summary(Base):
    """What was made of the text with this fingerprint, if anything yet; nobody may ask again before `not_before`."""

    __tablename__ = "summaries"

    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id", ondelete="CASCADE"), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    summary: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(String(120))
    generated_at: Mapped[datetime | None]
    not_before: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(
            "(summary IS NULL) = (source IS NULL) AND (summary IS NULL) = (generated_at IS NULL)", name="whole"
        ),
    )


class SummaryMinute(Base):
    """How many times a provider was asked in a minute, by all processes together."""

    __tablename__ = "summary_minutes"

    minute: Mapped[datetime] = mapped_column(primary_key=True)
    calls: Mapped[int]
