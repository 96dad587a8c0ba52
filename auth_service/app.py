"""The auth service's web application."""

from __future__ import annotations

from flask import Flask

from auth_service.api import (
    admin_users,
    audit,
    auth,
    authorize,
    clients,
    discovery,
    internal,
    pages,
    token,
    userinfo,
    users,
)
from auth_service.api.authority import Authority, OwnKeys, OwnRevocations
from auth_service.api.peers import Peers
from auth_service.config import AuthConfig
from common.app import service_app
from common.auth import KeySource


def create_app(config: AuthConfig, keys: KeySource | None = None) -> Flask:
    authority, revocations = Authority.of(config), OwnRevocations()
    app = service_app(
        config,
        blueprints=[
            discovery.api,
            authorize.api,
            pages.api,
            token.api,
            userinfo.api,
            auth.api,
            users.api,
            clients.api,
            admin_users.api,
            audit.api,
            internal.api,
        ],
        keys=keys or OwnKeys(authority.keys),
        revocations=revocations,
    )
    revocations.database = lambda: app.extensions["database"]
    app.extensions["authority"] = authority
    app.extensions["peers"] = Peers(config, authority.issuer, lambda: app.extensions["database"])
    return app
