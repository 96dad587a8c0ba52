"""What all models derive from."""

from decimal import Decimal
from typing import Annotated

from sqlalchemy import Index, Numeric, String, func, text
from sqlalchemy.orm import DeclarativeBase, mapped_column

from common.db import model_registry

Amount = Annotated[Decimal, mapped_column(Numeric(12, 2))]
CurrencyCode = Annotated[str, mapped_column(String(3))]


class Base(DeclarativeBase):
    registry = model_registry()


def by_beginning(name: str, column: str) -> Index:
    """An index for what a text begins with, in whatever case."""
    return Index(name, func.lower(text(column)).label("lowered"), postgresql_ops={"lowered": "text_pattern_ops"})
