"""That a letter was written is kept, so that the mail itself can go after a while and is still not written again."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A mail's key is the kind of letter and what it is about; whose it is, that tells.
WRITTEN = """
    INSERT INTO owed_letters (kind, subject_id, user_id, created_at, due_at, written_at)
    SELECT m.kind, m.subject_id, coalesce(o.user_id, p.user_id), m.created_at, m.created_at, m.created_at
    FROM (SELECT split_part(key, ':', 1) AS kind, split_part(key, ':', 2)::uuid AS subject_id, created_at FROM mail) m
    LEFT JOIN refunds r ON r.id = m.subject_id
    LEFT JOIN payments paid ON paid.id = r.payment_id
    LEFT JOIN orders o ON o.id = coalesce(paid.order_id, m.subject_id)
    LEFT JOIN prebookings p ON p.id = m.subject_id
    WHERE coalesce(o.user_id, p.user_id) IS NOT NULL
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.add_column("owed_letters", sa.Column("written_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(WRITTEN)
    op.drop_index("ix_owed_letters_due_at", "owed_letters")
    owed = sa.text("written_at IS NULL")
    op.create_index("ix_owed_letters_due_at", "owed_letters", ["due_at"], unique=False, postgresql_where=owed)


def downgrade() -> None:
    op.execute("DELETE FROM owed_letters WHERE written_at IS NOT NULL")
    op.drop_index("ix_owed_letters_due_at", "owed_letters")
    op.create_index("ix_owed_letters_due_at", "owed_letters", ["due_at"], unique=False)
    op.drop_column("owed_letters", "written_at")
