"""Scopes: what each allows, in words for the consent page, and which ones a role may have."""

from __future__ import annotations

from collections.abc import Iterable

OPENID_SCOPES = {
    "openid": "know who you are",
    "profile": "see your username",
    "email": "see your mail address",
    "offline_access": "stay connected while you are away",
}
CUSTOMER_SCOPES = {
    "cart:write": "see and change your cart",
    "orders:read": "see your orders",
    "orders:write": "place, pay and cancel orders for you",
    "reviews:write": "write and change your reviews",
    "uploads:read": "see and download your uploaded files",
    "uploads:write": "upload and delete files for you",
    "suggestions:read": "see the books that you suggested",
    "suggestions:write": "suggest books for you",
}
ADMIN_SCOPES = {
    "books:write": "change the catalogue",
    "stock:write": "change stock",
    "orders:manage": "manage all orders",
    "users:manage": "manage users",
    "clients:manage": "manage connected apps",
    "reviews:moderate": "moderate reviews",
}
SERVICE_SCOPES = {"replicas:read": "read what a replica is built from"}

DESCRIPTIONS = OPENID_SCOPES | CUSTOMER_SCOPES | ADMIN_SCOPES | SERVICE_SCOPES
SUPPORTED = tuple(DESCRIPTIONS)
OF_THE_API = tuple(scope for scope in DESCRIPTIONS if scope not in {"offline_access", *SERVICE_SCOPES})
"""What a token needs to hold somewhere at the gateway."""

DEFAULT_CLIENT_SCOPE = "openid profile email"

_OF_ROLE = {
    "customer": frozenset(OPENID_SCOPES | CUSTOMER_SCOPES),
    "admin": frozenset(OPENID_SCOPES | CUSTOMER_SCOPES | ADMIN_SCOPES),
}


def of_role(role: str) -> str:
    """All that a person in this role may do."""
    return within(SUPPORTED, role)


def within(scopes: Iterable[str], role: str) -> str:
    """Those of the scopes that the role may have, in their order, without repetition."""
    return " ".join(scope for scope in dict.fromkeys(scopes) if scope in _OF_ROLE[role])


def unknown(scopes: Iterable[str]) -> list[str]:
    return sorted(set(scopes) - DESCRIPTIONS.keys())


def described(scope: str) -> list[str]:
    """What somebody agrees to, in words."""
    return [DESCRIPTIONS[each] for each in scope.split() if each in DESCRIPTIONS]
