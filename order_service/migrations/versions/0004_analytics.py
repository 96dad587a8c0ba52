"""Daily sums of sales, books and cancellations; what books cost the store."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SUM = sa.Numeric(precision=16, scale=2)
MONEY = sa.Numeric(precision=12, scale=2)
TABLES = ("daily_sales", "daily_book_sales", "monthly_book_sales", "daily_cancellations")


def upgrade() -> None:
    op.add_column("books", sa.Column("cost_price", MONEY, nullable=True))
    op.add_column("order_items", sa.Column("unit_cost", MONEY, nullable=True))
    op.add_column("refunds", sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE refunds SET completed_at = updated_at WHERE status = 'SUCCEEDED'")
    columns = ["status", "placed_at", "id"]
    op.create_index("ix_orders_status_placed_at_id", "orders", columns, unique=False)
    _create("daily_sales", [], ["orders", "units"], ["revenue", "refunded", "costed", "cost"])
    book = sa.Column("book_id", sa.Uuid(), nullable=False)
    _create("daily_book_sales", [book], ["quantity"], ["revenue"])
    book = sa.Column("book_id", sa.Uuid(), nullable=False)
    _create("monthly_book_sales", [book], ["quantity"], ["revenue"], period="month")
    _create("daily_cancellations", [sa.Column("reason", sa.String(length=40), nullable=False)], ["orders"], ["amount"])
    op.create_index(
        "ix_daily_book_sales_covering",
        "daily_book_sales",
        ["currency", "day"],
        unique=False,
        postgresql_include=["book_id", "quantity", "revenue"],
    )
    _count_what_there_is()


def _create(name: str, key: list[sa.Column], counts: list[str], sums: list[str], period: str = "day") -> None:
    op.create_table(
        name,
        sa.Column(period, sa.Date(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        *key,
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in counts),
        *(sa.Column(each, SUM, nullable=False) for each in sums),
        sa.PrimaryKeyConstraint(period, "currency", *(each.name for each in key), name=f"pk_{name}"),
    )


def _count_what_there_is() -> None:
    """`python -m order_service rebuild sales` counts again what the version before sold while this ran."""
    op.execute("""
        CREATE TEMPORARY TABLE sold ON COMMIT DROP AS
        SELECT order_id, (min(at) AT TIME ZONE 'UTC')::date AS day FROM order_history WHERE status = 'PAID' GROUP BY 1
    """)
    op.execute("""
        INSERT INTO daily_sales
        SELECT day, currency, count(*), coalesce(sum(units), 0), sum(total), 0, 0, 0
        FROM sold JOIN orders ON orders.id = order_id
        LEFT JOIN (SELECT order_id, sum(quantity) AS units FROM order_items GROUP BY 1) lines USING (order_id)
        GROUP BY 1, 2
    """)
    op.execute("""
        INSERT INTO daily_book_sales
        SELECT day, currency, book_id, sum(quantity), sum(line_total)
        FROM sold JOIN orders ON orders.id = order_id JOIN order_items USING (order_id)
        GROUP BY 1, 2, 3
    """)
    op.execute("""
        INSERT INTO monthly_book_sales
        SELECT date_trunc('month', day)::date, currency, book_id, sum(quantity), sum(revenue)
        FROM daily_book_sales GROUP BY 1, 2, 3
    """)
    op.execute("""
        INSERT INTO daily_sales AS d
        SELECT (r.completed_at AT TIME ZONE 'UTC')::date, p.currency, 0, 0, 0, sum(r.amount), 0, 0
        FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN orders o ON o.id = p.order_id
        WHERE r.completed_at IS NOT NULL AND o.status <> 'CANCELLED'
        GROUP BY 1, 2
        ON CONFLICT (day, currency) DO UPDATE SET refunded = d.refunded + excluded.refunded
    """)
    op.execute("""
        INSERT INTO daily_cancellations
        SELECT (h.at AT TIME ZONE 'UTC')::date, o.currency,
               CASE WHEN h.actor IN ('catalog-service', 'order-service') THEN left(coalesce(h.reason, 'unknown'), 40)
                    WHEN h.actor IN (o.user_id::text, 'erased') THEN 'cancelled_by_customer'
                    ELSE 'cancelled_by_staff' END,
               count(*), sum(o.total)
        FROM order_history h JOIN orders o ON o.id = h.order_id WHERE h.status = 'CANCELLED'
        GROUP BY 1, 2, 3
    """)


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    op.drop_index("ix_orders_status_placed_at_id", "orders")
    op.drop_column("refunds", "completed_at")
    op.drop_column("order_items", "unit_cost")
    op.drop_column("books", "cost_price")
