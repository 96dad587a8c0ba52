"""What books look like in requests and answers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import Field

from catalog_service.domain import fields
from common.api import Money, Page, PageQuery, Request, Response


def _omit_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def omittable() -> Any:
    """A member that may be left out and yet must not be null."""
    return Field(default=None, json_schema_extra=_omit_default)


class SeriesBody(Request):
    name: fields.Name
    position: fields.SeriesPosition | None = None


class _Writable(Request):
    isbn: fields.Isbn | None = None
    subtitle: fields.Subtitle | None = None
    description: fields.Description | None = None
    publisher: fields.Publisher | None = None
    series: SeriesBody | None = None
    language: fields.Language | None = None
    pages: fields.Pages | None = None
    published_year: fields.Year | None = None
    cost_price: Money | None = None
    author_ids: fields.Ids | None = None
    authors: fields.Names | None = None
    genre_ids: fields.Ids | None = None

    def written(self, *, given_only: bool = False) -> fields.BookFields:
        """As the domain takes them: all, or only those that the caller wrote."""
        names = self.model_fields_set if given_only else type(self).model_fields
        values = {name: getattr(self, name) for name in names}
        if series := values.get("series"):
            values["series"] = {"name": series.name, "position": series.position}
        return cast(fields.BookFields, values)


class BookBody(_Writable):
    """A whole book: what is left out is empty. Stock is not written here."""

    title: fields.Title
    price: Money
    code: fields.Code | None = None
    format: fields.BookFormat = fields.DEFAULT_FORMAT
    low_stock_threshold: fields.Threshold = fields.DEFAULT_LOW_STOCK_THRESHOLD


class BookPatch(_Writable):
    """Some fields of a book: what is left out stays, null empties (RFC 7396)."""

    title: fields.Title = omittable()
    price: Money = omittable()
    code: fields.Code = omittable()
    format: fields.BookFormat = omittable()
    low_stock_threshold: fields.Threshold = omittable()


Text = Annotated[str, Field(max_length=200)]
SortName = Literal["relevance", "newest", "title", "price", "-price", "rating", "bestselling"]


class BookFilters(Request):
    """Which books are meant, wherever some are chosen from all."""

    q: Text | None = None
    genre: list[Text] = Field(default=[], max_length=20)
    author: Text | None = None
    publisher: Text | None = None
    series: Text | None = None
    language: fields.Language | None = None
    min_price: Money | None = None
    max_price: Money | None = None
    in_stock: bool | None = None


class BookQuery(BookFilters, PageQuery):
    format: fields.BookFormat | None = None
    min_rating: float | None = Field(None, ge=0, le=5)
    sort: SortName | None = None
    facets: bool = False


class AuthorRef(Response):
    id: UUID
    name: str


class GenreRef(AuthorRef):
    slug: str


class Series(Response):
    name: str
    position: float | None


class Rating(Response):
    average: float | None
    count: int


class Image(Response):
    id: UUID
    url: str
    width: int
    height: int
    alt: str | None


class Book(Response):
    id: UUID
    code: str
    isbn: str | None
    title: str
    subtitle: str | None
    description: str | None
    authors: list[AuthorRef]
    genres: list[GenreRef]
    publisher: str | None
    series: Series | None
    language: str | None
    format: fields.BookFormat
    pages: int | None
    published_year: int | None
    price: Money
    currency: str
    available: int
    in_stock: bool
    rating: Rating
    images: list[Image]
    cover_url: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    cost_price: Money | None = Field(None, description="For the staff only, as are the next three.")
    on_hand: int | None = None
    reserved: int | None = None
    low_stock_threshold: int | None = None


class FacetValue(Response):
    value: str
    name: str
    count: int


class Facets(Response):
    genre: list[FacetValue]
    author: list[FacetValue]
    publisher: list[FacetValue]
    language: list[FacetValue]
    format: list[FacetValue]
    in_stock: list[FacetValue]
    price: list[FacetValue] = Field(description="Bands as `min_price-max_price`; the last is open.")
    rating: list[FacetValue] = Field(description="By the whole stars of the average.")


class SuggestQuery(Request):
    q: Text


class Suggested(Response):
    kind: Literal["title", "author", "series"]
    text: str
    id: UUID | None = Field(description="Of the book or the author; a series has none.")


class SuggestPage(Response):
    items: list[Suggested]


class BookPage(Page[Book]):
    facets: Facets | None = None
    facets_estimated: bool | None = Field(
        None, description="Whether so many books were found that the counts are estimated from a sample of them."
    )


class Replica(Response):
    """What other services keep of a book, as BookAdded tells it."""

    book_id: UUID
    version: int
    code: str
    title: str
    price: Decimal
    currency: str
    is_active: bool
    available: int
    cover_url: str | None
    cost_price: Money | None = None
