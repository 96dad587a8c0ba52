"""Tokens that are refused before they expire: a list kept in memory, never older than a second.

Who verifies a token asks this list. In the auth service it is read from the database, at most twice a second and only
while there are requests; everywhere else a thread asks auth, whose answer waits until there is something new. When auth
cannot be asked nobody waits, and tokens are taken for good: nobody can revoke any then either.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from common.client import ServiceClient
from common.config import Config
from common.metrics import REVOCATIONS_UP
from common.telemetry import get_logger
from common.upkeep import Following, Upkeep

LONGEST_TOKEN_SECONDS = 3665
"""The longest life of an access token that the auth service can be set to, and some leeway for clocks."""

REFRESH_SECONDS = 0.4
STALE_SECONDS = 0.8
CAPACITY = 200_000
CLAIMS = {"session": "sid", "family": "fid", "subject": "sub", "client": "client_id", "token": "jti"}
"""The claim that a revocation of each kind is about."""
EXCHANGED_FROM = "exchanged_from"
"""Of a token that was got by exchange: the `jti` of the token it was got for, and of those that one was got for."""
EXCHANGED_CLIENTS = "exchanged_clients"
"""Of such a token: whose tokens those were."""

_MAY_COME_BACK = frozenset({"subject", "client"})

PAUSE_SECONDS = 0.25
NEWS_WITHIN_SECONDS = 50
"""How long an answer of auth's may wait for something to tell. Not longer: auth could be gone without a word."""

Feed = Callable[[int, int], dict[str, Any]]
"""Gives `{"items": [{"kind", "id", "at"}], "next", "again"}` for these two of the answer before; zeros ask for all."""

log = get_logger(__name__)


class Revocations:
    def __init__(
        self,
        feed: Feed,
        *,
        waits: bool = False,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`waits`: the feed comes back when there is something new, and not before."""
        self._feed = feed
        self._capacity = capacity
        self._revoked: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._place = 0, 0
        self._upkeep: Upkeep | Following = (
            Following("revocations", self._renew, pause=PAUSE_SECONDS)
            if waits
            else Upkeep(
                "revocations",
                self._renew,
                fresh=REFRESH_SECONDS,
                good=STALE_SECONDS,
                pause=REFRESH_SECONDS,
                clock=clock,
            )
        )

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to hear of news failed: what was revoked since then is taken for good."""
        return self._upkeep.is_failing

    def refuse(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token of these claims was revoked."""
        self._upkeep.keep_up()
        return any(self._is_revoked(kind, value, claims) for kind, value in named(claims))

    def _is_revoked(self, kind: str, value: str, claims: Mapping[str, Any]) -> bool:
        at = self._revoked.get((kind, value))
        return at is not None and is_refused(kind, at, claims)

    def _renew(self) -> None:
        self._take_over(self._feed(*self._place))

    def _take_over(self, answer: dict[str, Any]) -> None:
        """Only the renewing thread writes. Memory is bounded: at the limit the oldest are forgotten."""
        for item in answer["items"]:
            revoked = item["kind"], item["id"]
            self._revoked[revoked] = max(item["at"], self._revoked.get(revoked, item["at"]))
            self._revoked.move_to_end(revoked)
        self._place = answer["next"], answer.get("again", 0)
        expired = time.time() - LONGEST_TOKEN_SECONDS
        while self._revoked:
            oldest = next(iter(self._revoked))
            if len(self._revoked) > self._capacity:
                log.error("too_many_revocations", capacity=self._capacity)
            elif self._revoked[oldest] > expired:
                break
            del self._revoked[oldest]


def named(claims: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kind and identifier of all whose end is the end of a token with these claims."""
    ends = [(kind, str(claims[claim])) for kind, claim in CLAIMS.items() if claim in claims]
    ends += [("client", str(each)) for each in claims.get(EXCHANGED_CLIENTS, ())]
    return ends + [("token", str(each)) for each in claims.get(EXCHANGED_FROM, ())]


def is_refused(kind: str, at: float, claims: Mapping[str, Any]) -> bool:
    """Whether what was revoked at this time takes a token with it that names it."""
    return kind not in _MAY_COME_BACK or issued_at(claims) <= at


def issued_at(claims: Mapping[str, Any]) -> float:
    """Unix time. The identifiers of our tokens are UUIDv7 and so have the milliseconds that `iat` lacks."""
    with suppress(ValueError):
        made = UUID(str(claims.get("jti")))
        if made.version == 7:
            return (made.int >> 80) / 1000
    return float(claims["iat"])


class AuthFeed:
    """As the auth service tells them, asked with this process's own client.

    The first answer, and the first one after a failure, comes at once: somebody waits for it. One without `again` is of
    an auth service of the version before, which does not know how to wait.
    """

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._may_wait = False

    def __call__(self, after: int, again: int) -> dict[str, Any]:
        asked, patience = {"after": after}, 0
        if self._may_wait:
            patience = NEWS_WITHIN_SECONDS
            asked |= {"again": again, "wait": patience}
        self._may_wait = False
        answer = self._client.get("/internal/revocations", asked, patience=patience)
        self._may_wait = "again" in answer
        return answer


def asked_of_auth(config: Config) -> Revocations:
    made = Revocations(AuthFeed(ServiceClient(config, config.auth_url, scope="replicas:read")), waits=True)
    REVOCATIONS_UP.set_function(lambda: 0 if made.is_failing else 1)
    return made
