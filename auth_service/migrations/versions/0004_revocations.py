"""Revocations, the audit trail, and since when a signing key has been in its state.

Triggers write the revocations: whatever ends a session, a token family, an account or a client, and however many at
once, its row is part of the same transaction, and no new code can forget it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

TIME = sa.DateTime(timezone=True)

TRIGGERS = {
    "sessions": ("UPDATE OF ended_at", "OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL", "session", "NEW.id"),
    "token_families": (
        "UPDATE OF revoked_at",
        "OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL",
        "family",
        "NEW.id",
    ),
    "users": (
        "UPDATE OF is_active, role",
        "OLD.is_active AND NOT NEW.is_active OR OLD.role <> NEW.role",
        "subject",
        "NEW.id",
    ),
    "erased_users": ("DELETE", "", "subject", "OLD.id"),
    "clients": ("DELETE", "", "subject", "OLD.client_id"),
}


def upgrade() -> None:
    op.create_table(
        "revocations",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("revoked", sa.Text, nullable=False),
        sa.Column("at", TIME, nullable=False, server_default=sa.text("clock_timestamp()"), index=True),
        sa.Column(
            "transaction",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
            index=True,
        ),
        sa.CheckConstraint("kind IN ('session', 'family', 'subject')", name=op.f("ck_revocations_kind")),
    )
    for name, trigger in TRIGGERS.items():
        _create_trigger(name, *trigger)
    _create_audit()
    op.add_column("signing_keys", sa.Column("state_since", TIME, nullable=False, server_default=sa.func.now()))


def _create_trigger(name: str, moment: str, condition: str, kind: str, revoked: str) -> None:
    """`FROM CURRENT` keeps the function working for an operator's session, which looks into other schemas."""
    insert = f"INSERT INTO revocations (kind, revoked) VALUES ('{kind}', {revoked}::text)"  # noqa: S608 - ours, all of it
    op.execute(
        f"""
        CREATE FUNCTION revoke_{name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            {insert};
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        f"CREATE TRIGGER revoke_{name} AFTER {moment} ON {name.removeprefix('erased_')} FOR EACH ROW "
        f"{f'WHEN ({condition})' if condition else ''} EXECUTE FUNCTION revoke_{name}()"
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Text, nullable=False),
        sa.Column("before", postgresql.JSONB),
        sa.Column("after", postgresql.JSONB),
        sa.Column("reason", sa.Text),
        sa.Column("request_id", sa.Text),
    )
    for columns in (["at", "id"], ["actor_id", "at", "id"], ["resource", "resource_id", "at", "id"]):
        op.create_index(f"ix_audit_{'_'.join(columns)}", "audit", columns)


def downgrade() -> None:
    op.drop_column("signing_keys", "state_since")
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER revoke_{name} ON {name.removeprefix('erased_')}")
        op.execute(f"DROP FUNCTION revoke_{name}()")
    op.drop_table("audit")
    op.drop_table("revocations")
