"""The cover of a book that has no picture: drawn from its title and authors, and kept for a while."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from io import BytesIO
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from catalog_service import cover_art
from catalog_service.domain import files
from catalog_service.domain.files import Part, Transaction
from catalog_service.models import Book
from catalog_service.storage import FileMissing, Storage, StorageUnavailable, stored_bytes
from common.errors import NotFound
from common.telemetry import get_logger

CONTENT_TYPE = "image/webp"
PART = "cover.webp"
KEPT_FOR = timedelta(days=7)
log = get_logger(__name__)


def version(id: UUID, title: str, author_names: str) -> str:
    """Another one whenever the cover would look different."""
    drawn_from = "\0".join((cover_art.STYLE, str(id), title, author_names))
    return hashlib.sha256(drawn_from.encode()).hexdigest()[:16]


def url(id: UUID, title: str, author_names: str) -> str:
    """Where the cover is; nothing is drawn yet."""
    return f"{lasting_url(id)}?v={version(id, title, author_names)}"


def lasting_url(id: UUID) -> str:
    """Where the cover is whatever becomes of the book: its first image's, or the one that is drawn."""
    return f"/api/v1/books/{id}/cover"


def subject(session: Session, book: ColumnElement[bool]) -> tuple[UUID, str, str]:
    """The book that fits, and what is written on its cover: title and authors. Raises NotFound."""
    row = session.execute(select(Book.id, Book.title, Book.author_names).where(book)).one_or_none()
    if row is None:
        raise NotFound
    return row.id, row.title, row.author_names


def picture(transaction: Transaction, storage: Storage, id: UUID, title: str, author_names: str) -> bytes:
    """The cover as WebP: the one that is kept, else drawn now. Without a storage it is drawn each time."""
    name = f"covers/{id}-{version(id, title, author_names)}"
    try:
        return stored_bytes(storage, f"{name}/{PART}")
    except (FileMissing, StorageUnavailable):
        drawn = cover_art.draw(title, author_names, seed=id.bytes)
    try:
        files.store(transaction, storage, name, [Part(PART, BytesIO(drawn), CONTENT_TYPE)], kept_for=KEPT_FOR)
    except StorageUnavailable:
        log.warning("cover_not_kept", name=name)
    return drawn
