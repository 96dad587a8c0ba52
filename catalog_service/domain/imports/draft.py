"""A row of a file as a book to be, and what is wrong with a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from catalog_service.domain import fields
from catalog_service.domain.text import comparison_key, fingerprint


@dataclass(frozen=True, slots=True)
class Problem:
    """`row` is the record's number as a spreadsheet shows it: the header is row 1."""

    row: int
    field: str
    message: str
    is_fatal: bool = True


class Draft(BaseModel):
    """What a row says of a book: fields that it does not speak of are not set, and will be left alone."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    code: fields.Code = ""
    isbn: fields.Isbn | None = None
    title: fields.Title = ""
    subtitle: fields.Subtitle | None = None
    description: fields.Description | None = None
    authors: fields.Names = []
    genres: fields.Names = []
    publisher: fields.Publisher | None = None
    series_name: fields.Name | None = None
    series_position: fields.SeriesPosition | None = None
    language: fields.Language | None = None
    format: fields.BookFormat = fields.DEFAULT_FORMAT
    pages: fields.Pages | None = None
    published_year: fields.Year | None = None
    price: fields.Price | None = None
    cost_price: fields.Price | None = None
    low_stock_threshold: fields.Threshold = fields.DEFAULT_LOW_STOCK_THRESHOLD
    stock: fields.Quantity = 0

    def columns(self) -> dict[str, Any]:
        """The columns of the book that the row speaks of."""
        links = {"code", "authors", "genres", "stock"}
        return {name: getattr(self, name) for name in self.model_fields_set - links}

    def content_code(self) -> str:
        """A code for a book that has neither code nor ISBN: the same row gets the same again."""
        content = (self.title, *self.authors, str(self.published_year), self.format)
        return f"IM-{fingerprint(comparison_key('|'.join(content)), 12).upper()}"


@dataclass(slots=True)
class Row:
    """One record on its way in. `defaults` count for a book that is new, and change none that is there."""

    number: int
    draft: Draft
    defaults: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def parse(cls, number: int, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Self:
        """Raises Rejected with every field that is out of bounds."""
        try:
            return cls(number, Draft.model_validate(values), dict(defaults or {}))
        except ValidationError as error:
            raise Rejected([_problem(number, each) for each in error.errors(include_url=False)]) from None


class Rejected(ValueError):
    """A row that cannot go in, and why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def _problem(number: int, error: Any) -> Problem:
    return Problem(number, str(error["loc"][0]), error["msg"].removeprefix("Value error, "))
