"""Wiring of the gateway."""

from __future__ import annotations

from flask import Flask

from common import health as process_health
from common import openapi
from common.app import bare_app
from common.auth import JwksKeys, KeySource, TokenVerifier
from common.revocation import asked_of_auth
from gateway.config import GatewayConfig
from gateway.docs import docs_blueprint
from gateway.health import StoreHealth, health_blueprint
from gateway.openapi import MergedDocument
from gateway.proofs import remembered
from gateway.proxy import Gateway
from gateway.session.cookies import Cookies
from gateway.session.login import Login
from gateway.session.provider import Provider
from gateway.session.sealing import Sealer
from gateway.session.sessions import Sessions
from gateway.session.views import Bff, session_blueprint
from gateway.upstream import Upstream


def create_app(config: GatewayConfig, keys: KeySource | None = None) -> Flask:
    keys_of_auth = keys or JwksKeys(f"{config.auth_url}/.well-known/jwks.json")
    verifier = TokenVerifier(
        issuer=config.issuer,
        audience=(config.api_audience, config.public_url),
        keys=keys_of_auth,
        revocations=None if keys else asked_of_auth(config),
        proofs=remembered(config.rate_limit_url),
    )
    upstreams = {name: Upstream(name, url, config.timeouts) for name, url in config.service_urls.items()}
    merged = MergedDocument(upstreams)
    sealer, jar = Sealer(config.session_keys), Cookies(secure=config.is_https)
    provider = Provider(config.auth_url, config.issuer, config.portal_secrets, keys_of_auth)
    sessions = Sessions(sealer, jar, provider, verifier, config.public_url)
    bff = Bff(sessions, Login(config, sealer, jar, provider), provider, config.public_url)
    app = bare_app(config, [health_blueprint(StoreHealth(config)), docs_blueprint(merged), session_blueprint(bff)])
    merged.own = openapi.document(app, "Bookstore: gateway")
    app.wsgi_app = Gateway(config, verifier, sessions, upstreams, app.wsgi_app)  # type: ignore[method-assign]
    app.extensions["metrics"] = bare_app(config, [process_health.health_blueprint(lambda: None)])
    return app
