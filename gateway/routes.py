"""The table: which service answers under which path, and where a token is needed. The longest prefix wins.

What is not in this table does not exist from outside: `/internal`, `/metrics` and the services' own probes above all.
The gateway asks for a token only where every caller needs one; scopes and ownership are the services' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

READS = frozenset({"GET", "HEAD"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
NOBODY: frozenset[str] = frozenset()


class Access(Enum):
    """What is done with the Authorization header before a request is forwarded."""

    PUBLIC = "a token is not needed; one that is sent is verified"
    PROTECTED = "a good token is needed"
    WRITES_PROTECTED = "a good token is needed to change something"
    FOREIGN = "the header is for the service to judge: it may be an OAuth client's, or out of date and not needed"

    def needs_token(self, method: str) -> bool:
        return method in _PROTECTED_METHODS[self]


_PROTECTED_METHODS = {
    Access.PUBLIC: NOBODY,
    Access.PROTECTED: READS | WRITES,
    Access.WRITES_PROTECTED: WRITES,
    Access.FOREIGN: NOBODY,
}


class Limit(Enum):
    """The classes in which requests are counted; RATE_LIMITS changes what is usual, for a person or an address."""

    SIGN_IN = "sign-in"
    READS = "reads"
    SEARCH = "search"
    WRITES = "writes"
    UPLOADS = "uploads"
    STREAMS = "streams"
    WEBHOOKS = "webhooks"

    @property
    def usual(self) -> str:
        return _USUAL[self]


_USUAL = {
    Limit.SIGN_IN: "300/minute",
    Limit.READS: "3000/minute",
    Limit.SEARCH: "900/minute",
    Limit.WRITES: "900/minute",
    Limit.UPLOADS: "300/minute",
    Limit.STREAMS: "120/minute",
    Limit.WEBHOOKS: "6000/minute",
}


class Takes(Enum):
    """How large the bodies of a route may be; the sizes are settings."""

    JSON = "documents"
    FILE = "one file"
    FILES = "several files, or a large one"


@dataclass(frozen=True, slots=True)
class Route:
    """Everything at and under `prefix`; a segment `*` stands for exactly one segment.

    `upgrades`: a WebSocket may be asked for. `answers_origins`: the service says which origins' pages may read it.
    `reads` and `writes` are how its requests are counted.
    """

    prefix: str
    service: str
    access: Access
    takes: Takes = Takes.JSON
    upgrades: bool = False
    answers_origins: bool = False
    reads: Limit = Limit.READS
    writes: Limit = Limit.WRITES

    @property
    def takes_session(self) -> bool:
        """Whether a browser's session counts here: in the API, and never where credentials are for others to judge."""
        return self.access is not Access.FOREIGN and self.prefix.startswith(("/api/", "/socket.io"))

    def limit(self, method: str) -> Limit:
        """How a request of this method is counted."""
        return self.writes if method in WRITES else self.reads


ROUTES = (
    Route("/.well-known/openid-configuration", "auth", Access.PUBLIC, answers_origins=True),
    Route("/.well-known/oauth-authorization-server", "auth", Access.PUBLIC, answers_origins=True),
    Route("/.well-known/oauth-protected-resource", "auth", Access.PUBLIC, answers_origins=True),
    Route("/.well-known/jwks.json", "auth", Access.PUBLIC, answers_origins=True),
    Route("/authorize", "auth", Access.PUBLIC),
    Route("/token", "auth", Access.FOREIGN, answers_origins=True),
    Route("/par", "auth", Access.FOREIGN),
    Route("/device_authorization", "auth", Access.FOREIGN, writes=Limit.SIGN_IN),
    Route("/revoke", "auth", Access.FOREIGN, answers_origins=True),
    Route("/introspect", "auth", Access.FOREIGN),
    Route("/userinfo", "auth", Access.FOREIGN, answers_origins=True),
    Route("/logout", "auth", Access.PUBLIC),
    Route("/account", "auth", Access.PUBLIC, writes=Limit.SIGN_IN),
    Route("/api/v1/auth", "auth", Access.PUBLIC),
    Route("/api/v1/auth/register", "auth", Access.FOREIGN, writes=Limit.SIGN_IN),
    Route("/api/v1/auth/login", "auth", Access.FOREIGN, writes=Limit.SIGN_IN),
    Route("/api/v1/auth/refresh", "auth", Access.FOREIGN),
    Route("/api/v1/auth/password-reset", "auth", Access.FOREIGN, writes=Limit.SIGN_IN),
    Route("/api/v1/auth/verify-email", "auth", Access.FOREIGN, writes=Limit.SIGN_IN),
    Route("/api/v1/users", "auth", Access.PROTECTED),
    Route("/api/v1/admin/users", "auth", Access.PROTECTED),
    Route("/api/v1/admin/clients", "auth", Access.PROTECTED),
    Route("/api/v1/admin/audit", "auth", Access.PROTECTED),
    Route("/api/v1/books", "catalog", Access.WRITES_PROTECTED, reads=Limit.SEARCH),
    Route("/api/v1/books/suggest", "catalog", Access.WRITES_PROTECTED, reads=Limit.SEARCH),
    Route("/api/v1/books/*", "catalog", Access.WRITES_PROTECTED),
    Route("/api/v1/books/inactive", "catalog", Access.PROTECTED),
    Route("/api/v1/books/*/stock", "catalog", Access.PROTECTED),
    Route("/api/v1/books/*/images", "catalog", Access.WRITES_PROTECTED, takes=Takes.FILES, writes=Limit.UPLOADS),
    Route("/api/v1/authors", "catalog", Access.WRITES_PROTECTED),
    Route("/api/v1/genres", "catalog", Access.WRITES_PROTECTED),
    Route("/api/v1/images", "catalog", Access.WRITES_PROTECTED),
    Route("/api/v1/suggestions", "catalog", Access.PROTECTED),
    Route("/api/v1/uploads", "catalog", Access.PROTECTED, takes=Takes.FILE, writes=Limit.UPLOADS),
    Route("/api/v1/admin/imports", "catalog", Access.PROTECTED, takes=Takes.FILES, writes=Limit.UPLOADS),
    Route("/api/v1/admin/exports", "catalog", Access.PROTECTED),
    Route("/api/v1/admin/inventory", "catalog", Access.PROTECTED, takes=Takes.FILE),
    Route("/api/v1/admin/suggestions", "catalog", Access.PROTECTED),
    Route("/api/v1/books/*/reviews", "review", Access.WRITES_PROTECTED),
    Route("/api/v1/reviews", "review", Access.WRITES_PROTECTED),
    Route("/api/v1/admin/reviews", "review", Access.PROTECTED),
    Route("/api/v1/cart", "order", Access.PUBLIC),
    Route("/api/v1/orders", "order", Access.PROTECTED),
    Route("/api/v1/orders/events", "order-stream", Access.PROTECTED, reads=Limit.STREAMS),
    Route("/socket.io", "order-stream", Access.PUBLIC, upgrades=True, reads=Limit.STREAMS),
    Route("/api/v1/payments", "order", Access.FOREIGN, writes=Limit.WEBHOOKS),
    Route("/api/v1/wishlist", "order", Access.PROTECTED),
    Route("/api/v1/prebooks", "order", Access.PROTECTED),
    Route("/api/v1/addresses", "order", Access.PROTECTED),
    Route("/api/v1/admin/orders", "order", Access.PROTECTED),
    Route("/api/v1/admin/analytics", "order", Access.PROTECTED),
    Route("/api/v1/admin/promotions", "order", Access.PROTECTED),
    Route("/api/v1/admin/shipping-methods", "order", Access.PROTECTED),
    Route("/api/v1/admin/tax-rates", "order", Access.PROTECTED),
)

LOCAL_LIMITS = {
    "/bff/login": Limit.SIGN_IN,
    "/bff/callback": Limit.SIGN_IN,
    "/bff/session": Limit.READS,
    "/bff/logout": Limit.WRITES,
}
"""How the gateway's own paths are counted; others of them cost next to nothing."""

DESCRIBED_BY = {"order-stream": "order"}
"""Whose document describes what a process without a document of its own answers."""


class _Node:
    __slots__ = ("children", "route")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.route: Route | None = None


class RouteTable:
    """Finds the longest prefix, segment by segment; a literal segment goes before `*`."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in route.prefix.split("/")[1:]:
                node = node.children.setdefault(segment, _Node())
            node.route = route

    def find(self, path: str) -> Route | None:
        """The route of a decoded path that begins with `/`."""
        return _longest(self._root, path.split("/")[1:])


def _longest(node: _Node, segments: list[str]) -> Route | None:
    """Literal and `*` are both followed: /books/inactive and /books/*/reviews may share a beginning."""
    if segments:
        for name in (segments[0], "*"):
            child = node.children.get(name)
            found = child and _longest(child, segments[1:])
            if found:
                return found
    return node.route
