"""The words that books are found by, and the names that merged authors and genres had."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Writers only append to the queue: two who add books with the same new word never wait for each other.
TRIGGER = """
CREATE FUNCTION queue_words() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    INSERT INTO word_queue (book_id) VALUES (NEW.id);
    RETURN NULL;
END
$function$;
CREATE TRIGGER books_inserted AFTER INSERT ON books FOR EACH ROW EXECUTE FUNCTION queue_words();
CREATE TRIGGER books_renamed AFTER UPDATE ON books FOR EACH ROW
WHEN ((OLD.title, OLD.author_names, OLD.series_name, OLD.language)
    IS DISTINCT FROM (NEW.title, NEW.author_names, NEW.series_name, NEW.language))
EXECUTE FUNCTION queue_words();
INSERT INTO word_queue (book_id) SELECT id FROM books;
"""

# The extension is the administrator's to create; without it, words are compared by their first letters.
SIMILARITY = """
DO $block$
DECLARE
    place text := (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
        WHERE extname = 'pg_trgm');
BEGIN
    IF place IS NOT NULL THEN
        EXECUTE format('CREATE INDEX ix_search_words_similar ON search_words USING gin (word %s.gin_trgm_ops)', place);
    END IF;
END
$block$;
"""


def upgrade() -> None:
    op.create_table(
        "search_words",
        sa.Column("word", sa.String, nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("stem", sa.String, nullable=False),
        sa.Column("frequency", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("word", "language", name="pk_search_words"),
    )
    op.create_index("ix_search_words_stem", "search_words", ["stem", "language"])
    op.create_index("ix_search_words_prefix", "search_words", ["word"], postgresql_ops={"word": "text_pattern_ops"})
    op.create_table(
        "word_queue",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("book_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_word_queue"),
    )
    op.create_table(
        "former_names",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(100), nullable=False),
        sa.Column("target_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("kind", "reference", name="pk_former_names"),
    )
    op.create_index("ix_former_names_target_id", "former_names", ["target_id"])
    _index_prefixes()
    op.execute(TRIGGER)
    op.execute(SIMILARITY)


def _index_prefixes() -> None:
    for name, table, expression in (
        ("ix_books_title_prefix", "books", "title_key"),
        ("ix_books_series_prefix", "books", '"left"(search_text(series_name), 100)'),
        ("ix_authors_prefix", "authors", "search_text(name)"),
    ):
        where = sa.text("is_active") if table == "books" else None
        op.create_index(name, table, [sa.text(f"{expression} text_pattern_ops")], postgresql_where=where)


def downgrade() -> None:
    op.execute("DROP TRIGGER books_inserted ON books")
    op.execute("DROP TRIGGER books_renamed ON books")
    op.execute("DROP FUNCTION queue_words()")
    op.drop_index("ix_authors_prefix", "authors")
    op.drop_index("ix_books_series_prefix", "books")
    op.drop_index("ix_books_title_prefix", "books")
    for table in ("former_names", "word_queue", "search_words"):
        op.drop_table(table)
