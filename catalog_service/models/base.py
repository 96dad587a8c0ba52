"""What all tables of the catalog are declared on."""

from sqlalchemy.orm import DeclarativeBase

from common.db import model_registry


class Base(DeclarativeBase):
    registry = model_registry()
