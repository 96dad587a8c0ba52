"""Mail, tickets for links in it, second factors, passkeys, identities at other providers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from common.migrations import create_mail

revision = "0003"
down_revision = "0002"

TIME = sa.DateTime(timezone=True)
TABLES = ("identities", "passkeys", "recovery_codes", "totp", "tickets", "mail")


def upgrade() -> None:
    create_mail()
    op.create_table(
        "tickets",
        sa.Column("secret_hash", sa.LargeBinary, primary_key=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("user_id", sa.Uuid, _user(), index=True),
        sa.Column("data", postgresql.JSONB, nullable=False),
        sa.Column("expires_at", TIME, nullable=False, index=True),
    )
    _create_second_factors()
    op.create_table(
        "identities",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Uuid, _user(), nullable=False, index=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )


def _create_second_factors() -> None:
    op.create_table(
        "totp",
        sa.Column("user_id", sa.Uuid, _user(), primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("last_step", sa.BigInteger),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("confirmed_at", TIME),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Uuid, _user(), primary_key=True),
        sa.Column("code_hash", sa.LargeBinary, primary_key=True),
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, _user(), nullable=False, index=True),
        sa.Column("credential_id", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
        sa.UniqueConstraint("credential_id", name=op.f("uq_passkeys_credential_id")),
    )


def _user() -> sa.ForeignKey:
    return sa.ForeignKey("users.id", ondelete="CASCADE")


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
