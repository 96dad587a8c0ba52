"""The auth service's own commands."""

from __future__ import annotations

import click

from auth_service.config import AuthConfig
from auth_service.domain import rotation
from auth_service.domain.keys import KeyRing
from auth_service.domain.secrecy import Vault
from common.db import Database
from common.telemetry import configure_logging


@click.command()
@click.option("--withdraw", metavar="KID", help="Publish this key no longer: it leaked.")
def rotate_keys(withdraw: str | None) -> None:
    """Sign with the next key from now on, and bring all private keys under the first KEY_ENCRYPTION_KEY."""
    config = AuthConfig.from_env()
    configure_logging(config.service, config.log_level, config.log_format)
    ring = KeyRing(Vault(config.key_encryption_keys), config.signing_algorithm)
    database = Database(config)
    with database.transaction() as session:
        if withdraw is None:
            rotation.rotate(session, ring)
        elif not rotation.withdraw(session, ring, withdraw):
            raise click.ClickException(f"there is no key {withdraw}")
        kid = ring.signer(session).kid
        reencrypted = rotation.reencrypt(session, ring)
    database.close()
    click.echo(f"tokens are signed by {kid} from now on; {reencrypted} private keys were encrypted anew")
