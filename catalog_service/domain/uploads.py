"""Files that people send: theirs alone, unless they make them public."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select, text
from sqlalchemy.orm import Session

from catalog_service.domain import files
from catalog_service.models import Upload
from common.errors import Conflict, NotFound

PART = "content"


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a stored file. `filename` is a safe one."""

    filename: str
    content_type: str
    size: int
    sha256: str
    is_public: bool


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many files one person may keep, and how many bytes."""

    files: int
    size: int


class UploadsFull(Conflict):
    code = "uploads_full"
    keeps_changes = True


def file_name(id: UUID) -> str:
    return f"uploads/{id}"


def require_room(session: Session, user_id: UUID, size: int, allowance: Allowance | None) -> None:
    """For one more of this size. Raises UploadsFull."""
    if allowance is None:
        return
    held = select(func.count(), func.coalesce(func.sum(Upload.size), 0)).where(Upload.user_id == user_id)
    count, total = session.execute(held).one()
    if count >= allowance.files or total + size > allowance.size:
        detail = f"You may keep {allowance.files} files and {allowance.size} bytes; remove some first."
        raise UploadsFull(detail, files=count, bytes=int(total))


def add(session: Session, id: UUID, user_id: UUID, described: Described, allowance: Allowance | None) -> Upload:
    """The file is stored under this id. Raises UploadsFull, after which it is removed."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.uploads.' || :user, 0))")
    session.execute(lock, {"user": str(user_id)})
    try:
        require_room(session, user_id, described.size, allowance)
    except UploadsFull:
        files.release(session, [file_name(id)])
        raise
    files.claim(session, file_name(id))
    upload = Upload(
        id=id,
        user_id=user_id,
        file=file_name(id),
        filename=described.filename,
        content_type=described.content_type,
        size=described.size,
        sha256=described.sha256,
        is_public=described.is_public,
    )
    session.add(upload)
    session.flush()
    return upload


def listing(user_id: UUID) -> Select[Any]:
    """All of one's own."""
    return select(*Upload.__table__.c).where(Upload.user_id == user_id)


def find(session: Session, id: UUID, user_id: UUID) -> Upload:
    """One's own, or a public one. Raises NotFound."""
    visible = or_(Upload.user_id == user_id, Upload.is_public)
    upload = session.scalar(select(Upload).where(Upload.id == id, visible))
    if upload is None:
        raise NotFound
    return upload


def remove(session: Session, id: UUID, user_id: UUID) -> None:
    """One's own only. Raises NotFound."""
    found = select(Upload).where(Upload.id == id, Upload.user_id == user_id).with_for_update()
    upload = session.scalar(found)
    if upload is None:
        raise NotFound
    session.delete(upload)
    session.flush()
    files.release(session, [upload.file])


def erase(session: Session, user_id: UUID) -> None:
    """All of a person's, public ones too."""
    for id in session.scalars(select(Upload.id).where(Upload.user_id == user_id)).all():
        remove(session, id, user_id)
