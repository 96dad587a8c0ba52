"""The rows that were rejected, as a file like the one that they came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_service.models import ImportJob, RejectedRow

AT_ONCE = 20


def as_file(read: Callable[[], AbstractContextManager[Session]], job: ImportJob) -> Iterator[bytes]:
    """In pieces, each read by itself."""
    yield job.head or b""
    after = -1
    while True:
        rows = select(RejectedRow.row, RejectedRow.source).where(RejectedRow.import_id == job.id)
        with read() as session:
            found = session.execute(rows.where(RejectedRow.row > after).order_by(RejectedRow.row).limit(AT_ONCE)).all()
        if not found:
            break
        after = found[-1].row
        yield b"".join(bytes(row.source) for row in found)
    yield job.tail or b""
