"""The two portals, each with a client, a cookie and scopes of its own, and which of them a request comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from common.config import Config

ADMINISTRATION_PATHS = ("/admin", "/api/v1/admin")


@dataclass(frozen=True, slots=True)
class Portal:
    """What its sessions may do is what its client is registered for, and no more than the person's role allows."""

    name: str
    client_id: str
    home: str


SHOP = Portal("shop", "shop", "/")
ADMINISTRATION = Portal("admin", "administration", "/admin")
BY_NAME = {portal.name: portal for portal in (SHOP, ADMINISTRATION)}


def of_path(path: str) -> Portal:
    """Whose page, or whose part of the API, is at this path."""
    is_staffs = any(path == prefix or path.startswith(f"{prefix}/") for prefix in ADMINISTRATION_PATHS)
    return ADMINISTRATION if is_staffs else SHOP


def of_request(environ: dict[str, Any], path: str) -> Portal:
    """By what is asked for, else by what the page says (X-Portal), else by where it is (Referer); else the shop.

    No guard depends on it: both cookies are of the same origin, and a page could use either.
    """
    if of_path(path) is ADMINISTRATION:
        return ADMINISTRATION
    if named := BY_NAME.get(environ.get("HTTP_X_PORTAL", "")):
        return named
    try:
        referrer = urlsplit(environ.get("HTTP_REFERER", ""))
    except ValueError:
        return SHOP
    return of_path(referrer.path) if referrer.netloc == environ.get("HTTP_HOST") else SHOP


def needs_second_factor(portal: Portal, config: Config) -> bool:
    """Whether what staff do demands one: then they show it as they come in, not in the middle of their work."""
    return portal is ADMINISTRATION and bool(config.step_up_scopes)
