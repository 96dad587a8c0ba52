"""Which clients the deployment itself provides: nobody else changes them. `seed` marks those that are there already."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("clients", sa.Column("is_provisioned", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("clients", "is_provisioned")
