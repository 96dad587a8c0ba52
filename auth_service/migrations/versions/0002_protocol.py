"""Pushed requests, devices, sender-constrained tokens, resources, proofs by key, logout notices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)
TEXTS = postgresql.ARRAY(sa.Text)
JSONB = postgresql.JSONB
CLIENT_FLAGS = (
    "dpop_bound_access_tokens",
    "require_pushed_authorization_requests",
    "backchannel_logout_session_required",
)


def upgrade() -> None:
    _extend_clients()
    for table in ("token_families", "authorization_codes"):
        op.add_column(table, sa.Column("resources", TEXTS, nullable=False, server_default="{}"))
        op.add_column(table, sa.Column("dpop_jkt", sa.Text))
        op.add_column(table, sa.Column("claims", JSONB, nullable=False, server_default="{}"))
    for table in ("token_families", "sessions"):
        op.add_column(table, sa.Column("amr", TEXTS, nullable=False, server_default="{pwd}"))
    _allow_one_active_key_of("algorithm")
    _create_pushed_requests()
    _create_device_codes()
    op.create_table(
        "spent_proofs",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("expires_at", TIME, nullable=False, index=True),
    )
    op.create_table(
        "logout_notices",
        sa.Column("id", sa.Uuid, primary_key=True),
        _client_id(),
        sa.Column("subject", sa.Uuid, nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", TIME, nullable=False, index=True),
    )


def _extend_clients() -> None:
    op.add_column("clients", sa.Column("jwks", JSONB))
    for name in ("backchannel_logout_uri", "id_token_signed_response_alg"):
        op.add_column("clients", sa.Column(name, sa.Text))
    for name in CLIENT_FLAGS:
        op.add_column("clients", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))


def _allow_one_active_key_of(column: str) -> None:
    """Clients may want their ID tokens signed in another way than the usual one."""
    op.drop_index("uq_signing_keys_active", "signing_keys")
    active = sa.text("state = 'active'")
    op.create_index("uq_signing_keys_active", "signing_keys", [column], unique=True, postgresql_where=active)


def _create_pushed_requests() -> None:
    op.create_table(
        "pushed_requests",
        sa.Column("uri_hash", sa.LargeBinary, primary_key=True),
        _client_id(),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("expires_at", TIME, nullable=False, index=True),
        sa.Column("opened_at", TIME),
    )


def _create_device_codes() -> None:
    session = sa.ForeignKey("sessions.id", ondelete="CASCADE")
    op.create_table(
        "device_codes",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("device_hash", sa.LargeBinary, nullable=False),
        sa.Column("user_code_hash", sa.LargeBinary, nullable=False),
        _client_id(),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("resources", TEXTS, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("session_id", sa.Uuid, session, index=True),
        sa.Column("interval", sa.Integer, nullable=False),
        sa.Column("polled_at", TIME),
        sa.Column("expires_at", TIME, nullable=False, index=True),
        sa.CheckConstraint("state IN ('pending', 'allowed', 'denied', 'used')", name=op.f("ck_device_codes_state")),
        sa.UniqueConstraint("device_hash", name=op.f("uq_device_codes_device_hash")),
        sa.UniqueConstraint("user_code_hash", name=op.f("uq_device_codes_user_code_hash")),
    )


def _client_id() -> sa.Column[object]:
    key = sa.ForeignKey("clients.client_id", ondelete="CASCADE")
    return sa.Column("client_id", sa.Text, key, nullable=False, index=True)


def downgrade() -> None:
    for table in ("logout_notices", "spent_proofs", "device_codes", "pushed_requests"):
        op.drop_table(table)
    op.execute(
        "UPDATE signing_keys SET state = 'retired' WHERE state = 'active' AND created_at > "
        "(SELECT min(created_at) FROM signing_keys WHERE state = 'active')"
    )
    _allow_one_active_key_of("state")
    for table in ("token_families", "sessions"):
        op.drop_column(table, "amr")
    for table in ("token_families", "authorization_codes"):
        for column in ("resources", "dpop_jkt", "claims"):
            op.drop_column(table, column)
    for column in ("jwks", "backchannel_logout_uri", "id_token_signed_response_alg", *CLIENT_FLAGS):
        op.drop_column("clients", column)
