"""Files that people send: theirs alone, unless they make them public."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from catalog_service.domain import files
from catalog_service.models import Upload
from common.errors import NotFound

PART = "content"


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a stored file. `filename` is a safe one."""

    filename: str
    content_type: str
    size: int
    sha256: str
    is_public: bool


def file_name(id: UUID) -> str:
    return f"uploads/{id}"


def add(session: Session, id: UUID, user_id: UUID, described: Described) -> Upload:
    """The file is stored under this id."""
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
