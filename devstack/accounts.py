"""Who can sign in to a store on one machine, and the OAuth clients that it knows from the start."""

from __future__ import annotations

import json
from dataclasses import dataclass

from devstack.topology import GATEWAY, SERVICES
from devstack.vault import Vault

DEMO_CLIENT = "demo"
DEMO_REDIRECT = "http://127.0.0.1/callback"
DEMO_SCOPE = (
    "openid profile email offline_access cart:write orders:read orders:write reviews:write uploads:read uploads:write "
    "suggestions:read suggestions:write books:write stock:write orders:manage users:manage clients:manage "
    "reviews:moderate"
)
SERVICE_SCOPE = "replicas:read"
PORTALS = (
    (
        "shop",
        "The shop",
        "/",
        "openid profile email cart:write orders:read orders:write reviews:write uploads:read uploads:write "
        "suggestions:read suggestions:write",
    ),
    (
        "administration",
        "The administration",
        "/admin",
        "openid profile email orders:read books:write stock:write orders:manage users:manage clients:manage "
        "reviews:moderate",
    ),
)
NAMES = ("admin", "alice", "bob")


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    email: str
    password: str


def accounts(vault: Vault, *, well_known: bool) -> dict[str, Account]:
    """The administrator and the demo customers.

    Their passwords are well known only where nobody else can reach the store or its database.
    """
    return {
        name: Account(
            name=name,
            email=f"{name}@bookstore.example",
            password=f"{name}-demo-password" if well_known else vault[f"password.{name}"],
        )
        for name in NAMES
    }


def demo_users(known: dict[str, Account]) -> str:
    """For DEMO_USERS: the customers as JSON."""
    customers = (account for name, account in known.items() if name != "admin")
    return json.dumps([{"username": each.name, "email": each.email, "password": each.password} for each in customers])


def clients(vault: Vault) -> str:
    """For BOOTSTRAP_CLIENTS: each service, the gateway, the program that `demo` is, and the portals."""
    services = [
        {
            "client_id": f"{name}-service",
            "client_name": f"The {name} service",
            "client_secret": client_secret(vault, name),
            "grant_types": ["client_credentials"],
            "scope": SERVICE_SCOPE,
        }
        for name in (*(service.name for service in SERVICES), GATEWAY.name)
    ]
    demo = {
        "client_id": DEMO_CLIENT,
        "client_name": "The demo",
        "redirect_uris": [DEMO_REDIRECT],
        "token_endpoint_auth_method": "none",
        "scope": DEMO_SCOPE,
        "trusted": True,
    }
    return json.dumps([*services, demo, *(portal(vault, *each) for each in PORTALS)])


def portal(vault: Vault, client_id: str, name: str, home: str, scope: str) -> dict[str, object]:
    """The gateway as a portal's OAuth client. Addresses without an origin are those of the store itself."""
    return {
        "client_id": client_id,
        "client_name": name,
        "client_secret": client_secret(vault, client_id),
        "redirect_uris": ["/bff/callback"],
        "post_logout_redirect_uris": [home],
        "scope": scope,
        "trusted": True,
        "require_pushed_authorization_requests": True,
    }


def client_secret(vault: Vault, service: str) -> str:
    return vault[f"client.{service}"]
