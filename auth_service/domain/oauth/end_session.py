"""RP-initiated logout: what a request at /logout may do (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from auth_service.domain import redirects
from auth_service.domain.oauth.provider import Provider
from auth_service.domain.oauth.requests import Pairs, Parameters
from auth_service.models import Client
from common.errors import BadRequest


class BadLogout(BadRequest):
    """Shown to the person: nothing in the request can be trusted to name an address."""

    code = "invalid_logout_request"


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """`hinted_session` and `hinted_subject` are from an ID token of ours. `location` is where to go afterwards."""

    client: Client | None
    hinted_session: UUID | None
    hinted_subject: UUID | None
    location: str | None


def read(session: Session, pairs: Pairs, provider: Provider) -> LogoutRequest:
    """Raises BadLogout."""
    parameters = Parameters(pairs)
    if parameters.repeated or parameters.has_nul:
        raise BadLogout("A parameter is repeated, or contains NUL.")
    hint = parameters.get("id_token_hint")
    claims = provider.issuer.read(session, hint, kind="JWT", expired_too=True) if hint else None
    client_id = parameters.get("client_id")
    if claims and client_id not in (None, claims["aud"]):
        raise BadLogout("The id_token_hint was issued to another client.")
    named = claims["aud"] if claims else client_id
    client = session.get(Client, named) if named else None
    return LogoutRequest(
        client=client,
        hinted_session=UUID(claims["sid"]) if claims else None,
        hinted_subject=UUID(claims["sub"]) if claims else None,
        location=_location(client, parameters),
    )


def _location(client: Client | None, parameters: Parameters) -> str | None:
    uri = parameters.get("post_logout_redirect_uri")
    if uri is None:
        return None
    if client is None or not redirects.matches(uri, client.post_logout_redirect_uris):
        raise BadLogout("The address to return to is not registered for this app.")
    state = parameters.get("state")
    return redirects.with_parameters(uri, {"state": state}) if state else uri
