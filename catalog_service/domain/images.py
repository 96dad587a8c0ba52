"""The pictures of a book, in their order. The book's row is locked by whoever changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog_service.domain import announcements, books, files
from catalog_service.domain.pictures import FULL, THUMBNAIL_TYPE, Picture, thumbnail
from catalog_service.models import Book, Image
from common import outbox
from common.errors import Conflict, NotFound

MOST = 20
MOST_AT_ONCE = 10


class TooManyImages(Conflict):
    code = "too_many_images"


def url(id: UUID | str) -> str:
    return f"/api/v1/images/{id}"


def file_name(id: UUID) -> str:
    return f"images/{id}"


def require_room(session: Session, book_id: UUID, more: int = 0) -> None:
    """Raises NotFound, or TooManyImages."""
    if session.scalar(select(Book.id).where(Book.id == book_id)) is None:
        raise NotFound
    held = session.scalar(select(func.count()).select_from(Image).where(Image.book_id == book_id)) or 0
    if held + more > MOST:
        raise TooManyImages(f"A book may have {MOST} images.")


def add(session: Session, book_id: UUID, made: Sequence[tuple[UUID, Picture, str | None]]) -> None:
    """Behind those that are there: stored pictures with their ids and alternative texts. Raises as `require_room`."""
    book = books.to_change(session, book_id)
    require_room(session, book_id, len(made))
    held = len(_of(session, book_id))
    for position, (id, picture, alt) in enumerate(made, held):
        files.claim(session, file_name(id))
        session.add(
            Image(
                id=id,
                book_id=book_id,
                file=file_name(id),
                position=position,
                content_type=picture.content_type,
                width=picture.width,
                height=picture.height,
                widths=picture.widths,
                alt=alt,
            )
        )
    _changed(session, book)


def to_change(session: Session, id: UUID) -> Image:
    """Of a book that is locked until the transaction ends. Raises NotFound."""
    book_id = session.scalar(select(Image.book_id).where(Image.id == id))
    if book_id is not None:
        books.to_change(session, book_id)
    image = session.get(Image, id, populate_existing=True)
    if image is None:
        raise NotFound
    return image


def change(session: Session, image: Image, *, alt: str | None, position: int | None) -> None:
    """`position` is counted from 0, beyond the end is the last, None is where it is; the others make room."""
    held = _of(session, image.book_id)
    ordered = [each for each in held if each is not image]
    ordered.insert(image.position if position is None else position, image)
    if ordered == held and image.alt == alt:
        return
    image.alt = alt
    _number(ordered)
    _changed(session, session.get_one(Book, image.book_id))


def remove(session: Session, image: Image) -> None:
    """Its file follows when the transaction has committed."""
    ordered = [each for each in _of(session, image.book_id) if each is not image]
    session.delete(image)
    session.flush()
    files.release(session, [image.file])
    _number(ordered)
    _changed(session, session.get_one(Book, image.book_id))


def shown(image: Image) -> dict[str, Any]:
    return {"id": image.id, "url": url(image.id), "width": image.width, "height": image.height, "alt": image.alt}


def first(session: Session, book_id: UUID) -> UUID | None:
    """Of a book that has one."""
    return session.scalar(select(Image.id).where(Image.book_id == book_id).order_by(Image.position).limit(1))


def part(session: Session, id: UUID, width: int | None) -> tuple[str, str]:
    """Name in the storage and type of the narrowest that is no narrower than `width`, else of the whole picture.

    Raises NotFound.
    """
    row = session.execute(select(Image.file, Image.content_type, Image.widths).where(Image.id == id)).one_or_none()
    if row is None:
        raise NotFound
    fitting = [each for each in row.widths if width is not None and each >= width]
    if fitting:
        return f"{row.file}/{thumbnail(min(fitting))}", THUMBNAIL_TYPE
    return f"{row.file}/{FULL}", row.content_type


def _of(session: Session, book_id: UUID) -> list[Image]:
    found = select(Image).where(Image.book_id == book_id).order_by(Image.position)
    return list(session.scalars(found.execution_options(populate_existing=True)))


def _number(ordered: Sequence[Image]) -> None:
    for position, image in enumerate(ordered):
        image.position = position


def _changed(session: Session, book: Book) -> None:
    book.edited()
    session.flush()
    outbox.record(session, announcements.changed(book))
