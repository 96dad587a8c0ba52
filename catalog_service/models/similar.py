"""What the last training made of the catalogue: books like a book, and the words by which a text finds them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import REAL, Boolean, CheckConstraint, ForeignKey, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base


class SimilarBooks(Base):
    """A book's neighbours, the nearest first, and its own heaviest words with their TF-IDF weights."""

    __tablename__ = "similar_books"

    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id", ondelete="CASCADE"), primary_key=True)
    neighbours: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    terms: Mapped[list[str]] = mapped_column(ARRAY(Text))
    weights: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    trained_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("cardinality(terms) = cardinality(weights)", name="weighted"),
        Index("ix_similar_books_terms", "terms", postgresql_using="gin"),
    )


class SimilarTerm(Base):
    """A word's weight (its inverse document frequency), and how many books have it among their heaviest."""

    __tablename__ = "similar_terms"

    term: Mapped[str] = mapped_column(Text, primary_key=True)
    weight: Mapped[float] = mapped_column(REAL)
    books: Mapped[int]
    trained_at: Mapped[datetime]


class SimilarTraining(Base):
    """The one row: when the last training began, and of how many books."""

    __tablename__ = "similar_training"

    id: Mapped[bool] = mapped_column(Boolean, primary_key=True, default=True)
    trained_at: Mapped[datetime]
    books: Mapped[int]

    __table_args__ = (CheckConstraint("id", name="only"),)
