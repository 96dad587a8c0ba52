"""Books whose price of 0.00 nobody has meant: drafts of suggestions that were approved without one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

DRAFTS = """
UPDATE books SET needs_price = true
WHERE price = 0 AND NOT is_active AND id IN (SELECT book_id FROM suggestions WHERE book_id IS NOT NULL)
"""


def upgrade() -> None:
    op.add_column("books", sa.Column("needs_price", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(DRAFTS)


def downgrade() -> None:
    op.drop_column("books", "needs_price")
