"""Which transaction wrote a line of an order's history: the order in which they became visible."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The default is set apart, so that the lines that exist are not rewritten: they are older than any stream."""
    op.add_column("order_history", sa.Column("xact_id", sa.BigInteger(), nullable=True))
    op.alter_column("order_history", "xact_id", server_default=sa.text("pg_current_xact_id()::text::bigint"))


def downgrade() -> None:
    op.drop_column("order_history", "xact_id")
