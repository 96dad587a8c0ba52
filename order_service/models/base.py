"""What all models derive from."""

from decimal import Decimal
from typing import Annotated

from sqlalchemy import Numeric, String
from sqlalchemy.orm import DeclarativeBase, mapped_column

from common.db import model_registry

Amount = Annotated[Decimal, mapped_column(Numeric(12, 2))]
CurrencyCode = Annotated[str, mapped_column(String(3))]


class Base(DeclarativeBase):
    registry = model_registry()
