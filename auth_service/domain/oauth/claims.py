"""The `claims` parameter (OpenID Connect Core section 5.5), and what we can tell about a person."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from auth_service.models import Client, User

SCOPES = {
    "preferred_username": "profile",
    "updated_at": "profile",
    "email": "email",
    "email_verified": "email",
}
"""Each claim about a person, and the scope that it belongs to."""

MAX_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class Requested:
    """What was asked for by name: claims for each place, whose, and at which level of assurance at least."""

    id_token: tuple[str, ...] = ()
    userinfo: tuple[str, ...] = ()
    subject: str | None = None
    essential_acr: tuple[str, ...] = ()

    @property
    def scopes(self) -> list[str]:
        return list(dict.fromkeys(SCOPES[name] for name in (*self.id_token, *self.userinfo)))

    def as_json(self) -> dict[str, list[str]]:
        return {"id_token": list(self.id_token), "userinfo": list(self.userinfo)}


@dataclass(frozen=True, slots=True)
class _Place:
    """One member of the parameter: the claims by name, each with what was said about it."""

    members: dict[str, dict[str, Any]] = field(default_factory=dict)

    def told(self, scopes: Collection[str]) -> tuple[str, ...]:
        return tuple(name for name in self.members if SCOPES.get(name) in scopes)


def parse(text: str, scopes: Collection[str]) -> Requested:
    """Only what these scopes of the client cover: other claims are not told. Raises ValueError."""
    if len(text) > MAX_LENGTH:
        raise ValueError("too long")
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(document, dict):
        raise ValueError("not an object")
    id_token, userinfo = (_place(document.get(name)) for name in ("id_token", "userinfo"))
    return Requested(
        id_token.told(scopes), userinfo.told(scopes), _subject((id_token, userinfo)), _essential_acr(id_token)
    )


def about(user: User, names: Iterable[str]) -> dict[str, Any]:
    """These claims of a person."""
    known = {
        "preferred_username": user.username,
        "updated_at": int(user.updated_at.timestamp()),
        "email": user.email,
        "email_verified": user.email_verified,
    }
    return {name: known[name] for name in names if name in known}


def still_allowed(names: Iterable[str], client: Client | None) -> list[str]:
    """Those claims that were asked for by name which the client may ask for still."""
    held = client.scopes if client else ()
    return [name for name in names if SCOPES.get(name) in held]


def of_scope(scope: Collection[str]) -> list[str]:
    """OpenID Connect Core section 5.4."""
    return [name for name, belongs_to in SCOPES.items() if belongs_to in scope]


def _place(given: Any) -> _Place:
    if given is None:
        return _Place()
    if not isinstance(given, dict) or not all(each is None or isinstance(each, dict) for each in given.values()):
        raise ValueError("not claims")
    return _Place({name: said or {} for name, said in given.items()})


def _subject(places: Iterable[_Place]) -> str | None:
    named = {str(place.members["sub"]["value"]) for place in places if "value" in place.members.get("sub", {})}
    if len(named) > 1:
        raise ValueError("two subjects")
    return next(iter(named), None)


def _essential_acr(place: _Place) -> tuple[str, ...]:
    said = place.members.get("acr", {})
    if said.get("essential") is not True:
        return ()
    values = said.get("values", [said["value"]] if "value" in said else [])
    if not isinstance(values, list):
        raise ValueError("values is not a list")
    return tuple(map(str, values))
