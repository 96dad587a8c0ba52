"""What the search of orders looks into: titles as sold, the orders of each book, customers by name and address."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# One statement sorts what it adds: two that sell the same new titles at once never wait for each other in a circle.
# `FROM CURRENT` keeps the function working for an operator's session, which looks into other schemas.
TRIGGER = """
CREATE FUNCTION note_sold_books() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
BEGIN
    INSERT INTO book_orders (book_id, placed_at, order_id)
    SELECT DISTINCT book_id, (SELECT placed_at FROM orders WHERE id = order_id), order_id FROM added
    ON CONFLICT DO NOTHING;
    INSERT INTO sold_titles (book_id, title) SELECT DISTINCT book_id, title FROM added ORDER BY book_id, title
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$function$;
CREATE TRIGGER order_items_added AFTER INSERT ON order_items REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION note_sold_books();
"""
FILL = (
    """
    INSERT INTO book_orders (book_id, placed_at, order_id)
    SELECT DISTINCT i.book_id, o.placed_at, o.id FROM order_items i JOIN orders o ON o.id = i.order_id
    WHERE o.placed_at >= :since ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO sold_titles (book_id, title)
    SELECT DISTINCT i.book_id, i.title FROM order_items i JOIN orders o ON o.id = i.order_id
    WHERE o.placed_at >= :since ON CONFLICT DO NOTHING
    """,
)
# The extension is the administrator's to create; without it, the few titles and people are read one by one.
SIMILARITY = """
DO $block$
DECLARE
    place text := (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
        WHERE extname = 'pg_trgm');
BEGIN
    IF place IS NOT NULL THEN
        EXECUTE format('CREATE INDEX ix_sold_titles_title_similar ON sold_titles USING gin (title %s.gin_trgm_ops)',
            place);
        EXECUTE format('CREATE INDEX ix_customers_name_similar ON customers USING gin (name %s.gin_trgm_ops)', place);
        EXECUTE format('CREATE INDEX ix_customers_email_similar ON customers USING gin (email %s.gin_trgm_ops)', place);
    END IF;
END
$block$;
"""
BY_BEGINNING = (("sold_titles", "title"), ("customers", "name"), ("customers", "email"))


def upgrade() -> None:
    op.create_table(
        "sold_titles",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("book_id", "title", name="pk_sold_titles"),
    )
    op.create_table(
        "book_orders",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("book_id", "placed_at", "order_id", name="pk_book_orders"),
    )
    _fill()
    for table, column in BY_BEGINNING:
        op.execute(f"CREATE INDEX ix_{table}_{column}_lower ON {table} (lower({column}) text_pattern_ops)")
    number = {"number": "text_pattern_ops"}
    op.create_index("ix_orders_number_beginning", "orders", ["number"], unique=False, postgresql_ops=number)
    op.execute(SIMILARITY)


def _fill() -> None:
    """Writers wait for the second, short round alone: for what was sold during the first, the trigger was not there."""
    connection = op.get_bind()
    started = connection.scalar(sa.text("SELECT now() - interval '1 hour'"))
    for since, trigger in (("-infinity", TRIGGER), (started, None)):
        for statement in FILL:
            connection.execute(sa.text(statement), {"since": since})
        if trigger:
            op.execute(trigger)


def downgrade() -> None:
    op.execute("DROP TRIGGER order_items_added ON order_items")
    op.execute("DROP FUNCTION note_sold_books()")
    op.drop_index("ix_orders_number_beginning", "orders")
    for column in ("name", "email"):
        op.execute(f"DROP INDEX ix_customers_{column}_lower")
        op.execute(f"DROP INDEX IF EXISTS ix_customers_{column}_similar")
    op.drop_table("book_orders")
    op.drop_table("sold_titles")
