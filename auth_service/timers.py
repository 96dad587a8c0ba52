"""What the auth service does by the clock."""

from __future__ import annotations

from auth_service.backchannel import send_logouts
from auth_service.config import AuthConfig
from auth_service.domain import pruning, recovery
from common.db import Database
from common.mail import send_mail
from common.worker import Timer


def prune(database: Database, _config: AuthConfig) -> None:
    with database.transaction() as session:
        pruning.prune(session)


def send_reset_links(database: Database, config: AuthConfig) -> None:
    with database.transaction() as session:
        recovery.send_links(session, config.public_url)


TIMERS = [
    Timer("prune", 600, prune),
    Timer("send_logouts", 1, send_logouts),
    Timer("send_reset_links", 1, send_reset_links),
    Timer("send_mail", 1, send_mail),
]
