"""How the database server would answer what is asked of it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def plans(engine: Engine, *, settings: str = "") -> Iterator[list[str]]:
    """The plan of each statement that reads, made for its very values; under these settings, where they are given."""
    found: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if not statement.lstrip(" (\n").upper().startswith(("SELECT", "WITH")):
            return
        with connection.connection.cursor() as cursor:
            cursor.execute(f"{settings}; EXPLAIN {statement}" if settings else f"EXPLAIN {statement}", parameters)
            found.append("\n".join(line for (line,) in cursor.fetchall()))
            cursor.execute("RESET ALL" if settings else "SELECT 1")

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", explain)
