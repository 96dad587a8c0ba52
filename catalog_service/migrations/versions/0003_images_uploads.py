"""Stored files, the pictures of books, and uploads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stored_files",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("parts", ARRAY(sa.Text), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("name", name="pk_stored_files"),
    )
    op.create_index("ix_stored_files_due", "stored_files", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    _create_images()
    _create_uploads()


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("book_id", sa.Uuid, nullable=False),
        sa.Column("file", sa.String(100), nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("content_type", sa.String(32), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("widths", ARRAY(sa.SmallInteger), nullable=False),
        sa.Column("alt", sa.String(300)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name="fk_images_book_id", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["file"], ["stored_files.name"], name="fk_images_file", ondelete="RESTRICT"),
        sa.UniqueConstraint("file", name="uq_images_file"),
        sa.UniqueConstraint(
            "book_id", "position", name="uq_images_book_id_position", deferrable=True, initially="DEFERRED"
        ),
        sa.CheckConstraint("position >= 0 AND width > 0 AND height > 0", name="ck_images_bounds"),
    )


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("file", sa.String(100), nullable=False),
        sa.Column("filename", sa.String(200), nullable=False),
        sa.Column("content_type", sa.String(32), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.ForeignKeyConstraint(["file"], ["stored_files.name"], name="fk_uploads_file", ondelete="RESTRICT"),
        sa.UniqueConstraint("file", name="uq_uploads_file"),
        sa.CheckConstraint("size > 0 AND sha256 ~ '^[0-9a-f]{64}$'", name="ck_uploads_content"),
    )
    op.create_index("ix_uploads_user_id", "uploads", ["user_id"])


def downgrade() -> None:
    for table in ("uploads", "images", "stored_files"):
        op.drop_table(table)
