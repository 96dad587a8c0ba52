"""How usernames look, so that no new one looks like another. Names from before stay, also where two are alike."""

import sqlalchemy as sa
from alembic import op

from auth_service.domain import names

revision = "0006"
down_revision = "0005"

BATCH = 1000


def upgrade() -> None:
    op.add_column("users", sa.Column("username_skeleton", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_users_username_skeleton", "users", ["username_skeleton"])
    users = sa.table("users", sa.column("id"), sa.column("username"), sa.column("username_skeleton"))
    connection = op.get_bind()
    without = sa.select(users.c.id, users.c.username).where(users.c.username_skeleton == "").limit(BATCH)
    write = users.update().where(users.c.id == sa.bindparam("user")).values(username_skeleton=sa.bindparam("skeleton"))
    while rows := connection.execute(without).all():
        connection.execute(write, [{"user": row.id, "skeleton": names.skeleton(row.username)} for row in rows])


def downgrade() -> None:
    op.drop_column("users", "username_skeleton")
