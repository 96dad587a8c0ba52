"""Imports are worked on in turn, and can be cancelled."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BEFORE = "('PENDING', 'RUNNING', 'COMPLETED', 'FAILED')"
AFTER = "('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')"


def upgrade() -> None:
    op.add_column("imports", sa.Column("turn_at", sa.DateTime(timezone=True)))
    _allow(AFTER)


def downgrade() -> None:
    op.execute("UPDATE imports SET status = 'FAILED', failure = 'it was cancelled' WHERE status = 'CANCELLED'")
    _allow(BEFORE)
    op.drop_column("imports", "turn_at")


def _allow(statuses: str) -> None:
    """The table has a row for each import, so that checking them all takes no time."""
    for name in ("status", "undo_status"):
        op.drop_constraint(f"ck_imports_{name}", "imports", type_="check")
        op.create_check_constraint(f"ck_imports_{name}", "imports", f"{name} IN {statuses}")
