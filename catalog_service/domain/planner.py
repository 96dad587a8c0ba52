"""What the database server expects to find, which it knows from its statistics without looking."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ClauseElement, Executable, Select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

_SIZE = text("SELECT reltuples FROM pg_class WHERE oid = CAST('books' AS regclass)")


class _Explained(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explained, "postgresql")
def _explain(element: _Explained, compiler: Any, **kwargs: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **kwargs)}"


def expected(session: Session, statement: Select[Any]) -> int:
    """About how many rows the statement gives."""
    (plan,) = session.execute(_Explained(statement)).scalar_one()
    return int(plan["Plan"]["Plan Rows"])


def number_of_books(session: Session) -> int:
    """About so many; 0 before the statistics are taken for the first time."""
    return max(0, int(session.scalar(_SIZE) or 0))
