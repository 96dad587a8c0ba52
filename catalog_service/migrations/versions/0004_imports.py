"""Imports by HTTP: the file in pieces, its progress, and what each row did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
STATUSES = "('PENDING', 'RUNNING', 'COMPLETED', 'FAILED')"
IN_WORK = "status IN ('PENDING', 'RUNNING') OR undo_status IN ('PENDING', 'RUNNING')"
COUNTS = ("rows", "created", "updated", "unchanged", "rejected", "warnings", "restored", "withdrawn", "kept")


def upgrade() -> None:
    _create_imports()
    number = sa.Column("number", sa.Integer, nullable=False)
    _create_part("import_pieces", number, sa.Column("data", sa.LargeBinary, nullable=False))
    key = sa.Column("key", sa.String(80), nullable=False)
    _create_part("import_keys", key, sa.Column("row", sa.Integer, nullable=False))
    row = sa.Column("row", sa.Integer, nullable=False)
    _create_part("import_rejected", row, sa.Column("source", sa.LargeBinary, nullable=False))
    _create_problems()
    _create_changes()


def _create_imports() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("filename", sa.String(255)),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("failure", sa.Text),
        *(sa.Column(name, sa.Integer, nullable=False) for name in COUNTS),
        sa.Column("head", sa.LargeBinary),
        sa.Column("tail", sa.LargeBinary),
        sa.Column("undo_status", sa.String(16)),
        sa.Column("undo_actor", sa.String(255)),
        sa.Column("claim", sa.Uuid),
        sa.Column("lease_until", TIME),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("details_kept", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
        sa.CheckConstraint(f"status IN {STATUSES}", name="ck_imports_status"),
        sa.CheckConstraint(f"undo_status IN {STATUSES}", name="ck_imports_undo_status"),
        sa.CheckConstraint("format IN ('csv', 'onix', 'marc')", name="ck_imports_format"),
    )
    op.create_index("ix_imports_open", "imports", ["created_at"], postgresql_where=sa.text(IN_WORK))


def _create_part(table: str, key: sa.Column, *others: sa.Column | sa.CheckConstraint) -> None:
    op.create_table(
        table,
        sa.Column("import_id", sa.Uuid, nullable=False),
        key,
        *others,
        sa.PrimaryKeyConstraint("import_id", key.name, name=f"pk_{table}"),
        _of_import(table),
    )


def _of_import(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=f"fk_{table}_import_id", ondelete="CASCADE")


def _create_problems() -> None:
    op.create_table(
        "import_problems",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("import_id", sa.Uuid, nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("is_fatal", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_import_problems"),
        _of_import("import_problems"),
    )
    op.create_index("ix_import_problems_import_id_id", "import_problems", ["import_id", "id"])


def _create_changes() -> None:
    _create_part(
        "import_changes",
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("book_id", sa.Uuid),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("before", JSONB, nullable=False),
        sa.Column("after", JSONB, nullable=False),
        sa.Column("undo_outcome", sa.String(16)),
        sa.Column("undo_reason", sa.Text),
        sa.Column("undo_revision", sa.BigInteger),
        sa.CheckConstraint("action IN ('created', 'updated')", name="ck_import_changes_action"),
        sa.CheckConstraint("undo_outcome IN ('restored', 'withdrawn', 'kept')", name="ck_import_changes_undo_outcome"),
    )
    withdrawn = sa.text("undo_outcome = 'withdrawn'")
    op.create_index("ix_import_changes_withdrawn", "import_changes", ["book_id"], postgresql_where=withdrawn)


def downgrade() -> None:
    for part in ("changes", "problems", "rejected", "keys", "pieces"):
        op.drop_table(f"import_{part}")
    op.drop_table("imports")
