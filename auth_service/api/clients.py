"""/api/v1/admin/clients: OAuth clients, in the names of RFC 7591."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from pydantic import Field
from sqlalchemy import Row, select

from auth_service.api.authority import authority, signed_in_admin
from auth_service.domain import audit, clients
from auth_service.models import Client, User
from auth_service.outside import Outside
from common.api import JsonObject, Page, PageQuery, Request, Response, accepts, known_as, returns
from common.auth import requires_user
from common.db import session
from common.errors import Conflict
from common.pagination import Sort, paginate

api = Blueprint("clients", __name__, url_prefix="/api/v1/admin/clients")
UNCACHED = {"Cache-Control": "no-store"}
"""Of every answer that may have a secret in it."""


class ClientRequest(Request):
    client_name: str = Field(min_length=1, max_length=100)
    redirect_uris: list[str] = Field([], max_length=20)
    post_logout_redirect_uris: list[str] = Field([], max_length=20)
    grant_types: list[str] = Field(["authorization_code", "refresh_token"], min_length=1, max_length=10)
    scope: str | None = Field(None, max_length=1000)
    token_endpoint_auth_method: str = "client_secret_basic"  # noqa: S105 - the name of a method
    trusted: bool = False
    jwks: JsonObject | None = Field(None, description="public keys for private_key_jwt; there is no jwks_uri")
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    id_token_signed_response_alg: str | None = Field(None, description="left out: whatever is usual here")
    backchannel_logout_uri: str | None = Field(None, max_length=2000)
    backchannel_logout_session_required: bool = False

    def metadata(self) -> clients.Metadata:
        return clients.Metadata(**self.model_dump())


class ClientAnswer(Response):
    client_id: str
    client_id_issued_at: int
    client_name: str
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    grant_types: list[str]
    scope: str
    token_endpoint_auth_method: str
    trusted: bool
    jwks: dict[str, Any] | None
    dpop_bound_access_tokens: bool
    require_pushed_authorization_requests: bool
    id_token_signed_response_alg: str | None
    backchannel_logout_uri: str | None
    backchannel_logout_session_required: bool


class ClientWithSecret(ClientAnswer):
    client_secret: str | None = Field(None, description="shown this once")
    client_secret_expires_at: int | None = None


class PublicClient(Conflict):
    code = "public_client"


@api.post("")
@requires_user("clients:manage")
@accepts(body=ClientRequest)
@returns(ClientWithSecret, 201)
@known_as("createClient")
def create(body: ClientRequest) -> tuple[dict[str, Any], int, dict[str, str]]:
    actor = signed_in_admin()
    client, secret = clients.create(session, _grantable(body), own_origin=authority.config.public_url)
    _note(actor, "client.created", client.client_id, after=_answer(client))
    return _answer(client) | _shown(secret), 201, UNCACHED


@api.get("")
@requires_user("clients:manage")
@accepts(query=PageQuery)
@returns(Page[ClientAnswer])
@known_as("listClients")
def list_all(query: PageQuery) -> dict[str, Any]:
    signed_in_admin()
    columns = Client.__table__.c
    by = [Sort(columns.created_at, "created_at"), Sort(columns.client_id, "client_id")]
    return paginate(session, select(Client), by=by, query=query, row=_row_answer)


@api.get("/<client_id>")
@requires_user("clients:manage")
@returns(ClientAnswer)
@known_as("getClient")
def read(client_id: str) -> dict[str, Any]:
    signed_in_admin()
    return _answer(clients.find(session, client_id))


@api.put("/<client_id>")
@requires_user("clients:manage")
@accepts(body=ClientRequest)
@returns(ClientWithSecret)
@known_as("replaceClient")
def replace(client_id: str, body: ClientRequest) -> tuple[dict[str, Any], int, dict[str, str]]:
    actor, client = signed_in_admin(), clients.to_change(session, client_id)
    before = _answer(client)
    secret = clients.replace(session, client, _grantable(body), own_origin=authority.config.public_url)
    _note(actor, "client.updated", client_id, before=before, after=_answer(client))
    return _answer(client) | _shown(secret), 200, UNCACHED


@api.delete("/<client_id>")
@requires_user("clients:manage")
@returns(None, 204)
@known_as("deleteClient")
def delete(client_id: str) -> tuple[str, int]:
    actor, before = signed_in_admin(), _answer(clients.find(session, client_id))
    clients.remove(session, client_id)
    _note(actor, "client.deleted", client_id, before=before)
    return "", 204


@api.post("/<client_id>/rotate-secret")
@requires_user("clients:manage")
@returns(ClientWithSecret)
@known_as("rotateClientSecret")
def rotate_secret(client_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    actor, client = signed_in_admin(), clients.to_change(session, client_id)
    if not client.has_secret:
        raise PublicClient("This client has no secret.")
    _note(actor, "client.secret_rotated", client_id)
    return _answer(client) | _shown(clients.renew_secret(client)), 200, UNCACHED


def _grantable(body: ClientRequest) -> clients.Metadata:
    """Raises Invalid for what only the store's own clients may have."""
    metadata = body.metadata()
    clients.require_grantable(metadata, Outside(authority.config.client_networks).problem)
    return metadata


def _note(actor: User, action: str, client_id: str, **content: dict[str, Any]) -> None:
    audit.note(session, actor_id=actor.id, action=action, resource_id=client_id, **content)


def _row_answer(row: Row[Any]) -> dict[str, Any]:
    return _answer(row[0])


def _answer(client: Client) -> dict[str, Any]:
    answer = ClientAnswer(
        client_id=client.client_id,
        client_id_issued_at=int(client.created_at.timestamp()),
        client_name=client.client_name,
        redirect_uris=client.redirect_uris,
        post_logout_redirect_uris=client.post_logout_redirect_uris,
        grant_types=client.grant_types,
        scope=client.scope,
        token_endpoint_auth_method=client.token_endpoint_auth_method,
        trusted=client.trusted,
        jwks=client.jwks,
        dpop_bound_access_tokens=client.dpop_bound_access_tokens,
        require_pushed_authorization_requests=client.require_pushed_authorization_requests,
        id_token_signed_response_alg=client.id_token_signed_response_alg,
        backchannel_logout_uri=client.backchannel_logout_uri,
        backchannel_logout_session_required=client.backchannel_logout_session_required,
    )
    return answer.model_dump()


def _shown(secret: str | None) -> dict[str, Any]:
    """RFC 7591 section 3.2.1: a secret comes with its end, and zero means none."""
    return {} if secret is None else {"client_secret": secret, "client_secret_expires_at": 0}
