"""Every environment variable that the auth service reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, ClassVar, TypeVar

from environs import Env, ValidationError, validate
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic import ValidationError as PydanticValidationError

from auth_service.outside import Network
from common.config import ServiceConfig, secret

MIN_KEY_LENGTH = 32
MOST_CONNECTIONS = 8
SERVICES = ["auth-service", "catalog-service", "order-service", "review-service"]
"""What tokens may be asked for beside the store's API as a whole (RFC 8707), unless RESOURCES names others."""

Model = TypeVar("Model", bound=BaseModel)


class BootstrapClient(BaseModel):
    """A client that `seed` makes sure of; the names are those of RFC 7591 section 2."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str
    client_secret: str | None = None
    client_name: str = ""
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    scope: str | None = None
    token_endpoint_auth_method: str = "client_secret_basic"  # noqa: S105 - the name of a method
    trusted: bool = False
    jwks: dict[str, Any] | None = None
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    id_token_signed_response_alg: str | None = None
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False


class Federation(BaseModel):
    """A provider that people may sign in with; it is offered once we have a client there."""

    model_config = ConfigDict(frozen=True)

    client_id: str
    client_secret: str
    url: str
    api_url: str = ""

    @property
    def is_configured(self) -> bool:
        return bool(self.client_id and self.client_secret)


class SeededUser(BaseModel):
    """An account that `seed` makes sure of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str
    email: str
    password: str


@dataclass(frozen=True, kw_only=True)
class AuthConfig(ServiceConfig):
    service: ClassVar[str] = "auth"
    schema: ClassVar[str] = "auth"
    usual_threads: ClassVar[int] = 96

    key_encryption_keys: tuple[str, ...]
    signing_algorithm: str
    key_rotation: timedelta | None
    catalog_url: str
    order_url: str
    review_url: str
    admin_email: str
    admin_password: str
    bootstrap_clients: tuple[BootstrapClient, ...]
    demo_users: tuple[SeededUser, ...]
    password_login_enabled: bool
    require_verified_email: bool
    rate_limits_enabled: bool
    trusted_proxies: int
    access_token_life: timedelta
    refresh_family_life: timedelta
    refresh_grace: timedelta
    authorization_code_life: timedelta
    sign_in_life: timedelta
    google: Federation
    github: Federation
    dpop_nonce_required: bool
    client_networks: tuple[Network, ...]
    resources: frozenset[str]
    hash_threads: int

    @property
    def most_waiting_for_a_hash(self) -> int:
        """Requests that wait for a password's hash keep a thread; a third of the threads is for all others."""
        return max(1, self.web_threads * 2 // 3)

    @property
    def web_connections(self) -> int:
        """Most threads wait for a hash, and hold no connection meanwhile."""
        return min(self.web_threads, MOST_CONNECTIONS)

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        return (
            super().read(env)
            | _lifetimes(env)
            | {
                "key_encryption_keys": _encryption_keys(env),
                "hash_threads": env.int("HASH_THREADS", 1, validate=validate.Range(min=1, max=64)),
                "signing_algorithm": env.str(
                    "SIGNING_ALGORITHM", "ES256", validate=validate.OneOf(["ES256", "EdDSA", "RS256"])
                ),
                "key_rotation": _rotation(env),
                "catalog_url": str(env.str("CATALOG_URL", "http://127.0.0.1:8102")).rstrip("/"),
                "order_url": str(env.str("ORDER_URL", "http://127.0.0.1:8103")).rstrip("/"),
                "review_url": str(env.str("REVIEW_URL", "http://127.0.0.1:8104")).rstrip("/"),
                "admin_email": env.str("ADMIN_EMAIL", ""),
                "admin_password": secret(env, "ADMIN_PASSWORD", ""),
                "bootstrap_clients": _objects(env, "BOOTSTRAP_CLIENTS", BootstrapClient),
                "demo_users": _objects(env, "DEMO_USERS", SeededUser),
                "password_login_enabled": env.bool("PASSWORD_LOGIN_ENABLED", True),
                "require_verified_email": env.bool("REQUIRE_VERIFIED_EMAIL", False),
                "google": Federation(
                    client_id=env.str("GOOGLE_CLIENT_ID", ""),
                    client_secret=secret(env, "GOOGLE_CLIENT_SECRET", ""),
                    url=env.str("GOOGLE_ISSUER", "https://accounts.google.com"),
                ),
                "github": Federation(
                    client_id=env.str("GITHUB_CLIENT_ID", ""),
                    client_secret=secret(env, "GITHUB_CLIENT_SECRET", ""),
                    url=env.str("GITHUB_URL", "https://github.com"),
                    api_url=env.str("GITHUB_API_URL", "https://api.github.com"),
                ),
                "rate_limits_enabled": env.bool("RATE_LIMITS_ENABLED", True),
                "dpop_nonce_required": env.bool("DPOP_NONCE_REQUIRED", True),
                "client_networks": _networks(env),
                "resources": frozenset(env.list("RESOURCES", SERVICES) or ()),
                "trusted_proxies": env.int("TRUSTED_PROXIES", 1, validate=validate.Range(min=0, max=5)),
            }
        )


def _lifetimes(env: Env) -> dict[str, timedelta]:
    def seconds(name: str, default: int, most: int, *, least: int = 1) -> timedelta:
        value = env.int(name, default, validate=validate.Range(min=least, max=most))
        return timedelta(seconds=value if value is not None else default)

    return {
        "access_token_life": seconds("ACCESS_TOKEN_SECONDS", 600, 3600),
        "refresh_family_life": seconds("REFRESH_FAMILY_SECONDS", 30 * 86400, 365 * 86400),
        "refresh_grace": seconds("REFRESH_GRACE_SECONDS", 10, 60, least=0),
        "authorization_code_life": seconds("AUTHORIZATION_CODE_SECONDS", 60, 60),
        "sign_in_life": seconds("SIGN_IN_SECONDS", 12 * 3600, 30 * 86400),
    }


def _networks(env: Env) -> tuple[Network, ...]:
    """Our own networks in which clients may be called all the same (back-channel logout)."""
    return tuple(map(ip_network, env.list("CLIENT_NETWORKS", [], validate=_check_networks) or ()))


def _check_networks(networks: list[str]) -> None:
    for each in networks:
        try:
            ip_network(each)
        except ValueError:
            raise ValidationError(f"Not a network like 10.0.0.0/8: {each}") from None


def _rotation(env: Env) -> timedelta | None:
    days = env.int("KEY_ROTATION_DAYS", 90, validate=validate.Range(min=0, max=3650))
    return timedelta(days=days) if days else None


def _encryption_keys(env: Env) -> tuple[str, ...]:
    """The first key encrypts, all of them decrypt: to change it, put the new one in front."""
    if not secret(env, "KEY_ENCRYPTION_KEY"):
        return ()
    return tuple(env.list("KEY_ENCRYPTION_KEY", validate=_all_long_enough) or ())


def _all_long_enough(keys: list[str]) -> None:
    if any(len(key) < MIN_KEY_LENGTH for key in keys):
        raise ValidationError(f"Each key needs at least {MIN_KEY_LENGTH} characters of randomness.")


def _objects(env: Env, name: str, model: type[Model]) -> tuple[Model, ...]:
    """A JSON list of objects in one variable."""
    adapter = TypeAdapter(tuple[model, ...])  # type: ignore[valid-type]

    def parses(text: str) -> None:
        try:
            adapter.validate_json(text)
        except PydanticValidationError as error:
            where = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
            raise ValidationError(f"Not a JSON list of {model.__name__} objects: {where or 'bad JSON'}.") from None

    text = secret(env, name, "[]")
    checked = env.str(name, "[]", validate=parses)
    return adapter.validate_json(text) if checked else ()
