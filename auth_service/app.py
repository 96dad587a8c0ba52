"""The auth service's web application."""

from __future__ import annotations

from flask import Flask

from auth_service.api import (
    account_pages,
    admin_users,
    audit,
    auth,
    authorize,
    clients,
    credentials,
    device,
    discovery,
    federated,
    internal,
    logout,
    mfa,
    pages,
    recovery_pages,
    security_pages,
    token,
    userinfo,
    users,
)
from auth_service.api.authority import Authority, OwnKeys, OwnRevocations
from auth_service.api.cors import answer_origins
from auth_service.api.peers import Peers
from auth_service.config import AuthConfig
from auth_service.domain import passwords
from auth_service.news import RevocationNews
from common.app import service_app
from common.auth import KeySource


def create_app(config: AuthConfig, keys: KeySource | None = None) -> Flask:
    passwords.prepare(threads=config.hash_threads, most_waiting=config.most_waiting_for_a_hash)
    authority, revocations = Authority.of(config), OwnRevocations()
    app = service_app(
        config,
        blueprints=[
            discovery.api,
            authorize.api,
            pages.api,
            token.api,
            device.api,
            logout.api,
            userinfo.api,
            auth.api,
            credentials.api,
            mfa.api,
            federated.api,
            recovery_pages.api,
            account_pages.api,
            security_pages.api,
            users.api,
            clients.api,
            admin_users.api,
            audit.api,
            internal.api,
        ],
        keys=keys or OwnKeys(authority.keys),
        revocations=revocations,
    )
    answer_origins(app)
    revocations.database = lambda: app.extensions["database"]
    app.extensions["authority"] = authority
    app.extensions["revocation_news"] = RevocationNews(config, lambda: app.extensions["database"])
    app.extensions["peers"] = Peers(config, authority.issuer, lambda: app.extensions["database"])
    return app
