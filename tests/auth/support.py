"""A browser and an OAuth client, as far as the tests need them."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from auth_service.domain import clients, sign_in
from auth_service.models import User
from common.db import Database

ISSUER = "http://localhost:8000"
CALLBACK = "http://127.0.0.1/callback"
SCOPE = "openid profile email orders:read"


def register_client(database: Database, **metadata: Any) -> tuple[str, str]:
    """A client's identifier and secret (empty for a public one)."""
    given = {"client_name": "Reading list", "redirect_uris": [CALLBACK], "scope": f"{SCOPE} books:write"}
    with database.transaction() as session:
        made, secret = clients.create(session, clients.Metadata(**(given | metadata)), own_origin=ISSUER)
        return made.client_id, secret or ""


def authenticate(session: Session, identifier: str, password: str) -> User:
    """As the sign-in does it, without its waiting and counting."""
    attempt = sign_in.begin(session, identifier=identifier, address="", throttled=False, known=lambda _: None)
    return sign_in.finish(session, attempt, sign_in.prove(attempt, password))


@dataclass
class Pkce:
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorization(client_id: str, pkce: Pkce, /, **changes: Any) -> dict[str, Any]:
    """The parameters of a good authorization request; a change to None leaves one out."""
    given = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


def query(location: str | None) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location or "").query).items()}


def hidden_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


@dataclass
class Browser:
    """Follows redirects by hand, so that each can be looked at."""

    http: FlaskClient
    person: dict[str, Any]

    def authorize(self, **parameters: Any) -> TestResponse:
        return self.http.get(f"/authorize?{urlencode(parameters, doseq=True)}")

    def sign_in(self, page: TestResponse, *, password: str | None = None) -> TestResponse:
        """From the redirect to the sign-in page to the answer to its form."""
        form = self.http.get(page.location)
        fields = hidden_fields(form.text)
        fields |= {"identifier": self.person["email"], "password": password or self.person["password"]}
        return self.http.post("/account/sign-in", data=fields)

    def code_for(self, **parameters: Any) -> dict[str, str]:
        """The parameters that come back to the client after all the steps of a good request."""
        answer = self.authorize(**parameters)
        if urlsplit(answer.location).path == "/account/sign-in":
            answer = self.http.get(self.sign_in(answer).location)
        return query(answer.location)

    def redeem(self, code: str, client_id: str, pkce: Pkce, /, **changes: Any) -> TestResponse:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "client_id": client_id,
            "code_verifier": pkce.verifier,
        } | changes
        return self.http.post("/token", data={name: value for name, value in form.items() if value is not None})

    def tokens(self, client_id: str, **changes: Any) -> dict[str, Any]:
        """All of the code flow, for a public client."""
        pkce = Pkce()
        code = self.code_for(**authorization(client_id, pkce, **changes))["code"]
        answer = self.redeem(code, client_id, pkce)
        assert answer.status_code == 200, answer.json
        return answer.json

    def refresh(self, token: str, client_id: str, **extra: str) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
        return self.http.post("/token", data=form | extra)
