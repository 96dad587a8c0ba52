"""Stand-ins for Google and GitHub that speak the real protocols over HTTP on this machine."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Flask, Response, abort, jsonify, request
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.serving import make_server

from tests.support.serving import serving

CLIENT_ID, CLIENT_SECRET = "the-store", "only-in-tests"


@dataclass
class StandIn:
    """`person` is who signs in there; `forged` are claims that the ID token gets instead of the right ones.

    It is signed by `key`, which is published, or by a forger's.
    """

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    forged: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    signed_by: RSAKey | OctKey | None = None
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def agree(self, location: str) -> str:
        """The person signs in there and agrees: where the provider sends them, as a path and query of ours."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': asked['state']})}"

    def redeem(self) -> dict[str, str]:
        """RFC 6749 section 4.1.3, RFC 7636 section 4.6."""
        basic = request.authorization
        shown = (
            (basic.username, basic.password) if basic else (request.form["client_id"], request.form["client_secret"])
        )
        asked = self.codes.pop(request.form["code"], None)
        made = hashlib.sha256(request.form["code_verifier"].encode()).digest()
        if asked is None or shown != (CLIENT_ID, CLIENT_SECRET):
            abort(Response('{"error": "invalid_grant"}', 400, mimetype="application/json"))
        assert base64.urlsafe_b64encode(made).rstrip(b"=").decode() == asked["code_challenge"]
        assert request.form["redirect_uri"] == asked["redirect_uri"]
        return asked

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "nonce": asked["nonce"], "iat": now, "exp": now + 300}
        header = {"alg": self.algorithm, "kid": "one"}
        signer = self.signed_by or self.key
        return jwt.encode(header, claims | self.person | self.forged, signer, algorithms=[self.algorithm])

    def bearer(self) -> str:
        self.tokens.add(token := secrets.token_urlsafe(8))
        return token

    def app(self) -> Flask:
        app = Flask("stand-in")

        @app.get("/.well-known/openid-configuration")
        def discovery() -> Any:
            ends = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "certs"}
            return jsonify({"issuer": self.url} | {name: f"{self.url}/{path}" for name, path in ends.items()})

        @app.get("/certs")
        def certs() -> Any:
            return jsonify({"keys": [self.key.as_dict(private=False)]})

        @app.post("/token")
        def google_token() -> Any:
            asked = self.redeem()
            return jsonify({"access_token": self.bearer(), "token_type": "Bearer", "id_token": self.id_token(asked)})

        @app.post("/login/oauth/access_token")
        def github_token() -> Any:
            self.redeem()
            return jsonify({"access_token": self.bearer(), "token_type": "bearer", "scope": "read:user,user:email"})

        @app.get("/user")
        def user() -> Any:
            assert request.headers["Authorization"].removeprefix("Bearer ") in self.tokens
            return jsonify({"id": int(self.person["sub"]), "login": self.person["name"]})

        @app.get("/user/emails")
        def emails() -> Any:
            primary = {"email": self.person["email"], "verified": self.person["email_verified"], "primary": True}
            return jsonify([{"email": "old@example.com", "verified": True, "primary": False}, primary])

        return app


@contextmanager
def stand_in() -> Iterator[StandIn]:
    provider = StandIn()
    server = make_server("127.0.0.1", 0, provider.app(), threaded=True)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield provider
