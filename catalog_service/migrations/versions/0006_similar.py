"""Books like a book: what the training makes of the catalogue, and when it did so last."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "similar_books",
        sa.Column("book_id", sa.Uuid, nullable=False),
        sa.Column("neighbours", ARRAY(sa.Uuid), nullable=False),
        sa.Column("terms", ARRAY(sa.Text), nullable=False),
        sa.Column("weights", ARRAY(sa.REAL), nullable=False),
        sa.Column("trained_at", TIME, nullable=False),
        sa.CheckConstraint("cardinality(terms) = cardinality(weights)", name="ck_similar_books_weighted"),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name="fk_similar_books_book_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("book_id", name="pk_similar_books"),
    )
    op.create_index("ix_similar_books_terms", "similar_books", ["terms"], postgresql_using="gin")
    op.create_table(
        "similar_terms",
        sa.Column("term", sa.Text, nullable=False),
        sa.Column("weight", sa.REAL, nullable=False),
        sa.Column("books", sa.Integer, nullable=False),
        sa.Column("trained_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("term", name="pk_similar_terms"),
    )
    op.create_table(
        "similar_training",
        sa.Column("id", sa.Boolean, nullable=False),
        sa.Column("trained_at", TIME, nullable=False),
        sa.Column("books", sa.Integer, nullable=False),
        sa.CheckConstraint("id", name="ck_similar_training_only"),
        sa.PrimaryKeyConstraint("id", name="pk_similar_training"),
    )
    op.create_index("ix_books_updated_at", "books", ["updated_at"])


def downgrade() -> None:
    op.drop_index("ix_books_updated_at", "books")
    for table in ("similar_training", "similar_terms", "similar_books"):
        op.drop_table(table)
