"""Addresses, shipping methods, tax rates and promotions; guests' carts; invoices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MONEY = sa.Numeric(precision=12, scale=2)
TIME = sa.DateTime(timezone=True)
TOTAL = "total = subtotal - discount + shipping + {tax} AND total >= 0"


def upgrade() -> None:
    _create_address_book()
    _create_shipping_and_tax()
    _create_promotions()
    _extend_orders()
    op.add_column("carts", sa.Column("is_guest", sa.Boolean(), nullable=False, server_default=sa.false()))
    guests = sa.text("is_guest")
    op.create_index("ix_carts_guests", "carts", ["updated_at"], unique=False, postgresql_where=guests)
    _create_invoices()


def _create_address_book() -> None:
    op.create_table(
        "addresses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("line1", sa.String(length=200), nullable=False),
        sa.Column("line2", sa.String(length=200), nullable=True),
        sa.Column("city", sa.String(length=200), nullable=False),
        sa.Column("region", sa.String(length=200), nullable=True),
        sa.Column("postal_code", sa.String(length=20), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_addresses"),
    )
    op.create_index("ix_addresses_user_id_id", "addresses", ["user_id", "id"], unique=False)


def _create_shipping_and_tax() -> None:
    op.create_table(
        "shipping_methods",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("price", MONEY, nullable=False),
        sa.Column("free_over", MONEY, nullable=True),
        sa.Column("countries", ARRAY(sa.String(length=2)), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.CheckConstraint("price >= 0 AND free_over >= 0", name="ck_shipping_methods_price"),
        sa.PrimaryKeyConstraint("code", name="pk_shipping_methods"),
    )
    op.create_table(
        "tax_rates",
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("rate", sa.Numeric(precision=7, scale=4), nullable=False),
        sa.Column("included", sa.Boolean(), nullable=False),
        sa.CheckConstraint("rate BETWEEN 0 AND 100", name="ck_tax_rates_rate"),
        sa.PrimaryKeyConstraint("country", name="pk_tax_rates"),
    )


def _create_promotions() -> None:
    op.create_table(
        "promotions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", MONEY, nullable=False),
        sa.Column("minimum", MONEY, nullable=False),
        sa.Column("starts_at", TIME, nullable=True),
        sa.Column("ends_at", TIME, nullable=True),
        sa.Column("limit_total", sa.Integer(), nullable=True),
        sa.Column("limit_per_user", sa.Integer(), nullable=True),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("kind IN ('percent', 'amount', 'free_shipping')", name="ck_promotions_kind"),
        sa.CheckConstraint("used >= 0", name="ck_promotions_used"),
        sa.CheckConstraint("value >= 0 AND (kind <> 'percent' OR value <= 100)", name="ck_promotions_value"),
        sa.PrimaryKeyConstraint("id", name="pk_promotions"),
        sa.UniqueConstraint("code", name="uq_promotions_code"),
    )
    op.create_table(
        "promotion_uses",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("promotion_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_promotion_uses_order_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["promotion_id"], ["promotions.id"], name="fk_promotion_uses_promotion_id"),
        sa.PrimaryKeyConstraint("order_id", name="pk_promotion_uses"),
    )
    columns = ["promotion_id", "user_id"]
    op.create_index("ix_promotion_uses_promotion_id_user_id", "promotion_uses", columns, unique=False)


def _extend_orders() -> None:
    op.add_column("orders", sa.Column("promotion_code", sa.String(length=40), nullable=True))
    op.add_column("orders", sa.Column("shipping_method", sa.String(length=40), nullable=True))
    zero = sa.text("0")
    op.add_column("orders", sa.Column("tax_rate", sa.Numeric(7, 4), nullable=False, server_default=zero))
    op.add_column("orders", sa.Column("tax_included", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("orders", sa.Column("redriven_at", TIME, nullable=True))
    op.drop_constraint("ck_orders_total", "orders", type_="check")
    added = TOTAL.format(tax="CASE WHEN tax_included THEN 0 ELSE tax END")
    op.create_check_constraint(op.f("ck_orders_total"), "orders", added)
    pending = sa.text("status = 'PENDING'")
    op.create_index("ix_orders_pending", "orders", ["placed_at"], unique=False, postgresql_where=pending)


def _create_invoices() -> None:
    op.create_table(
        "document_counters",
        sa.Column("series", sa.String(length=16), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series", name="pk_document_counters"),
    )
    op.create_table(
        "invoices",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("refund_id", sa.Uuid(), nullable=True),
        sa.Column("amount", MONEY, nullable=False),
        sa.Column("issued_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_invoices_order_id"),
        sa.ForeignKeyConstraint(["refund_id"], ["refunds.id"], name="fk_invoices_refund_id"),
        sa.PrimaryKeyConstraint("number", name="pk_invoices"),
        sa.UniqueConstraint("refund_id", name="uq_invoices_refund_id"),
    )
    whole = sa.text("refund_id IS NULL")
    op.create_index("uq_invoices_one_per_order", "invoices", ["order_id"], unique=True, postgresql_where=whole)
    op.create_index("ix_invoices_order_id", "invoices", ["order_id"], unique=False)


def downgrade() -> None:
    for table in ("invoices", "document_counters", "promotion_uses", "promotions"):
        op.drop_table(table)
    for table in ("tax_rates", "shipping_methods", "addresses"):
        op.drop_table(table)
    op.drop_index("ix_carts_guests", "carts")
    op.drop_column("carts", "is_guest")
    op.drop_index("ix_orders_pending", "orders")
    op.drop_constraint(op.f("ck_orders_total"), "orders", type_="check")
    for column in ("promotion_code", "shipping_method", "tax_rate", "tax_included", "redriven_at"):
        op.drop_column("orders", column)
    op.create_check_constraint("ck_orders_total", "orders", TOTAL.format(tax="tax"))
