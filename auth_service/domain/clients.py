"""OAuth clients: registering them, and telling whether one is who it says."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from auth_service.domain import consents, families, keys, redirects, scopes
from auth_service.domain.secrecy import digest
from auth_service.models import Client
from common.dpop import public_key_problem
from common.errors import Conflict, Invalid, NotFound

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials", DEVICE_CODE, TOKEN_EXCHANGE)
PUBLIC = "none"
PRIVATE_KEY_JWT = "private_key_jwt"
AUTH_METHODS = ("client_secret_basic", "client_secret_post", PRIVATE_KEY_JWT, PUBLIC)
MAX_KEYS = 10
FIRST_PARTY = families.FIRST_PARTY

_CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,100}")


class ClientExists(Conflict):
    code = "client_exists"


class ClientProvisioned(Conflict):
    """Provided by the deployment (BOOTSTRAP_CLIENTS): without it services could not ask for revocations, say."""

    code = "client_provisioned"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is registered of a client (RFC 7591 section 2, RFC 9126 section 6, RFC 9449 section 5.2, and
    OpenID Connect Back-Channel Logout section 2.2)."""

    client_name: str
    redirect_uris: Sequence[str] = ()
    post_logout_redirect_uris: Sequence[str] = ()
    grant_types: Sequence[str] = ("authorization_code", "refresh_token")
    scope: str | None = None
    token_endpoint_auth_method: str = "client_secret_basic"  # noqa: S105 - the name of a method
    trusted: bool = False
    jwks: dict[str, Any] | None = None
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    id_token_signed_response_alg: str | None = None
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False


def create(session: Session, metadata: Metadata, *, own_origin: str) -> tuple[Client, str | None]:
    """A client with a new identifier, and its secret, which is shown this once. Raises Invalid."""
    require_valid(metadata, own_origin)
    client = Client(client_id=secrets.token_urlsafe(16))
    _apply(client, metadata)
    secret = renew_secret(client) if client.has_secret else None
    session.add(client)
    session.flush()
    return client, secret


def replace(session: Session, client: Client, metadata: Metadata, *, own_origin: str) -> str | None:
    """Change all of it. Gives a secret to a client that now needs its first one. Raises Invalid."""
    require_valid(metadata, own_origin)
    _change(session, client, metadata)
    secret = None
    if not client.has_secret:
        client.secret_hash = None
    elif client.secret_hash is None:
        secret = renew_secret(client)
    session.flush()
    return secret


def ensure(session: Session, client_id: str, secret: str | None, metadata: Metadata, *, own_origin: str) -> Client:
    """The client with exactly this identifier, secret and metadata, whether it was there or not."""
    require_valid(metadata, own_origin)
    if not _CLIENT_ID.fullmatch(client_id) or client_id == FIRST_PARTY:
        raise Invalid.field("client_id", "is reserved or has unusual characters")
    client = session.get(Client, client_id)
    if client is None:
        client = Client(client_id=client_id)
        _apply(client, metadata)
    else:
        _change(session, client, metadata)
    if client.has_secret != bool(secret):
        raise Invalid.field("client_secret", "is for clients that authenticate by one, and only for them")
    client.secret_hash = digest(secret) if secret else None
    client.is_provisioned = True
    session.add(client)
    session.flush()
    return client


def to_change(session: Session, client_id: str) -> Client:
    """Raises NotFound, or ClientProvisioned for one that only `seed` changes."""
    client = find(session, client_id)
    if client.is_provisioned:
        raise ClientProvisioned("This client is provided by the deployment: change BOOTSTRAP_CLIENTS, and seed.")
    return client


def require_grantable(metadata: Metadata, reach: Callable[[str], str | None]) -> None:
    """What somebody may have for a client that is not the store's own. `reach` tells why an address may not be called.

    Raises Invalid.
    """
    if internal := sorted(set((metadata.scope or "").split()) & scopes.SERVICE_SCOPES.keys()):
        raise Invalid.field("scope", f"is for the store's own services only: {', '.join(internal)}")
    if metadata.backchannel_logout_uri and (wrong := reach(metadata.backchannel_logout_uri)):
        raise Invalid.field("backchannel_logout_uri", wrong)


def renew_secret(client: Client) -> str:
    secret = secrets.token_urlsafe(32)
    client.secret_hash = digest(secret)
    return secret


def remove(session: Session, client_id: str) -> None:
    """The client, its codes and consents, and the tokens it holds. Raises as `to_change`."""
    session.delete(to_change(session, client_id))
    families.revoke_of_client(session, client_id)


def find(session: Session, client_id: str) -> Client:
    client = session.get(Client, client_id) if _CLIENT_ID.fullmatch(client_id) else None
    if client is None:
        raise NotFound("There is no such client.")
    return client


def is_origin_of_one(session: Session, origin: str) -> bool:
    """Whether pages of this origin (RFC 6454 section 6.2) are a registered public client's: it comes back there."""
    if not origin.startswith(("https://", "http://")) or origin.count("/") != 2 or "\0" in origin:
        return False
    uris = select(func.unnest(Client.redirect_uris).label("uri")).where(Client.token_endpoint_auth_method == PUBLIC)
    uri = uris.subquery().c.uri
    is_there = or_(uri == origin, *(uri.startswith(origin + end, autoescape=True) for end in "/?"))
    return bool(session.scalar(select(exists().where(is_there))))


def require_valid(metadata: Metadata, own_origin: str) -> None:
    errors = list(_problems(metadata, own_origin))
    if errors:
        raise Invalid(
            "The request has invalid fields.",
            errors=[{"field": field, "message": message} for field, message in errors],
        )


def _problems(metadata: Metadata, own_origin: str) -> Iterable[tuple[str, str]]:
    for field in ("redirect_uris", "post_logout_redirect_uris"):
        for index, uri in enumerate(getattr(metadata, field)):
            if wrong := redirects.problem(uri, own_origin):
                yield f"{field}.{index}", wrong
    if unknown := sorted(set(metadata.grant_types) - set(GRANT_TYPES)):
        yield "grant_types", f"are not supported: {', '.join(unknown)}"
    if metadata.token_endpoint_auth_method not in AUTH_METHODS:
        yield "token_endpoint_auth_method", f"must be one of {', '.join(AUTH_METHODS)}"
    if wanted := scopes.unknown((metadata.scope or "").split()):
        yield "scope", f"has unknown scopes: {', '.join(wanted)}"
    if "authorization_code" in metadata.grant_types and not metadata.redirect_uris:
        yield "redirect_uris", "are needed for authorization_code"
    for grant in {"client_credentials", TOKEN_EXCHANGE} & set(metadata.grant_types):
        if metadata.token_endpoint_auth_method == PUBLIC:
            yield "token_endpoint_auth_method", f"{grant} needs a client that authenticates"
    if metadata.id_token_signed_response_alg not in (None, *keys.ALGORITHMS):
        yield "id_token_signed_response_alg", f"must be one of {', '.join(keys.ALGORITHMS)}"
    if wrong := _key_problem(metadata):
        yield "jwks", wrong
    if metadata.backchannel_logout_uri and (wrong := _notice_problem(metadata.backchannel_logout_uri, own_origin)):
        yield "backchannel_logout_uri", wrong


def _key_problem(metadata: Metadata) -> str | None:
    """Keys are registered by value: we fetch nothing on behalf of a client."""
    if metadata.jwks is None:
        return "is needed for private_key_jwt" if metadata.token_endpoint_auth_method == PRIVATE_KEY_JWT else None
    listed = metadata.jwks.get("keys")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_KEYS or metadata.jwks.keys() != {"keys"}:
        return f"must be a JWK set of 1 to {MAX_KEYS} keys"
    return next((wrong for wrong in map(public_key_problem, listed) if wrong), None)


def _notice_problem(uri: str, own_origin: str) -> str | None:
    wrong = redirects.problem(uri, own_origin)
    return wrong or (None if uri.startswith(("https://", "http://")) else "must use https")


def _change(session: Session, client: Client, metadata: Metadata) -> None:
    """What is taken from a client is taken from what it holds as well."""
    scope, was_trusted = set(client.scopes), client.trusted
    _apply(client, metadata)
    session.flush()
    lost_trust = was_trusted and not client.trusted
    if lost_trust or not scope <= set(client.scopes):
        consents.curtail(session, client, lost_trust=lost_trust)


def _apply(client: Client, metadata: Metadata) -> None:
    client.client_name = metadata.client_name or client.client_id
    client.redirect_uris = list(metadata.redirect_uris)
    client.post_logout_redirect_uris = list(metadata.post_logout_redirect_uris)
    client.grant_types = list(dict.fromkeys(metadata.grant_types))
    scope = scopes.DEFAULT_CLIENT_SCOPE if metadata.scope is None else metadata.scope
    client.scope = " ".join(dict.fromkeys(scope.split()))
    client.token_endpoint_auth_method = metadata.token_endpoint_auth_method
    client.trusted = metadata.trusted
    client.jwks = metadata.jwks
    client.dpop_bound_access_tokens = metadata.dpop_bound_access_tokens
    client.require_pushed_authorization_requests = metadata.require_pushed_authorization_requests
    client.id_token_signed_response_alg = metadata.id_token_signed_response_alg
    client.backchannel_logout_uri = metadata.backchannel_logout_uri or None
    client.backchannel_logout_session_required = metadata.backchannel_logout_session_required
