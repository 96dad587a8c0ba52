"""Reports, hidden reviews, spoilers, and alerts of many low ratings at once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
ADDED = ("contains_spoiler", "spoiler_settled", "report_count", "hidden_at", "hidden_by", "hidden_reason")
# The staff's lists: what is there, what is hidden, what is deleted; each read along its own index.
QUEUES = {
    "ix_reviews_queue": "deleted_at IS NULL",
    "ix_reviews_queue_hidden": "deleted_at IS NULL AND hidden_at IS NOT NULL",
    "ix_reviews_queue_deleted": "deleted_at IS NOT NULL",
}


def upgrade() -> None:
    _extend_reviews()
    _create_reports()
    _create_alerts()


def downgrade() -> None:
    op.drop_table("rating_alerts")
    op.drop_table("review_reports")
    for name in QUEUES:
        op.drop_index(name, "reviews")
    for column in ADDED:
        op.drop_column("reviews", column)


def _extend_reviews() -> None:
    for name in ("contains_spoiler", "spoiler_settled"):
        op.add_column("reviews", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("reviews", sa.Column("report_count", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("reviews", sa.Column("hidden_at", TIME))
    op.add_column("reviews", sa.Column("hidden_by", sa.Uuid()))
    op.add_column("reviews", sa.Column("hidden_reason", sa.Text()))
    op.create_check_constraint(op.f("ck_reviews_report_count"), "reviews", "report_count >= 0")
    whole = "(hidden_at IS NULL) = (hidden_by IS NULL) AND (hidden_at IS NULL) = (hidden_reason IS NULL)"
    op.create_check_constraint(op.f("ck_reviews_hidden"), "reviews", whole)
    for name, where in QUEUES.items():
        op.create_index(name, "reviews", ["report_count", "id"], unique=False, postgresql_where=sa.text(where))


def _create_reports() -> None:
    op.create_table(
        "review_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_review_reports"),
        sa.UniqueConstraint("review_id", "user_id", name="uq_review_reports_review_id_user_id"),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_review_reports_review_id", ondelete="CASCADE"),
    )
    op.create_index("ix_review_reports_review_id_id", "review_reports", ["review_id", "id"])
    op.create_index("ix_review_reports_user_id", "review_reports", ["user_id"])


def _create_alerts() -> None:
    op.create_table(
        "rating_alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("low_ratings", sa.Integer(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rating_alerts"),
    )
    op.create_index("ix_rating_alerts_book_id_last_at", "rating_alerts", ["book_id", "last_at"])
    op.create_index("ix_rating_alerts_last_at", "rating_alerts", ["last_at"])
