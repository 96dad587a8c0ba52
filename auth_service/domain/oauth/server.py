"""The authorization server behind /token and /revoke: Authlib's dispatch, with our storage, clients and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidRequestError
from sqlalchemy.orm import Session

from auth_service.domain.oauth.errors import OAuthRefusal
from auth_service.domain.oauth.grants import ClientCredentials, CodeRedemption, Refresh
from auth_service.domain.oauth.requests import FormRequest, basic_credentials
from auth_service.domain.oauth.revocation import Revocation
from auth_service.domain.secrecy import Vault
from auth_service.domain.tokens import Issuer
from auth_service.models import Client


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what we issue is good for."""

    code_life: timedelta
    family_life: timedelta
    refresh_grace: timedelta


class TokenServer(AuthorizationServer):
    """Serves one request on one session. Every refusal is raised as OAuthRefusal."""

    def __init__(self, session: Session, issuer: Issuer, vault: Vault, terms: Terms) -> None:
        super().__init__()
        self.session = session
        self.issuer = issuer
        self.vault = vault
        self.terms = terms
        for grant in (CodeRedemption, Refresh, ClientCredentials):
            self.register_grant(grant)
        self.register_endpoint(Revocation)
        self.register_client_auth_method("client_secret_basic", _client_secret_basic)

    def token(self, request: FormRequest) -> dict[str, Any]:
        """The token response to a request."""
        body: dict[str, Any] = self._checked(request, self.create_token_response)
        return body

    def revoke(self, request: FormRequest) -> None:
        self._checked(request, lambda checked: self.create_endpoint_response("revocation", checked))

    def _checked(self, request: FormRequest, answer: Callable[[FormRequest], Any]) -> Any:
        try:
            request.require_well_formed()
        except OAuth2Error as error:
            raise OAuthRefusal.of(error) from None
        return answer(request)

    def query_client(self, client_id: str) -> Client | None:
        return self.session.get(Client, client_id)

    def authenticate_client(self, request: FormRequest, methods: Iterable[str], endpoint: str = "token") -> Any:
        """Raises InvalidRequestError for more than one way of authenticating (RFC 6749 section 2.3)."""
        if basic_credentials(request.headers.get("Authorization")) and "client_secret" in request.form:
            raise InvalidRequestError("The client authenticates in more than one way.")
        return super().authenticate_client(request, methods, endpoint)

    def get_token_grant(self, request: FormRequest) -> Any:
        request.required("grant_type")
        return super().get_token_grant(request)

    def create_token_response(self, request: FormRequest) -> Any:
        try:
            return super().create_token_response(request)
        except OAuth2Error as error:
            raise OAuthRefusal.of(error) from None

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Any:
        return body

    def handle_error_response(self, request: FormRequest, error: OAuth2Error) -> Any:
        raise OAuthRefusal.of(error)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


def _client_secret_basic(query_client: Callable[[str], Client | None], request: FormRequest) -> Client | None:
    for client_id, secret in basic_credentials(request.headers.get("Authorization")):
        client = query_client(client_id)
        named = request.form.get("client_id", client_id)
        if client is not None and named == client_id and client.check_client_secret(secret):
            return client
    return None
