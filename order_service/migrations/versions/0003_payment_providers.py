"""Payments that are decided later, refunds that may fail, webhooks that count once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UNTOLD = "settles_at IS NOT NULL AND told_at IS NULL"


def upgrade() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("provider", "event_id", name="pk_webhook_events"),
    )
    op.create_index("ix_webhook_events_received_at", "webhook_events", ["received_at"], unique=False)
    op.add_column("payments", sa.Column("asked_at", TIME, nullable=True))
    op.create_check_constraint(op.f("ck_payments_captured"), "payments", "refunded = 0 OR status = 'SUCCEEDED'")
    op.create_index("uq_payments_reference", "payments", ["provider", "reference"], unique=True)
    op.create_index("ix_payments_created_at", "payments", ["created_at"], unique=False)
    _let_refunds_fail()
    op.add_column("simulated_charges", sa.Column("settles_at", TIME, nullable=True))
    op.add_column("simulated_charges", sa.Column("told_at", TIME, nullable=True))
    untold = sa.text(UNTOLD)
    op.create_index(
        "ix_simulated_charges_untold", "simulated_charges", ["settles_at"], unique=False, postgresql_where=untold
    )


def _let_refunds_fail() -> None:
    op.add_column("refunds", sa.Column("reference", sa.String(length=255), nullable=True))
    op.add_column("refunds", sa.Column("asked_at", TIME, nullable=True))
    op.drop_constraint("ck_refunds_status", "refunds", type_="check")
    known = "status IN ('PENDING', 'SUCCEEDED', 'FAILED')"
    op.create_check_constraint(op.f("ck_refunds_status"), "refunds", known)


def downgrade() -> None:
    op.drop_index("ix_simulated_charges_untold", "simulated_charges")
    op.drop_column("simulated_charges", "told_at")
    op.drop_column("simulated_charges", "settles_at")
    op.drop_constraint(op.f("ck_refunds_status"), "refunds", type_="check")
    op.create_check_constraint("ck_refunds_status", "refunds", "status IN ('PENDING', 'SUCCEEDED')")
    op.drop_column("refunds", "asked_at")
    op.drop_column("refunds", "reference")
    op.drop_index("ix_payments_created_at", "payments")
    op.drop_index("uq_payments_reference", "payments")
    op.drop_constraint(op.f("ck_payments_captured"), "payments", type_="check")
    op.drop_column("payments", "asked_at")
    op.drop_table("webhook_events")
