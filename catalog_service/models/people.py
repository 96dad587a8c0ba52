"""Authors and genres: named things that books are found by."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base
from common.db import utcnow
from common.ids import new_id


class Author(Base):
    """`key` is the name as it is compared: case and spacing make no other author. A slug never changes."""

    __tablename__ = "authors"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(unique=True)
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    __table_args__ = (
        Index("ix_authors_words", text("to_tsvector('simple'::regconfig, search_text(name))"), postgresql_using="gin"),
        Index("ix_authors_prefix", text("search_text(name) text_pattern_ops")),
    )


class Genre(Base):
    """`book_count`: the books on sale, but for what GenreCount has of it."""

    __tablename__ = "genres"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(unique=True)
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    book_count: Mapped[int] = mapped_column(default=0, server_default="0")


class GenreCount(Base):
    """So many books more, or fewer, are on sale in a genre than it says; rows come from triggers.

    Writers only append: two who add books to the same genre do not wait for each other.
    """

    __tablename__ = "genre_counts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    genre_id: Mapped[UUID] = mapped_column(index=True)
    books: Mapped[int]
