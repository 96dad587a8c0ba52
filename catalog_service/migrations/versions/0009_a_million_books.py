"""What makes finding books cost little more among a million than among ten thousand."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ACTIVE = sa.text("is_active")
INDEXES = {
    "popular": "(rating_count + 10 * units_sold)",
    "sample": "uuid_hash(id)",
    "language": "language",
    "format": "format",
    "in_stock": "(on_hand > reserved)",
}


def upgrade() -> None:
    for name, expression in INDEXES.items():
        also = ["id"] if name in ("popular", "sample") else []
        op.create_index(f"ix_books_{name}", "books", [sa.text(expression), *also], postgresql_where=ACTIVE)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(f"ix_books_{name}", "books")
