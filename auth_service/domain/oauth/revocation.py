"""Token revocation (RFC 7009). A refresh token or an access token takes the whole of its family with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc7009 import RevocationEndpoint

from auth_service.domain import families
from auth_service.domain.oauth.grants import ANY_CLIENT
from auth_service.models import Client, TokenFamily

if TYPE_CHECKING:
    from auth_service.domain.oauth.server import TokenServer


class Revocation(RevocationEndpoint):
    """The hint is not looked at: both kinds of token are easily told apart (RFC 7009 section 2.1 allows it)."""

    server: TokenServer
    CLIENT_AUTH_METHODS = ANY_CLIENT

    def authenticate_token(self, request: Any, client: Client) -> TokenFamily | None:
        token = request.required("token")
        session = self.server.session
        family = families.of_token(session, token) or self.server.issuer.family_of(session, token)
        if family is not None and family.client_id != client.client_id:
            raise InvalidGrantError("The token was issued to another client.")
        return family

    def revoke_token(self, token: TokenFamily, request: Any) -> None:
        families.revoke(self.server.session, token.id, "revoked_by_client")
