"""The auth service as an OAuth client sees it: pushing a request, redeeming a code, refreshing, revoking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt
import requests
from requests.adapters import HTTPAdapter

from common.auth import ALGORITHMS, LEEWAY_SECONDS, KeySource
from common.errors import DomainError, Unavailable
from common.telemetry import get_logger, request_id, traceparent
from gateway.session.portals import Portal

TIMEOUT_SECONDS = (1.0, 10.0)
TOKENS = ("access_token", "refresh_token", "expires_in")

log = get_logger(__name__)


class Refused(Exception):
    """The provider's answer to us is no; `error` is its code (RFC 6749 section 5.2)."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Provider:
    """`secrets` has each portal's client secret by the portal's name."""

    def __init__(self, auth_url: str, issuer: str, secrets: Mapping[str, str], keys: KeySource) -> None:
        self._auth_url = auth_url
        self.issuer = issuer
        self._secrets = secrets
        self._keys = keys
        self._http = requests.Session()
        self._http.mount("http://", HTTPAdapter(pool_maxsize=16))

    def push(self, portal: Portal, parameters: Mapping[str, str]) -> str:
        """The request_uri (RFC 9126 section 2.2). Raises Refused or Unavailable."""
        document = self._post(portal, "/par", parameters)
        return str(_complete(document, "request_uri")["request_uri"])

    def redeem(self, portal: Portal, code: str, *, redirect_uri: str, verifier: str) -> dict[str, Any]:
        """The token response to an authorization code. Raises Refused or Unavailable."""
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        document = self._post(portal, "/token", grant | {"code_verifier": verifier})
        return _complete(document, *TOKENS, "id_token")

    def refresh(self, portal: Portal, refresh_token: str) -> dict[str, Any]:
        """The token response to a refresh token. Raises Refused or Unavailable."""
        grant = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return _complete(self._post(portal, "/token", grant), *TOKENS)

    def revoke(self, portal: Portal, refresh_token: str) -> None:
        """End the token and all of its family (RFC 7009). Raises Refused or Unavailable."""
        self._post(portal, "/revoke", {"token": refresh_token, "token_type_hint": "refresh_token"})

    def require_id_token(self, portal: Portal, id_token: str, *, nonce: str) -> None:
        """Check that it answers our own request (OpenID Connect Core section 3.1.3.7).

        Raises Refused or Unavailable.
        """
        try:
            key = self._keys.find(str(jwt.get_unverified_header(id_token).get("kid", "")))
            if key is None or key.algorithm_name not in ALGORITHMS:
                raise Refused("invalid_id_token")
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key.key,
                algorithms=[key.algorithm_name],
                issuer=self.issuer,
                audience=portal.client_id,
                leeway=LEEWAY_SECONDS,
                options={"require": ["iss", "aud", "exp", "iat", "sub"]},
            )
        except jwt.PyJWTError:
            raise Refused("invalid_id_token") from None
        if claims.get("nonce") != nonce:
            raise Refused("invalid_id_token")

    def _post(self, portal: Portal, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer = self._http.post(
                self._auth_url + path,
                data=dict(form),
                auth=(portal.client_id, self._secrets[portal.name]),
                headers={"X-Request-ID": request_id() or "", "traceparent": traceparent() or ""},
                timeout=TIMEOUT_SECONDS,
            )
        except requests.RequestException:
            raise _unavailable() from None
        try:
            document = answer.json()
        except ValueError:
            raise _unavailable() from None
        if answer.status_code >= 500 or answer.status_code == 429 or not isinstance(document, dict):
            raise _unavailable()
        if answer.status_code >= 400:
            error = str(document.get("error", "invalid_request"))
            log.info("provider_refused", endpoint=path, client=portal.client_id, error=error)
            raise Refused(error)
        return document


def _complete(document: dict[str, Any], *members: str) -> dict[str, Any]:
    """Raises Unavailable for an answer that lacks something: a mistake of ours, which nobody else can mend."""
    if missing := [name for name in members if name not in document]:
        log.error("provider_answer_incomplete", missing=missing)
        raise _unavailable()
    return document


def _unavailable() -> DomainError:
    return Unavailable("The sign-in service cannot be reached.", retry_after=1)
