"""Accounts, sign-in sessions, clients, keys, codes, tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from common.migrations import create_messaging, drop_messaging

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
TEXTS = postgresql.ARRAY(sa.Text)


def upgrade() -> None:
    create_messaging()
    _create_users_and_sessions()
    _create_clients_and_keys()
    _create_tokens()
    op.create_table(
        "failed_sign_ins",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("expires_at", TIME, nullable=False, index=True),
    )


def _create_users_and_sessions() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("username_key", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("email_key", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("email_verified", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint("role IN ('customer', 'admin')", name=op.f("ck_users_role")),
        sa.UniqueConstraint("username_key", name=op.f("uq_users_username_key")),
        sa.UniqueConstraint("email_key", name=op.f("uq_users_email_key")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid, primary_key=True),
        _user_id(),
        sa.Column("cookie_hash", sa.LargeBinary),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("authenticated_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.UniqueConstraint("cookie_hash", name=op.f("uq_sessions_cookie_hash")),
    )


def _create_clients_and_keys() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.Text, primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary),
        sa.Column("client_name", sa.Text, nullable=False),
        sa.Column("redirect_uris", TEXTS, nullable=False),
        sa.Column("post_logout_redirect_uris", TEXTS, nullable=False),
        sa.Column("grant_types", TEXTS, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("token_endpoint_auth_method", sa.Text, nullable=False),
        sa.Column("trusted", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_table(
        "consents",
        sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("client_id", sa.Text, sa.ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("granted_at", TIME, nullable=False),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("public_jwk", postgresql.JSONB, nullable=False),
        sa.Column("private_key", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("state IN ('next', 'active', 'retired')", name=op.f("ck_signing_keys_state")),
    )
    op.create_index(
        "uq_signing_keys_active",
        "signing_keys",
        ["state"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )


def _create_tokens() -> None:
    op.create_table(
        "token_families",
        sa.Column("id", sa.Uuid, primary_key=True),
        _session_id(),
        _user_id(),
        sa.Column("client_id", sa.Text, nullable=False, index=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("authenticated_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.Column("revoked_because", sa.Text),
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Uuid, primary_key=True),
        _family_id(ondelete="CASCADE", nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
        sa.UniqueConstraint("token_hash", name=op.f("uq_refresh_tokens_token_hash")),
    )
    op.create_table(
        "authorization_codes",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("code_hash", sa.LargeBinary, nullable=False),
        sa.Column(
            "client_id",
            sa.Text,
            sa.ForeignKey("clients.client_id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        _session_id(),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text),
        sa.Column("code_challenge", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False, index=True),
        sa.Column("used_at", TIME),
        _family_id(ondelete="SET NULL", nullable=True),
        sa.UniqueConstraint("code_hash", name=op.f("uq_authorization_codes_code_hash")),
    )


def _user_id() -> sa.Column[object]:
    key = sa.ForeignKey("users.id", ondelete="CASCADE")
    return sa.Column("user_id", sa.Uuid, key, nullable=False, index=True)


def _session_id() -> sa.Column[object]:
    key = sa.ForeignKey("sessions.id", ondelete="CASCADE")
    return sa.Column("session_id", sa.Uuid, key, nullable=False, index=True)


def _family_id(*, ondelete: str, nullable: bool) -> sa.Column[object]:
    key = sa.ForeignKey("token_families.id", ondelete=ondelete)
    return sa.Column("family_id", sa.Uuid, key, nullable=nullable, index=True)


def downgrade() -> None:
    for table in (
        *("failed_sign_ins", "authorization_codes", "refresh_tokens", "token_families"),
        *("signing_keys", "consents", "clients", "sessions", "users"),
    ):
        op.drop_table(table)
    drop_messaging()
