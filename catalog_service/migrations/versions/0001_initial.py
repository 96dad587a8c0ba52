"""Books, authors, genres, search, and the stock ledger with its reservations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from common.migrations import create_messaging, drop_messaging

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Neither the unaccent extension nor the server's locale is needed: compatibility decomposition takes marks and
# ligatures apart, the letters that Unicode does not decompose are named. Initials are drawn together, so that
# "J. R. R. Tolkien", "J.R.R. Tolkien" and "jrr tolkien" are the same words. `"` and `-` mean something in a query.
# Bodies in the standard's form are bound when they are made: indexes are built under another search_path.
SEARCH_FUNCTIONS = r"""
CREATE FUNCTION search_fold(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN translate(
        regexp_replace(
            regexp_replace(
                lower(normalize(
                    replace(replace(replace(replace(translate(value, 'ØøŁłĐđıİ', 'OoLlDdii'),
                        'ß', 'ss'), 'Æ', 'ae'), 'æ', 'ae'), 'œ', 'oe'), NFKD)),
                '[\u0300-\u036f''\u2019\u2018\u02bc`\u00b4]', '', 'g'),
            '\m([a-z])\.\s*(?=[a-z]\.)', '\1', 'g'),
        '!#$%&()*+,./:;<=>?@[\]^_{|}~' ||
        U&'\00a1\00bf\00ab\00bb\201c\201d\201e\2010\2011\2012\2013\2014\2015\2022\00b7\00a7',
        repeat(' ', 60));

CREATE FUNCTION search_text(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN translate(search_fold(value), '"-', '  ');
"""

SEARCH_QUERY_FUNCTION = r"""
CREATE FUNCTION search_query(value text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
    folded text := regexp_replace(search_fold(value), '([^\s"-])-+(?=[^\s"-])', '\1 ', 'g');
    words tsquery := websearch_to_tsquery('simple'::regconfig, folded);
BEGIN
    IF numnode(words) > 0 AND folded ~ '[^\s"-]{3}\s*$' THEN
        RETURN (words::text || ':*')::tsquery;
    END IF;
    RETURN words;
END
$function$;
"""

# Initials count together ("jk") and apart ("j k").
SEARCH_VECTOR = r"""
setweight(to_tsvector('simple'::regconfig, search_text(title)), 'A')
|| setweight(to_tsvector('simple'::regconfig, search_text(
     author_names || ' ' || translate(regexp_replace(author_names, '\w{2,}', ' ', 'g'), '.', ' '))), 'B')
|| setweight(to_tsvector('simple'::regconfig,
     search_text(COALESCE(subtitle, '') || ' ' || COALESCE(series_name, ''))), 'C')
|| setweight(to_tsvector('simple'::regconfig, search_text(COALESCE(publisher, '') || ' ' || COALESCE(isbn, ''))), 'D')
"""

TIME = sa.DateTime(timezone=True)
ACTIVE = sa.text("is_active")


def upgrade() -> None:
    create_messaging()
    op.execute(SEARCH_FUNCTIONS)
    op.execute(SEARCH_QUERY_FUNCTION)
    _create_named("authors")
    _create_named("genres")
    words = sa.text("to_tsvector('simple'::regconfig, search_text(name))")
    op.create_index("ix_authors_words", "authors", [words], postgresql_using="gin")
    _create_books()
    _index_books()
    _create_links()
    _create_stock()


def _create_named(table: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("slug", sa.String(100), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("key", name=f"uq_{table}_key"),
        sa.UniqueConstraint("slug", name=f"uq_{table}_slug"),
    )


def _create_books() -> None:
    op.create_table(
        "books",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("isbn", sa.String(13)),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("subtitle", sa.String(500)),
        sa.Column("description", sa.Text),
        sa.Column("author_names", sa.Text, nullable=False),
        sa.Column("publisher", sa.String(200)),
        sa.Column("series_name", sa.String(200)),
        sa.Column("series_position", sa.Numeric(7, 2)),
        sa.Column("language", sa.String(3)),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("pages", sa.Integer),
        sa.Column("published_year", sa.SmallInteger),
        sa.Column("price", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("cost_price", sa.Numeric(12, 2)),
        sa.Column("low_stock_threshold", sa.Integer, nullable=False),
        sa.Column("on_hand", sa.Integer, nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("units_sold", sa.BigInteger, nullable=False),
        sa.Column("rating_average", sa.Numeric(3, 2)),
        sa.Column("rating_count", sa.Integer, nullable=False),
        sa.Column("rating_version", sa.BigInteger, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("title_key", sa.Text, sa.Computed('"left"(search_text(title), 100)', persisted=True), nullable=False),
        sa.Column("search", TSVECTOR, sa.Computed(SEARCH_VECTOR, persisted=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_books"),
        sa.UniqueConstraint("code", name="uq_books_code"),
        sa.UniqueConstraint("isbn", name="uq_books_isbn"),
        sa.CheckConstraint("0 <= reserved AND reserved <= on_hand", name="ck_books_stock"),
        sa.CheckConstraint("price >= 0 AND cost_price >= 0", name="ck_books_prices"),
        sa.CheckConstraint("isbn ~ '^97[89][0-9]{10}$'", name="ck_books_isbn"),
        sa.CheckConstraint("format IN ('paperback', 'hardcover', 'ebook', 'audiobook')", name="ck_books_format"),
        sa.CheckConstraint("pages > 0 AND published_year BETWEEN -5000 AND 3000", name="ck_books_bounds"),
        sa.CheckConstraint("rating_count >= 0 AND rating_average BETWEEN 1 AND 5", name="ck_books_rating"),
        sa.CheckConstraint("low_stock_threshold >= 0 AND units_sold >= 0", name="ck_books_counts"),
        postgresql_with={"fillfactor": 85},  # room for the new row of a reservation beside the old one
    )


def _index_books() -> None:
    # Without the pending list: it would be read through by every search until the next vacuum.
    op.create_index(
        "ix_books_search", "books", ["search"], postgresql_using="gin", postgresql_with={"fastupdate": "off"}
    )
    op.create_index("ix_books_newest", "books", ["created_at", "id"], postgresql_where=ACTIVE)
    op.create_index("ix_books_title", "books", ["title_key", "id"], postgresql_where=ACTIVE)
    op.create_index("ix_books_price", "books", ["price", "id"], postgresql_where=ACTIVE)
    average = sa.text("COALESCE(rating_average, 0::numeric)")
    op.create_index("ix_books_rating", "books", [average, "rating_count", "id"], postgresql_where=ACTIVE)
    op.create_index("ix_books_bestselling", "books", ["units_sold", "id"], postgresql_where=ACTIVE)
    op.create_index("ix_books_inactive", "books", ["updated_at", "id"], postgresql_where=sa.text("NOT is_active"))
    op.create_index("ix_books_publisher", "books", [sa.text('"left"(search_text(publisher), 100)')])
    op.create_index("ix_books_series", "books", [sa.text('"left"(search_text(series_name), 100)')])


def _create_links() -> None:
    for table, other in (("book_authors", "author"), ("book_genres", "genre")):
        position = [sa.Column("position", sa.SmallInteger, nullable=False)] if other == "author" else []
        op.create_table(
            table,
            sa.Column("book_id", sa.Uuid, nullable=False),
            sa.Column(f"{other}_id", sa.Uuid, nullable=False),
            *position,
            sa.PrimaryKeyConstraint("book_id", f"{other}_id", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=f"fk_{table}_book_id", ondelete="CASCADE"),
            sa.ForeignKeyConstraint(
                [f"{other}_id"], [f"{other}s.id"], name=f"fk_{table}_{other}_id", ondelete="RESTRICT"
            ),
        )
        op.create_index(f"ix_{table}_{other}_id", table, [f"{other}_id"])


def _create_stock() -> None:
    op.create_table(
        "reservations",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_reservations"),
        sa.CheckConstraint("status IN ('held', 'rejected', 'released', 'sold')", name="ck_reservations_status"),
    )
    op.create_table(
        "reservation_lines",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("book_id", sa.Uuid, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("returned", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "book_id", name="pk_reservation_lines"),
        sa.ForeignKeyConstraint(["order_id"], ["reservations.order_id"], name="fk_reservation_lines_order_id"),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name="fk_reservation_lines_book_id", ondelete="RESTRICT"),
        sa.CheckConstraint(
            "quantity > 0 AND 0 <= returned AND returned <= quantity", name="ck_reservation_lines_quantities"
        ),
    )
    op.create_index("ix_reservation_lines_book_id", "reservation_lines", ["book_id"])
    _create_movements()


def _create_movements() -> None:
    kinds = "'received', 'reserved', 'released', 'sold', 'returned', 'corrected'"
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("book_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stock_movements"),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name="fk_stock_movements_book_id", ondelete="RESTRICT"),
        sa.CheckConstraint(f"kind IN ({kinds})", name="ck_stock_movements_kind"),
        sa.CheckConstraint("quantity > 0 OR kind = 'corrected' AND quantity <> 0", name="ck_stock_movements_quantity"),
    )
    op.create_index("ix_stock_movements_book_id_id", "stock_movements", ["book_id", "id"])
    op.create_index(
        "uq_stock_movements_once_per_order",
        "stock_movements",
        ["order_id", "book_id", "kind"],
        unique=True,
        postgresql_where=sa.text("order_id IS NOT NULL AND kind <> 'returned'"),
    )


def downgrade() -> None:
    for table in ("stock_movements", "reservation_lines", "reservations", "book_genres", "book_authors", "books"):
        op.drop_table(table)
    op.drop_table("genres")
    op.drop_table("authors")
    op.execute("DROP FUNCTION search_query(text), search_text(text), search_fold(text)")
    drop_messaging()
