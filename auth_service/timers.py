"""What the auth service does by the clock."""

from __future__ import annotations

from auth_service.backchannel import send_logouts
from auth_service.config import AuthConfig
from auth_service.domain import pruning, recovery, rotation
from auth_service.domain.keys import KeyRing
from auth_service.domain.secrecy import Vault
from common.db import Database
from common.mail import prune_mail, send_mail
from common.worker import Timer


def prune(database: Database, _config: AuthConfig) -> None:
    with database.transaction() as session:
        pruning.prune(session)


def send_reset_links(database: Database, config: AuthConfig) -> None:
    with database.transaction() as session:
        recovery.send_links(session, config.public_url)


def keep_keys(database: Database, config: AuthConfig) -> None:
    ring = KeyRing(Vault(config.key_encryption_keys), config.signing_algorithm)
    with database.transaction() as session:
        rotation.keep(session, ring, config.key_rotation)
        rotation.reencrypt(session, ring)


TIMERS = [
    Timer("prune", 600, prune),
    Timer("send_logouts", 1, send_logouts),
    Timer("send_reset_links", 1, send_reset_links),
    Timer("send_mail", 1, send_mail),
    Timer("prune-mail", 3600, prune_mail),
    Timer("keep-keys", 60, keep_keys),
]
