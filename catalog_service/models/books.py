"""Books, and who wrote them and where they are shelved."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Computed,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    String,
    Text,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base
from common.db import utcnow
from common.ids import new_id

FORMATS = ("paperback", "hardcover", "ebook", "audiobook")

# Initials count together ("jk") and apart ("j k").
SEARCH_VECTOR = r"""
setweight(to_tsvector('simple'::regconfig, search_text(title)), 'A')
|| setweight(to_tsvector('simple'::regconfig, search_text(
     author_names || ' ' || translate(regexp_replace(author_names, '\w{2,}', ' ', 'g'), '.', ' '))), 'B')
|| setweight(to_tsvector('simple'::regconfig,
     search_text(COALESCE(subtitle, '') || ' ' || COALESCE(series_name, ''))), 'C')
|| setweight(to_tsvector('simple'::regconfig, search_text(COALESCE(publisher, '') || ' ' || COALESCE(isbn, ''))), 'D')
"""

ACTIVE = text("is_active")


class Book(Base):
    """A title in one format, with the stock of it.

    `revision` counts edits of what the shop says about the book, `version` every change at all, sales included:
    replicas go by the version, editors by the revision. `needs_price`: its price of 0.00 only says that nobody has
    given one yet. `author_names` repeats the authors for the search vector.
    """

    __tablename__ = "books"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(String(64), unique=True)
    isbn: Mapped[str | None] = mapped_column(String(13), unique=True)
    title: Mapped[str] = mapped_column(String(500))
    subtitle: Mapped[str | None] = mapped_column(String(500))
    description: Mapped[str | None] = mapped_column(Text)
    author_names: Mapped[str] = mapped_column(Text, default="")
    publisher: Mapped[str | None] = mapped_column(String(200))
    series_name: Mapped[str | None] = mapped_column(String(200))
    series_position: Mapped[Decimal | None] = mapped_column(Numeric(7, 2))
    language: Mapped[str | None] = mapped_column(String(3))
    format: Mapped[str] = mapped_column(String(16), default="paperback")
    pages: Mapped[int | None]
    published_year: Mapped[int | None] = mapped_column(SmallInteger)
    price: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    currency: Mapped[str] = mapped_column(String(3))
    cost_price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    low_stock_threshold: Mapped[int] = mapped_column(default=5)
    on_hand: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)
    units_sold: Mapped[int] = mapped_column(BigInteger, default=0)
    rating_average: Mapped[Decimal | None] = mapped_column(Numeric(3, 2))
    rating_count: Mapped[int] = mapped_column(default=0)
    rating_version: Mapped[int] = mapped_column(BigInteger, default=0)
    is_active: Mapped[bool] = mapped_column(default=True)
    needs_price: Mapped[bool] = mapped_column(default=False, server_default=false())
    revision: Mapped[int] = mapped_column(BigInteger, default=1)
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)
    title_key: Mapped[str] = mapped_column(Text, Computed('"left"(search_text(title), 100)', persisted=True))
    search: Mapped[Any] = mapped_column(TSVECTOR, Computed(SEARCH_VECTOR, persisted=True), deferred=True)

    __mapper_args__ = {"eager_defaults": False}
    __table_args__ = (
        CheckConstraint("0 <= reserved AND reserved <= on_hand", name="stock"),
        CheckConstraint("price >= 0 AND cost_price >= 0", name="prices"),
        CheckConstraint("isbn ~ '^97[89][0-9]{10}$'", name="isbn"),
        CheckConstraint(f"format IN {FORMATS}", name="format"),
        CheckConstraint("pages > 0 AND published_year BETWEEN -5000 AND 3000", name="bounds"),
        CheckConstraint("rating_count >= 0 AND rating_average BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("low_stock_threshold >= 0 AND units_sold >= 0", name="counts"),
        Index("ix_books_search", "search", postgresql_using="gin"),
        Index("ix_books_newest", "created_at", "id", postgresql_where=ACTIVE),
        Index("ix_books_title", "title_key", "id", postgresql_where=ACTIVE),
        Index("ix_books_price", "price", "id", postgresql_where=ACTIVE),
        Index(
            "ix_books_rating",
            text("COALESCE(rating_average, 0::numeric)"),
            "rating_count",
            "id",
            postgresql_where=ACTIVE,
        ),
        Index("ix_books_bestselling", "units_sold", "id", postgresql_where=ACTIVE),
        Index(
            "ix_books_low_stock",
            text("(on_hand - reserved)"),
            "id",
            postgresql_where=text("is_active AND on_hand - reserved <= low_stock_threshold"),
        ),
        Index("ix_books_inactive", "updated_at", "id", postgresql_where=text("NOT is_active")),
        Index("ix_books_title_prefix", text("title_key text_pattern_ops"), postgresql_where=ACTIVE),
        Index(
            "ix_books_series_prefix",
            text('"left"(search_text(series_name), 100) text_pattern_ops'),
            postgresql_where=ACTIVE,
        ),
        Index("ix_books_popular", text("(rating_count + 10 * units_sold)"), "id", postgresql_where=ACTIVE),
        Index("ix_books_sample", text("uuid_hash(id)"), "id", postgresql_where=ACTIVE),
        Index("ix_books_language", "language", postgresql_where=ACTIVE),
        Index("ix_books_format", "format", postgresql_where=ACTIVE),
        Index("ix_books_in_stock", text("(on_hand > reserved)"), postgresql_where=ACTIVE),
        Index("ix_books_updated_at", "updated_at"),
        Index("ix_books_publisher", text('"left"(search_text(publisher), 100)')),
        Index("ix_books_series", text('"left"(search_text(series_name), 100)')),
    )

    @property
    def available(self) -> int:
        """How many can be sold now."""
        return self.on_hand - self.reserved

    def edited(self) -> None:
        """Count an edit of what the shop says about the book."""
        self.revision += 1
        self.version += 1
        self.updated_at = utcnow()


POPULARITY: ColumnElement[int] = Book.rating_count + 10 * Book.units_sold
"""As ix_books_popular has it."""


class BookAuthor(Base):
    __tablename__ = "book_authors"

    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id", ondelete="CASCADE"), primary_key=True)
    author_id: Mapped[UUID] = mapped_column(ForeignKey("authors.id", ondelete="RESTRICT"), primary_key=True, index=True)
    position: Mapped[int] = mapped_column(SmallInteger)


class BookGenre(Base):
    __tablename__ = "book_genres"

    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id", ondelete="CASCADE"), primary_key=True)
    genre_id: Mapped[UUID] = mapped_column(ForeignKey("genres.id", ondelete="RESTRICT"), primary_key=True, index=True)
