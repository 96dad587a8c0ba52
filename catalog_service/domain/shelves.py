"""How many books a genre has: what came and went is written down beside it, and added to its count a little later."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from common.db import Database

BATCH = 5_000

# In the order of their ids, as a merge locks them.
_LOCK = text("SELECT 1 FROM genres WHERE id IN (SELECT genre_id FROM genre_counts) ORDER BY id FOR NO KEY UPDATE")

_SETTLE = text("""
WITH taken AS (
    DELETE FROM genre_counts WHERE id IN (SELECT id FROM genre_counts ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING genre_id, books
), sums AS (
    SELECT genre_id, sum(books) AS books FROM taken GROUP BY genre_id
), settled AS (
    UPDATE genres SET book_count = book_count + sums.books FROM sums WHERE id = sums.genre_id
)
SELECT count(*) FROM taken
""")


def settle(session: Session) -> int:
    """Add some of it to the counts, which together stay what they were; how much it was."""
    session.execute(_LOCK)
    return session.execute(_SETTLE, {"batch": BATCH}).scalar_one()


def settle_all(database: Database, _config: object = None) -> None:
    while True:
        with database.transaction() as session:
            if settle(session) < BATCH:
                return
