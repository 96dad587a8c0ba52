"""A payment's key knows the attempt that it made: the order may have had another since."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The order was locked when the key was claimed and until its attempt was written: that is the first one after it.
FIRST_AFTER = """
    UPDATE idempotency_keys k SET payment_id = (
        SELECT p.id FROM payments p WHERE p.order_id = k.order_id AND p.created_at >= k.created_at
        ORDER BY p.created_at LIMIT 1
    )
    WHERE k.operation = 'pay' AND k.answer_status IS NULL
"""


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("payment_id", sa.Uuid(), nullable=True))
    op.execute(FIRST_AFTER)


def downgrade() -> None:
    op.drop_column("idempotency_keys", "payment_id")
