"""Revocations of a client, wherever its tokens came from, and of single tokens.

A deleted client stays a revoked subject as well: that is what verifiers of the version before look for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KIND = "ck_revocations_kind"


def upgrade() -> None:
    op.drop_constraint(op.f(KIND), "revocations")
    op.create_check_constraint(op.f(KIND), "revocations", "kind IN ('session', 'family', 'subject', 'client', 'token')")
    op.create_index("ix_revocations_revoked", "revocations", ["revoked"])
    _revoke_clients("('subject', OLD.client_id), ('client', OLD.client_id)")


def downgrade() -> None:
    _revoke_clients("('subject', OLD.client_id::text)")
    op.drop_index("ix_revocations_revoked", "revocations")
    op.execute(sa.text("DELETE FROM revocations WHERE kind IN ('client', 'token')"))
    op.drop_constraint(op.f(KIND), "revocations")
    op.create_check_constraint(op.f(KIND), "revocations", "kind IN ('session', 'family', 'subject')")


def _revoke_clients(rows: str) -> None:
    """`FROM CURRENT` keeps the function working for an operator's session, which looks into other schemas."""
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION revoke_clients() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            INSERT INTO revocations (kind, revoked) VALUES {rows};
            RETURN NULL;
        END $$
        """  # noqa: S608 - ours, all of it
    )
