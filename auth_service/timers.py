"""What the auth service does by the clock."""

from __future__ import annotations

from auth_service.config import AuthConfig
from auth_service.domain import pruning, rotation
from auth_service.domain.keys import KeyRing
from auth_service.domain.secrecy import Vault
from common.db import Database
from common.worker import Timer


def prune(database: Database, _config: AuthConfig) -> None:
    with database.transaction() as session:
        pruning.prune(session)


def keep_keys(database: Database, config: AuthConfig) -> None:
    ring = KeyRing(Vault(config.key_encryption_keys), config.signing_algorithm)
    with database.transaction() as session:
        rotation.keep(session, ring, config.key_rotation)
        rotation.reencrypt(session, ring)


TIMERS = [Timer("prune", 600, prune), Timer("keep-keys", 60, keep_keys)]
