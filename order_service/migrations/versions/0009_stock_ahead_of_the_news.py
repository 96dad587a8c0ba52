"""A reservation tells what is left of its books, ahead of their own news: these must not take it back."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("books", sa.Column("stock_version", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("books", "stock_version")
