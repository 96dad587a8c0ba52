"""A search that ends in a negated phrase ("-o'd") is a search, and no error."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Only a word at the very end may be unfinished: a phrase in brackets takes no ":*".
SEARCH_QUERY = r"""
CREATE OR REPLACE FUNCTION search_query(value text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
    folded text := regexp_replace(search_fold(value), '([^\s"-])-+(?=[^\s"-])', '\1 ', 'g');
    words tsquery := websearch_to_tsquery('simple'::regconfig, folded);
BEGIN
    IF numnode(words) > 0 AND folded ~ '[^\s"-]{3}\s*$'%s THEN
        RETURN (words::text || ':*')::tsquery;
    END IF;
    RETURN words;
END
$function$;
"""


def upgrade() -> None:
    op.execute(SEARCH_QUERY % " AND right(words::text, 1) = ''''")


def downgrade() -> None:
    op.execute(SEARCH_QUERY % "")
