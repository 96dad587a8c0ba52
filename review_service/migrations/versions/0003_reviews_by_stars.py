"""What makes it cheap to find a book's reviews of so many stars, and for the staff to look at one book."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

THERE = sa.text("deleted_at IS NULL")
ADDED = {
    "rating_created_at": ["rating", "created_at", "id"],
    "book_id_rating_created_at": ["book_id", "rating", "created_at", "id"],
    "book_id_rating_helpful_count": ["book_id", "rating", "helpful_count", "id"],
    "queue_book_id": ["book_id", "report_count", "id"],
}
REPLACED = {"rating": ["rating", "id"], "book_id_rating": ["book_id", "rating", "id"]}


def upgrade() -> None:
    _replace(REPLACED, ADDED)


def downgrade() -> None:
    _replace(ADDED, REPLACED)


def _replace(old: dict[str, list[str]], new: dict[str, list[str]]) -> None:
    for name, columns in new.items():
        op.create_index(f"ix_reviews_{name}", "reviews", columns, postgresql_where=THERE)
    for name in old:
        op.drop_index(f"ix_reviews_{name}", "reviews")
