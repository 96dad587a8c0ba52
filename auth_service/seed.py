"""What a new store needs to let anybody in: the clients of its own parts, the first admin, and demo customers."""

from __future__ import annotations

from sqlalchemy.orm import Session

from auth_service.config import AuthConfig, BootstrapClient, SeededUser
from auth_service.domain import accounts, clients
from auth_service.domain.keys import KeyRing
from auth_service.domain.secrecy import Vault
from common.config import ConfigError
from common.errors import DomainError, Invalid
from common.ids import new_id

ADMIN_USERNAME = "admin"


def seed(session: Session, config: AuthConfig) -> None:
    """Raises ConfigError when a client or an account cannot be made as the environment has it."""
    KeyRing(Vault(config.key_encryption_keys), config.signing_algorithm).signer(session)
    for client in config.bootstrap_clients:
        _ensure_client(session, client, config.public_url)
    if config.admin_email and config.admin_password:
        _ensure_admin(session, config.admin_email, config.admin_password)
    for user in config.demo_users:
        known = accounts.find(session, user.username) or accounts.find(session, user.email)
        if known is None:
            _register(session, "DEMO_USERS", user, role="customer")


def _ensure_client(session: Session, wanted: BootstrapClient, own_origin: str) -> None:
    """Made as configured, and brought back to it: these clients belong to the deployment.

    An address that is a path only is one of the store's own.
    """
    given = wanted.model_dump(exclude={"client_id", "client_secret"})
    for field in ("redirect_uris", "post_logout_redirect_uris"):
        given[field] = [own_origin + uri if uri.startswith("/") else uri for uri in given[field]]
    metadata = clients.Metadata(**given)
    try:
        clients.ensure(session, wanted.client_id, wanted.client_secret, metadata, own_origin=own_origin)
    except Invalid as error:
        raise _config_error("BOOTSTRAP_CLIENTS", wanted.client_id, error) from None


def _ensure_admin(session: Session, email: str, password: str) -> None:
    """Made once. Whatever was changed since, the password above all, stays."""
    if accounts.find(session, email) is not None:
        return
    is_free = accounts.find(session, ADMIN_USERNAME) is None
    username = ADMIN_USERNAME if is_free else f"{ADMIN_USERNAME}-{str(new_id())[-6:]}"
    admin = SeededUser(username=username, email=email, password=password)
    _register(session, "ADMIN_EMAIL, ADMIN_PASSWORD", admin, role="admin")


def _register(session: Session, variable: str, user: SeededUser, *, role: str) -> None:
    try:
        accounts.register(session, **user.model_dump(), role=role, email_verified=True)
    except DomainError as error:
        raise _config_error(variable, user.username, error) from None


def _config_error(variable: str, name: str, error: DomainError) -> ConfigError:
    reasons = [f"{each['field']} {each['message']}" for each in error.extra.get("errors", [])]
    return ConfigError(f"{variable}: {name}: {'; '.join(reasons) or error.detail}")
