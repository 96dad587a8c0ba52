"""What the fields of a book may hold, wherever they come from: the API or an import."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, TypedDict
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from catalog_service.domain.isbn import to_isbn13
from catalog_service.domain.languages import to_iso639
from common.db import utcnow

MAX_STOCK = 1_000_000
MAX_PRICE = Decimal("9999999.99")
DEFAULT_FORMAT: Literal["paperback"] = "paperback"
DEFAULT_LOW_STOCK_THRESHOLD = 5
YEARS_AHEAD = 5


def _not_far_ahead(year: int) -> int:
    if year > utcnow().year + YEARS_AHEAD:
        raise ValueError("is too far in the future")
    return year


def _not_zero(year: int) -> int:
    """The calendar has no year 0: 1 BCE, written -1, is followed by 1."""
    if year == 0:
        raise ValueError("there is no year 0")
    return year


def _no_repeats(values: list[UUID]) -> list[UUID]:
    return list(dict.fromkeys(values))


Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Isbn = Annotated[str, StringConstraints(max_length=40), AfterValidator(to_isbn13)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Subtitle = Annotated[str, StringConstraints(max_length=500)]
Description = Annotated[str, StringConstraints(max_length=20_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Publisher = Annotated[str, StringConstraints(max_length=200)]
Names = Annotated[list[Name], Field(max_length=60)]
Ids = Annotated[list[UUID], Field(max_length=60), AfterValidator(_no_repeats)]
SeriesPosition = Annotated[Decimal, Field(ge=0, lt=100_000, decimal_places=2)]
Language = Annotated[str, StringConstraints(max_length=20), AfterValidator(to_iso639)]
BookFormat = Literal["paperback", "hardcover", "ebook", "audiobook"]
Pages = Annotated[int, Field(ge=1, le=100_000)]
Year = Annotated[int, Field(ge=-5000), AfterValidator(_not_far_ahead), AfterValidator(_not_zero)]
Price = Annotated[Decimal, Field(ge=0, le=MAX_PRICE, decimal_places=2)]
Threshold = Annotated[int, Field(ge=0, le=MAX_STOCK)]
Quantity = Annotated[int, Field(ge=0, le=MAX_STOCK)]


class SeriesFields(TypedDict):
    name: str
    position: Decimal | None


class BookFields(TypedDict, total=False):
    """What may be written to a book; a member that is absent is left alone."""

    code: str | None
    isbn: str | None
    title: str
    subtitle: str | None
    description: str | None
    publisher: str | None
    series: SeriesFields | None
    language: str | None
    format: str
    pages: int | None
    published_year: int | None
    price: Decimal
    cost_price: Decimal | None
    low_stock_threshold: int
    author_ids: list[UUID] | None
    authors: list[str] | None
    genre_ids: list[UUID] | None
