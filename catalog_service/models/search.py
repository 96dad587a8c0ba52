"""What the search knows besides the books themselves."""

from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base


class SearchWord(Base):
    """A word of a title, an author or a series, in a text search language. `frequency`: in how many writes it stood."""

    __tablename__ = "search_words"

    word: Mapped[str] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(String(16), primary_key=True)
    stem: Mapped[str]
    frequency: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("ix_search_words_stem", "stem", "language"),
        Index("ix_search_words_prefix", "word", postgresql_ops={"word": "text_pattern_ops"}),
        Index("ix_search_words_similar", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
    )


class QueuedWords(Base):
    """A book whose words are to be learnt; rows come from a trigger."""

    __tablename__ = "word_queue"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    book_id: Mapped[UUID]


class FormerName(Base):
    """What an author or a genre was found by that was merged into another: it leads there for good.

    Of kind `authors` or `genres` it is a slug or an id; of `authors.key` or `genres.key` the name as it is compared,
    until somebody gives this name anew.
    """

    __tablename__ = "former_names"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    target_id: Mapped[UUID] = mapped_column(index=True)
