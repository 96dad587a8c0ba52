"""Reviews, votes, ratings, and the replicas of names and purchases."""

import sqlalchemy as sa
from alembic import op

from common.migrations import create_messaging, drop_messaging

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("book_ratings", "purchases", "helpful_votes", "reviews", "reviewers")


def upgrade() -> None:
    create_messaging()
    _create_reviews()
    _create_votes()
    _create_purchases()
    _create_ratings()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    drop_messaging()


def _moment(name: str, *, nullable: bool = False, **options: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, **options)  # type: ignore[arg-type]


def _create_reviews() -> None:
    op.create_table(
        "reviewers",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_reviewers"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("body", sa.Text()),
        sa.Column("verified_purchase", sa.Boolean(), nullable=False),
        sa.Column("helpful_count", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        _moment("deleted_at", nullable=True),
        sa.Column("deleted_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.ForeignKeyConstraint(["user_id"], ["reviewers.user_id"], name="fk_reviews_user_id"),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="ck_reviews_rating"),
        sa.CheckConstraint("helpful_count >= 0", name="ck_reviews_helpful_count"),
    )
    _create_review_indexes()


def _create_review_indexes() -> None:
    """One for each order of each list, so that any page of it costs the same."""
    shown = sa.text("deleted_at IS NULL")
    pair = ["book_id", "user_id"]
    op.create_index("uq_reviews_book_id_user_id", "reviews", pair, unique=True, postgresql_where=shown)
    op.create_index("ix_reviews_user_id", "reviews", ["user_id", "created_at", "id"])
    for order in ("created_at", "helpful_count", "rating"):
        op.create_index(f"ix_reviews_{order}", "reviews", [order, "id"], postgresql_where=shown)
        op.create_index(f"ix_reviews_book_id_{order}", "reviews", ["book_id", order, "id"], postgresql_where=shown)


def _create_votes() -> None:
    op.create_table(
        "helpful_votes",
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("review_id", "user_id", name="pk_helpful_votes"),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_helpful_votes_review_id", ondelete="CASCADE"),
    )
    op.create_index("ix_helpful_votes_user_id", "helpful_votes", ["user_id"])


def _create_purchases() -> None:
    op.create_table(
        "purchases",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        _moment("checked_at", server_default=sa.func.now()),
        _moment("withdrawn_at", nullable=True),
        sa.PrimaryKeyConstraint("user_id", "book_id", "order_id", name="pk_purchases"),
    )


def _create_ratings() -> None:
    stars = [f"stars_{number}" for number in range(1, 6)]
    weighted = [f"{number} * {name}" if number > 1 else name for number, name in enumerate(stars, start=1)]
    op.create_table(
        "book_ratings",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"),
        *(sa.Column(name, sa.Integer(), nullable=False, server_default="0") for name in stars),
        sa.Column("review_count", sa.Integer(), sa.Computed(" + ".join(stars), persisted=True), nullable=False),
        sa.Column("stars_total", sa.Integer(), sa.Computed(" + ".join(weighted), persisted=True), nullable=False),
        sa.PrimaryKeyConstraint("book_id", name="pk_book_ratings"),
        sa.CheckConstraint(f"LEAST({', '.join(stars)}) >= 0", name="ck_book_ratings_stars"),
    )
