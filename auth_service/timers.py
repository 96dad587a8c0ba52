"""What the auth service does by the clock."""

from __future__ import annotations

from auth_service.backchannel import send_logouts
from auth_service.config import AuthConfig
from auth_service.domain import pruning
from common.db import Database
from common.worker import Timer


def prune(database: Database, _config: AuthConfig) -> None:
    with database.transaction() as session:
        pruning.prune(session)


TIMERS = [Timer("prune", 600, prune), Timer("send_logouts", 1, send_logouts)]
