"""Whoever waits for revocations is woken when some are committed."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION notify_revoked() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            PERFORM pg_notify(TG_TABLE_SCHEMA || '_revoked', '');
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER notify_revoked AFTER INSERT ON revocations FOR EACH STATEMENT EXECUTE FUNCTION notify_revoked()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER notify_revoked ON revocations")
    op.execute("DROP FUNCTION notify_revoked()")
