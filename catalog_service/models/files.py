"""Stored files, the pictures of books, and what people have uploaded."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base
from common.db import utcnow
from common.ids import new_id


class StoredFile(Base):
    """What is in the storage under `name`/part, written down before the first byte is put there.

    With `due_at` nobody names it, or not yet: then it is removed, unless somebody does by that time.
    """

    __tablename__ = "stored_files"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    parts: Mapped[list[Any]] = mapped_column(ARRAY(Text))
    due_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_stored_files_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),)


class Image(Base):
    """A picture of a book, at its place among the others. `widths`: of the smaller ones that are stored with it."""

    __tablename__ = "images"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id", ondelete="RESTRICT"))
    file: Mapped[str] = mapped_column(ForeignKey("stored_files.name", ondelete="RESTRICT"), unique=True)
    position: Mapped[int] = mapped_column(SmallInteger)
    content_type: Mapped[str] = mapped_column(String(32))
    width: Mapped[int]
    height: Mapped[int]
    widths: Mapped[list[Any]] = mapped_column(ARRAY(SmallInteger))
    alt: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        CheckConstraint("position >= 0 AND width > 0 AND height > 0", name="bounds"),
        UniqueConstraint("book_id", "position", deferrable=True, initially="DEFERRED"),
    )


class Upload(Base):
    """A file of a person, as it came. `filename` is safe to offer, and never part of a path."""

    __tablename__ = "uploads"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(index=True)
    file: Mapped[str] = mapped_column(ForeignKey("stored_files.name", ondelete="RESTRICT"), unique=True)
    filename: Mapped[str] = mapped_column(String(200))
    content_type: Mapped[str] = mapped_column(String(32))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    is_public: Mapped[bool] = mapped_column(default=False)
    uploaded_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (CheckConstraint("size > 0 AND sha256 ~ '^[0-9a-f]{64}$'", name="content"),)
