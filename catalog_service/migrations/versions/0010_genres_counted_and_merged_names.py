"""How many books each genre has, and what merged authors and genres were called."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Writers only append: two who add books to the same genre never wait for each other.
TRIGGERS = """
CREATE FUNCTION count_links() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO genre_counts (genre_id, books)
        SELECT genre_id, count(*) FROM added JOIN books ON books.id = book_id WHERE is_active GROUP BY genre_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO genre_counts (genre_id, books)
        SELECT genre_id, -count(*) FROM removed JOIN books ON books.id = book_id WHERE is_active GROUP BY genre_id;
    END IF;
    RETURN NULL;
END
$function$;
CREATE FUNCTION count_sale() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    INSERT INTO genre_counts (genre_id, books)
    SELECT genre_id, CASE WHEN NEW.is_active THEN 1 ELSE -1 END FROM book_genres WHERE book_id = NEW.id;
    RETURN NULL;
END
$function$;
CREATE TRIGGER links_added AFTER INSERT ON book_genres REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION count_links();
CREATE TRIGGER links_removed AFTER DELETE ON book_genres REFERENCING OLD TABLE AS removed
FOR EACH STATEMENT EXECUTE FUNCTION count_links();
CREATE TRIGGER links_moved AFTER UPDATE ON book_genres REFERENCING OLD TABLE AS removed NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION count_links();
CREATE TRIGGER books_on_sale AFTER UPDATE OF is_active ON books FOR EACH ROW
WHEN (OLD.is_active <> NEW.is_active) EXECUTE FUNCTION count_sale();
"""

COUNT = """
UPDATE genres SET book_count = counted.books FROM (
    SELECT genre_id, count(*) AS books FROM book_genres JOIN books ON books.id = book_id WHERE is_active
    GROUP BY genre_id) AS counted
WHERE genres.id = counted.genre_id
"""


def upgrade() -> None:
    op.alter_column("former_names", "reference", type_=sa.String())
    op.add_column("genres", sa.Column("book_count", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "genre_counts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("genre_id", sa.Uuid, nullable=False),
        sa.Column("books", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_genre_counts"),
    )
    op.create_index("ix_genre_counts_genre_id", "genre_counts", ["genre_id"])
    op.execute(TRIGGERS)
    op.execute(COUNT)  # nobody else writes to the books or their links before this is committed


def downgrade() -> None:
    op.execute("DROP TRIGGER books_on_sale ON books")
    for trigger in ("links_added", "links_removed", "links_moved"):
        op.execute(f"DROP TRIGGER {trigger} ON book_genres")
    op.execute("DROP FUNCTION count_links(), count_sale()")
    op.drop_table("genre_counts")
    op.drop_column("genres", "book_count")
    op.execute("DELETE FROM former_names WHERE kind IN ('authors.key', 'genres.key')")
    op.alter_column("former_names", "reference", type_=sa.String(100))
