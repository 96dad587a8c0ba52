"""Imports: the files that came in, how far they are, and what each did to which book."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from catalog_service.models.base import Base
from common.db import utcnow
from common.ids import new_id


class ImportStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class UndoOutcome(StrEnum):
    RESTORED = "restored"
    WITHDRAWN = "withdrawn"
    KEPT = "kept"


OPEN = (ImportStatus.PENDING, ImportStatus.RUNNING)
IN_WORK = f"status IN {tuple(map(str, OPEN))} OR undo_status IN {tuple(map(str, OPEN))}"


class ImportJob(Base):
    """One file on its way in, and later perhaps its way back (`undo_status`).

    Those that wait are worked on in turn: who has had one since (`turn_at`) comes after those who have not.

    Whoever works on it holds `claim` until `lease_until`; `attempts` counts claims without a batch that succeeded.
    `head` and `tail` frame the rows that were rejected when they are made a file again.
    """

    __tablename__ = "imports"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    source: Mapped[str] = mapped_column(String(8))
    format: Mapped[str] = mapped_column(String(8))
    filename: Mapped[str | None] = mapped_column(String(255))
    dry_run: Mapped[bool]
    actor: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    status: Mapped[str] = mapped_column(String(16))
    failure: Mapped[str | None] = mapped_column(Text)
    rows: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    warnings: Mapped[int] = mapped_column(default=0)
    head: Mapped[bytes | None]
    tail: Mapped[bytes | None]
    undo_status: Mapped[str | None] = mapped_column(String(16))
    undo_actor: Mapped[str | None] = mapped_column(String(255))
    restored: Mapped[int] = mapped_column(default=0)
    withdrawn: Mapped[int] = mapped_column(default=0)
    kept: Mapped[int] = mapped_column(default=0)
    claim: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    turn_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    details_kept: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"status IN {tuple(map(str, ImportStatus))}", name="status"),
        CheckConstraint(f"undo_status IN {tuple(map(str, ImportStatus))}", name="undo_status"),
        CheckConstraint("format IN ('csv', 'onix', 'marc')", name="format"),
        Index("ix_imports_open", "created_at", postgresql_where=text(IN_WORK)),
    )


class ImportPiece(Base):
    """A part of the file of an import, until it is through."""

    __tablename__ = "import_pieces"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes]


class ImportKey(Base):
    """Which row of an import was the first to name a book, by what: a book is written once by a file."""

    __tablename__ = "import_keys"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    row: Mapped[int]


class ImportProblem(Base):
    __tablename__ = "import_problems"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"))
    row: Mapped[int]
    field: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    is_fatal: Mapped[bool]

    __table_args__ = (Index("ix_import_problems_import_id_id", "import_id", "id"),)


class RejectedRow(Base):
    """A row as it stood in the file, to be repaired and sent again."""

    __tablename__ = "import_rejected"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[bytes]


class ImportChange(Base):
    """What a row did to a book, or would have done in a dry run. `undo_revision`: the book's, when it was withdrawn."""

    __tablename__ = "import_changes"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[UUID | None]
    code: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(8))
    before: Mapped[dict[str, Any]] = mapped_column(JSONB)
    after: Mapped[dict[str, Any]] = mapped_column(JSONB)
    undo_outcome: Mapped[str | None] = mapped_column(String(16))
    undo_reason: Mapped[str | None] = mapped_column(Text)
    undo_revision: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        CheckConstraint("action IN ('created', 'updated')", name="action"),
        CheckConstraint(f"undo_outcome IN {tuple(map(str, UndoOutcome))}", name="undo_outcome"),
        Index("ix_import_changes_withdrawn", "book_id", postgresql_where=text("undo_outcome = 'withdrawn'")),
    )
