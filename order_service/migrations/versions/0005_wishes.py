"""Wish lists, pre-bookings, and the mails about orders."""

import sqlalchemy as sa
from alembic import op

from common.migrations import create_mail

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
STATUSES = "('WAITING', 'NOTIFIED', 'FULFILLED', 'CANCELLED')"


def upgrade() -> None:
    create_mail()
    _create_customers()
    _create_wishes()
    _create_prebookings()


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_customers"),
    )
    op.create_table(
        "owed_letters",
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject_id", name="pk_owed_letters"),
    )
    op.create_index("ix_owed_letters_due_at", "owed_letters", ["due_at"], unique=False)
    op.create_index("ix_owed_letters_user_id", "owed_letters", ["user_id"], unique=False)


def _create_wishes() -> None:
    op.create_table(
        "wishes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_wishes"),
    )
    op.create_index("uq_wishes_user_id_book_id", "wishes", ["user_id", "book_id"], unique=True)
    op.create_index("ix_wishes_user_id_id", "wishes", ["user_id", "id"], unique=False)


def _create_prebookings() -> None:
    op.create_table(
        "prebookings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("offered", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("notified_at", TIME, nullable=True),
        sa.Column("expires_at", TIME, nullable=True),
        sa.CheckConstraint(f"status IN {STATUSES}", name="ck_prebookings_status"),
        sa.CheckConstraint(
            "quantity BETWEEN 1 AND 99 AND offered BETWEEN 0 AND quantity", name="ck_prebookings_quantity"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_prebookings"),
    )
    is_open = sa.text("status IN ('WAITING', 'NOTIFIED')")
    op.create_index("uq_prebookings_open", "prebookings", ["user_id", "book_id"], unique=True, postgresql_where=is_open)
    op.create_index("ix_prebookings_book_id", "prebookings", ["book_id", "id"], unique=False, postgresql_where=is_open)
    op.create_index("ix_prebookings_user_id_id", "prebookings", ["user_id", "id"], unique=False)
    notified = sa.text("status = 'NOTIFIED'")
    op.create_index("ix_prebookings_expires_at", "prebookings", ["expires_at"], unique=False, postgresql_where=notified)
    op.create_table(
        "prebooking_demand",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("waiting_count", sa.Integer(), nullable=False),
        sa.Column("waiting_quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("waiting_count >= 0 AND waiting_quantity >= 0", name="ck_prebooking_demand_waiting"),
        sa.PrimaryKeyConstraint("book_id", name="pk_prebooking_demand"),
    )


def downgrade() -> None:
    for table in ("prebooking_demand", "prebookings", "wishes", "owed_letters", "customers", "mail"):
        op.drop_table(table)
