"""Suggestions of readers and their mail, summaries, and what the low-stock list and the safety net look at."""

import sqlalchemy as sa
from alembic import op

from common.mail import metadata as mail
from common.migrations import create_mail

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_mail()
    op.create_table(
        "contacts",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_contacts"),
    )
    _create_suggestions()
    _create_summaries()
    op.create_table(
        "book_demand",
        sa.Column("book_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("waiting_quantity", sa.Integer, nullable=False),
        sa.Column("waiting_count", sa.Integer, nullable=False),
        sa.CheckConstraint("waiting_quantity >= 0 AND waiting_count >= 0", name="ck_book_demand_waiting"),
        sa.PrimaryKeyConstraint("book_id", name="pk_book_demand"),
    )
    op.create_index(
        "ix_books_low_stock",
        "books",
        [sa.text("(on_hand - reserved)"), "id"],
        postgresql_where=sa.text("is_active AND on_hand - reserved <= low_stock_threshold"),
    )
    op.create_index("ix_reservations_held", "reservations", ["created_at"], postgresql_where=sa.text("status = 'held'"))


def _create_suggestions() -> None:
    op.create_table(
        "suggestions",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("isbn", sa.String(13)),
        sa.Column("note", sa.String(2000)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("book_id", sa.Uuid),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("decided_at", TIME),
        sa.Column("told_at", TIME),
        sa.CheckConstraint("status IN ('PENDING', 'APPROVED', 'REJECTED')", name="ck_suggestions_status"),
        sa.CheckConstraint("(status = 'PENDING') = (decided_at IS NULL)", name="ck_suggestions_decided"),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name="fk_suggestions_book_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_suggestions"),
    )
    op.create_index("ix_suggestions_user_id_id", "suggestions", ["user_id", "id"])
    op.create_index("ix_suggestions_status_id", "suggestions", ["status", "id"])
    op.create_index(
        "ix_suggestions_untold",
        "suggestions",
        ["decided_at"],
        postgresql_where=sa.text("decided_at IS NOT NULL AND told_at IS NULL"),
    )


def _create_summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("book_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("summary", sa.Text),
        sa.Column("source", sa.String(120)),
        sa.Column("generated_at", TIME),
        sa.Column("not_before", TIME, nullable=False),
        sa.CheckConstraint(
            "(summary IS NULL) = (source IS NULL) AND (summary IS NULL) = (generated_at IS NULL)",
            name="ck_summaries_whole",
        ),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name="fk_summaries_book_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("book_id", name="pk_summaries"),
    )
    op.create_table(
        "summary_minutes",
        sa.Column("minute", TIME, nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("minute", name="pk_summary_minutes"),
    )


def downgrade() -> None:
    op.drop_index("ix_reservations_held", "reservations")
    op.drop_index("ix_books_low_stock", "books")
    for table in ("book_demand", "summary_minutes", "summaries", "suggestions", "contacts"):
        op.drop_table(table)
    mail.drop_all(op.get_bind(), checkfirst=False)
