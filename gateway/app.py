"""Wiring of the gateway."""

from __future__ import annotations

from flask import Flask

from common.app import bare_app
from common.auth import JwksKeys, KeySource, TokenVerifier
from common.health import health_blueprint
from gateway.config import GatewayConfig
from gateway.proxy import Gateway
from gateway.upstream import Upstream


def create_app(config: GatewayConfig, keys: KeySource | None = None) -> Flask:
    verifier = TokenVerifier(
        issuer=config.issuer,
        audience=config.api_audience,
        keys=keys or JwksKeys(f"{config.auth_url}/.well-known/jwks.json"),
    )
    upstreams = {name: Upstream(name, url, config.timeouts) for name, url in config.service_urls.items()}
    app = bare_app(config, [health_blueprint(lambda: None)])
    app.wsgi_app = Gateway(config, verifier, upstreams, app.wsgi_app)  # type: ignore[method-assign]
    return app
