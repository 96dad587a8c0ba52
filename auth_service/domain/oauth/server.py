"""The authorization server behind what clients call: Authlib's dispatch, with our storage, clients and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidRequestError
from sqlalchemy.orm import Session

from auth_service.domain import devices
from auth_service.domain.clients import PUBLIC
from auth_service.domain.oauth import authorization, introspection, proofs, pushed
from auth_service.domain.oauth.assertions import PrivateKeyJwt
from auth_service.domain.oauth.device_grant import DeviceRedemption
from auth_service.domain.oauth.errors import OAuthRefusal
from auth_service.domain.oauth.exchange import TokenExchange
from auth_service.domain.oauth.grants import ANY_CLIENT, CONFIDENTIAL, ClientCredentials, CodeRedemption, Refresh
from auth_service.domain.oauth.provider import Provider, Spend
from auth_service.domain.oauth.requests import FormRequest, basic_credentials
from auth_service.domain.oauth.revocation import Revocation
from auth_service.models import Client


class TokenServer(AuthorizationServer):
    """Serves one request on one session. Every refusal is raised as OAuthRefusal."""

    def __init__(self, session: Session, provider: Provider, spend: Spend) -> None:
        super().__init__()
        self.session = session
        self.provider = provider
        self.issuer = provider.issuer
        self.vault = provider.vault
        self.terms = provider.terms
        self.resources = provider.resources
        self.spend = spend
        for grant in (CodeRedemption, Refresh, ClientCredentials, DeviceRedemption, TokenExchange):
            self.register_grant(grant)
        self.register_endpoint(Revocation)
        self.register_client_auth_method("client_secret_basic", _client_secret_basic)
        self.register_client_auth_method("private_key_jwt", PrivateKeyJwt(self))

    def token(self, request: FormRequest) -> dict[str, Any]:
        """The token response to a request."""
        body: dict[str, Any] = self._checked(request, self.create_token_response)
        return body

    def revoke(self, request: FormRequest) -> None:
        self._checked(request, lambda checked: self.create_endpoint_response("revocation", checked))

    def push(self, request: FormRequest) -> dict[str, Any]:
        """Where the browser is to find this authorization request (RFC 9126 section 2)."""
        return self._answered(request, self._push)

    def start_device(self, request: FormRequest) -> dict[str, Any]:
        """The codes of a device that asks to be allowed (RFC 8628 section 3)."""
        return self._answered(request, self._start_device)

    def introspect(self, request: FormRequest) -> dict[str, Any]:
        """What is true of a token now (RFC 7662)."""
        return self._answered(request, self._introspect)

    def _push(self, request: FormRequest) -> dict[str, Any]:
        client = self.authenticate_client(request, ANY_CLIENT, "par")
        pairs = self._bound_pairs(request, client)
        try:
            authorization.check_pushed(self.session, client, pairs, self.provider)
        except authorization.Unverified as error:
            raise OAuthRefusal("invalid_request", str(error.detail)) from None
        except authorization.RedirectBack as error:
            raise OAuthRefusal(error.error, error.description) from None
        uri = pushed.keep(self.session, client.client_id, pairs)
        return {"request_uri": uri, "expires_in": int(pushed.LIFE.total_seconds())}

    def _bound_pairs(self, request: FormRequest, client: Client) -> list[tuple[str, str]]:
        """The parameters, with the key of a proof that came along (RFC 9449 section 10.1)."""
        pairs = [("client_id", client.client_id), *(pair for pair in request.pairs if pair[0] != "client_id")]
        if request.form.get("client_id", client.client_id) != client.client_id:
            raise OAuthRefusal("invalid_request", "The client_id is that of another client.")
        if request.dpop is None:
            return pairs
        jkt = proofs.holder(self.provider, self.spend, request.dpop, request.path)
        if request.form.get("dpop_jkt", jkt) != jkt:
            raise OAuthRefusal("invalid_request", "The dpop_jkt is not that of the proof's key.")
        return [*(pair for pair in pairs if pair[0] != "dpop_jkt"), ("dpop_jkt", jkt)]

    def _start_device(self, request: FormRequest) -> dict[str, Any]:
        client = self.authenticate_client(request, ANY_CLIENT, "device_authorization")
        if not client.check_grant_type(DeviceRedemption.GRANT_TYPE):
            raise OAuthRefusal("unauthorized_client", "This client may not use this grant_type.")
        scope = request.form.get("scope", client.scope)
        if not set(scope.split()) <= set(client.scopes):
            raise OAuthRefusal("invalid_scope", "The scope is unknown, or exceeds what this client may ask for.")
        resources = self.resources.known(request.resources)
        return devices.start(self.session, client, scope, resources).as_response(self.issuer.url)

    def _introspect(self, request: FormRequest) -> dict[str, Any]:
        client = self.authenticate_client(request, CONFIDENTIAL, "introspection")
        return introspection.describe(self.session, self.issuer, client, request.required("token"))

    def holder(self, request: FormRequest, client: Client) -> str | None:
        """The thumbprint of the key whose holder asks, where that was shown. Raises InvalidProof or NonceWanted."""
        if request.dpop is not None:
            return proofs.holder(self.provider, self.spend, request.dpop, request.path)
        if client.dpop_bound_access_tokens:
            raise proofs.InvalidProof("This client has to send a DPoP proof.")
        return None

    def _answered(self, request: FormRequest, answer: Callable[[FormRequest], dict[str, Any]]) -> dict[str, Any]:
        try:
            request.require_well_formed()
            return answer(request)
        except OAuth2Error as error:
            raise OAuthRefusal.of(error) from None

    def _checked(self, request: FormRequest, answer: Callable[[FormRequest], Any]) -> Any:
        try:
            request.require_well_formed()
        except OAuth2Error as error:
            raise OAuthRefusal.of(error) from None
        return answer(request)

    def query_client(self, client_id: str) -> Client | None:
        return self.session.get(Client, client_id)

    def authenticate_client(self, request: FormRequest, methods: Iterable[str], endpoint: str = "token") -> Any:
        """Raises InvalidRequestError for more than one way of authenticating (RFC 6749 section 2.3).

        Who shows a credential is not taken for a public client when it is wrong.
        """
        shown: list[str] = [name for name in ("client_secret", "client_assertion") if name in request.form]
        shown += ["basic"] if basic_credentials(request.headers.get("Authorization")) else []
        if len(shown) > 1:
            raise InvalidRequestError("The client authenticates in more than one way.")
        possible = [method for method in methods if not shown or method != PUBLIC]
        return super().authenticate_client(request, possible, endpoint)

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
