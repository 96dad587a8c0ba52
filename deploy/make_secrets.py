# ruff: noqa: T201 - what it prints is read by a person, in the log
"""Random secrets for docker compose, at the first start: one folder for each container that needs some.

A folder that has its secrets keeps them. Run with the folders mounted under /secrets.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

ROOT = Path("/secrets")
SCHEMAS = {"auth": "auth", "catalog": "catalog", "order": "orders", "review": "reviews"}
DATABASE = "postgres:5432/bookstore"
IDENTITY = "openid profile email"
SHOP_SCOPE = (
    f"{IDENTITY} cart:write orders:read orders:write reviews:write uploads:read uploads:write "
    "suggestions:read suggestions:write"
)
STAFF_SCOPE = (
    f"{IDENTITY} orders:read books:write stock:write orders:manage users:manage clients:manage reviews:moderate"
)


def main() -> None:
    if (ROOT / "auth" / "admin_password").exists():
        print("The secrets are there already.")
    else:
        make_all()
    register_portals()


def make_all() -> None:
    broker, administrator, admin = (secrets.token_urlsafe(32) for _ in range(3))
    clients = {name: secrets.token_urlsafe(32) for name in (*SCHEMAS, "gateway")}
    write("rabbitmq", "password", broker)
    write("postgres", "password", administrator)
    write("provision", "database_url", f"postgresql://postgres:{administrator}@{DATABASE}")
    for name, schema in SCHEMAS.items():
        write(name, "database_url", f"postgresql://{schema}:{secrets.token_urlsafe(32)}@{DATABASE}")
        write(name, "event_bus_url", f"amqp://bookstore:{broker}@rabbitmq:5672/")
    for name, client_secret in clients.items():
        write(name, "service_client_secret", client_secret)
    write("auth", "key_encryption_key", secrets.token_urlsafe(32))
    write("auth", "bootstrap_clients", json.dumps([registration(*each) for each in clients.items()]))
    write("auth", "admin_password", admin)  # last: it says that all the others are there
    print(f"The administrator is {os.environ['ADMIN_EMAIL']}, password {admin}\nIt is shown this once.")


def register_portals() -> None:
    """What the sessions of browsers need: also for a store whose other secrets, or whose portals' scopes, are older."""
    kept("gateway", "session_keys")
    path = ROOT / "auth" / "bootstrap_clients"
    before = path.read_text(encoding="utf-8")
    others = [each for each in json.loads(before) if each["client_id"] not in ("shop", "administration")]
    shop = portal("shop", "The shop", "/", SHOP_SCOPE)
    administration = portal("administration", "The administration", "/admin", STAFF_SCOPE)
    registered = json.dumps([*others, shop, administration])
    if registered != before:
        write("auth", "bootstrap_clients", registered)


def kept(folder: str, name: str) -> str:
    """The secret of this name, made when it is not there."""
    path = ROOT / folder / name
    if not path.exists():
        write(folder, name, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8")


def portal(client_id: str, name: str, home: str, scope: str) -> dict[str, object]:
    """The gateway as a portal's OAuth client; addresses that are a path only are the store's own."""
    return {
        "client_id": client_id,
        "client_name": name,
        "client_secret": kept("gateway", f"{client_id}_client_secret"),
        "redirect_uris": ["/bff/callback"],
        "post_logout_redirect_uris": [home],
        "scope": scope,
        "trusted": True,
        "require_pushed_authorization_requests": True,
    }


def registration(name: str, secret: str) -> dict[str, object]:
    """A service as an OAuth client (RFC 7591 names)."""
    return {
        "client_id": f"{name}-service",
        "client_name": f"The {name} service",
        "client_secret": secret,
        "grant_types": ["client_credentials"],
        "scope": "replicas:read",
    }


def write(folder: str, name: str, value: str) -> None:
    path = ROOT / folder / name
    path.unlink(missing_ok=True)  # what is there may be read only
    path.write_text(value, encoding="utf-8")
    path.chmod(0o444)  # the folder is mounted into one container, whose processes have users of their own


if __name__ == "__main__":
    main()
