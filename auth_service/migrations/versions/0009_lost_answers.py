"""How often a refresh was tried again since its answer had been lost: each time the successor is another one."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("refresh_tokens", sa.Column("retries", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("refresh_tokens", "retries")
