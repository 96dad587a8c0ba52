"""Stored files: written down before they exist, claimed by the row that names them, removed when nobody does.

A crash between any two of these steps leaves a file that is due, never a row whose file is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO

from sqlalchemy import select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from catalog_service.models import Image, StoredFile, Upload
from catalog_service.storage import Storage, StorageUnavailable, open_storage
from common.db import Database, utcnow

UNCLAIMED = timedelta(hours=1)
"""Longer than any request lasts that stores a file and then names it."""
AT_ONCE = 500

Transaction = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    content: BinaryIO
    content_type: str


def store(
    transaction: Transaction, storage: Storage, name: str, parts: Sequence[Part], *, kept_for: timedelta = UNCLAIMED
) -> None:
    """Put the parts of a file into the storage; it goes again after `kept_for`, unless it is claimed."""
    with transaction() as session:
        _write_down(session, name, [part.name for part in parts], kept_for)
    for part in parts:
        storage.put(f"{name}/{part.name}", part.content, content_type=part.content_type)


def _write_down(session: Session, name: str, parts: list[str], kept_for: timedelta) -> None:
    due_at = utcnow() + kept_for
    row = insert(StoredFile).values(name=name, parts=parts, due_at=due_at)
    session.execute(row.on_conflict_do_update(index_elements=["name"], set_={"due_at": due_at}))


def claim(session: Session, name: str) -> None:
    """A row of this transaction names the file: it stays. Raises StorageUnavailable if it is gone by now."""
    claimed = session.scalar(
        update(StoredFile).where(StoredFile.name == name).values(due_at=None).returning(StoredFile.name)
    )
    if claimed is None:
        raise StorageUnavailable("Storing the file took too long; send it again.")


def release(session: Session, names: Sequence[str]) -> None:
    """No row names these files any longer, once this transaction has committed."""
    session.execute(update(StoredFile).where(StoredFile.name.in_(names)).values(due_at=utcnow()))


def sweep(database: Database, config: Any) -> None:
    """Remove the files that are due."""
    storage = open_storage(config.storage)
    for _ in range(AT_ONCE):
        with database.transaction() as session:
            if not remove_next(session, storage):
                return


def remove_next(session: Session, storage: Storage) -> bool:
    """Whether there was a file that is due.

    Nobody can begin to name it while its row is locked, and whoever did before is seen by the second statement.
    """
    due = select(StoredFile).where(StoredFile.due_at <= utcnow()).order_by(StoredFile.due_at)
    file = session.scalar(due.limit(1).with_for_update(skip_locked=True))
    if file is None:
        return False
    if _is_named(session, file.name):
        file.due_at = None
        return True
    for part in file.parts:
        storage.delete(f"{file.name}/{part}")
    session.delete(file)
    return True


def _is_named(session: Session, name: str) -> bool:
    named = union_all(*(select(model.id).where(model.file == name) for model in (Image, Upload)))
    return session.execute(named).first() is not None
