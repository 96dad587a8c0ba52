"""Sends the logout tokens that are due, outside of any transaction.

Clients have their turns side by side, and nobody waits for one that is slow: while a client is being told, or did not
answer lately, its other notices stay where they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import requests

from auth_service.api.authority import Authority
from auth_service.config import AuthConfig
from auth_service.domain import logout_notices
from auth_service.domain.logout_notices import Due
from auth_service.domain.tokens import Issuer
from auth_service.outside import Outside
from common.db import Database
from common.telemetry import get_logger

TIMEOUT_SECONDS = (2.0, 5.0)
TURN_SECONDS = 30.0
REST_SECONDS = 15.0
PATIENCE_SECONDS = 1.0
"""How long the next look at what is due waits for clients that are being told; quick ones are done by then."""
MOST_AT_ONCE = 16
RECEIVED = (200, 204)
log = get_logger(__name__)


class Turns:
    """Which clients are left alone, and until when."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def left_alone(self) -> Collection[str]:
        with self._lock:
            now = time.monotonic()
            self._until = {client: until for client, until in self._until.items() if until > now}
            return list(self._until)

    def under_way(self) -> int:
        with self._lock:
            return sum(until == float("inf") for until in self._until.values())

    def begin(self, client_id: str) -> None:
        with self._lock:
            self._until[client_id] = float("inf")

    def end(self, client_id: str, *, answered: bool) -> None:
        with self._lock:
            self._until[client_id] = 0.0 if answered else time.monotonic() + REST_SECONDS


_turns = Turns()


@dataclass(frozen=True, slots=True)
class Teller:
    """Who signs what clients are told, and where clients may be."""

    issuer: Issuer
    outside: Outside


def send_logouts(database: Database, config: AuthConfig) -> None:
    if _turns.under_way() >= MOST_AT_ONCE:
        return
    with database.transaction() as session:
        due = logout_notices.claim(session, but=_turns.left_alone())
    if due:
        teller, by_client = (
            Teller(Authority.of(config).issuer, Outside(config.client_networks)),
            attrgetter("client_id"),
        )
        _wait([_begin_turn(database, teller, list(each)) for _, each in groupby(sorted(due, key=by_client), by_client)])


def _begin_turn(database: Database, teller: Teller, due: Sequence[Due]) -> threading.Thread:
    """In a daemon: a client that never lets go must not keep the process from ending."""
    _turns.begin(due[0].client_id)
    thread = threading.Thread(target=_tell, args=[database, teller, due], name="logouts", daemon=True)
    thread.start()
    return thread


def _wait(threads: Sequence[threading.Thread]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _tell(database: Database, teller: Teller, due: Sequence[Due]) -> None:
    """One client all that is due to it, until it does not answer or has had its time."""
    answered, until = False, time.monotonic() + TURN_SECONDS
    try:
        for number, each in enumerate(due, 1):
            answered = _send_one(database, teller, each)
            if not answered or time.monotonic() > until:
                with database.transaction() as session:
                    logout_notices.put_back(session, due[number:])
                return
    except Exception:
        log.exception("logouts_failed", client_id=due[0].client_id)
    finally:
        _turns.end(due[0].client_id, answered=answered)


def _send_one(database: Database, teller: Teller, due: Due) -> bool:
    """Whether the client answered, whatever it said."""
    with database.transaction() as session:
        token = teller.issuer.logout_token(session, due.client_id, due.subject, due.session_id)
    status = _send(due, token, teller.outside)
    with database.transaction() as session:
        logout_notices.settle(session, due, received=status in RECEIVED)
    return status is not None


def _send(due: Due, token: str, outside: Outside) -> int | None:
    """OpenID Connect Back-Channel Logout section 2.5. A redirect is not followed: only that address was registered."""
    try:
        with outside.session() as opened:
            answer = opened.post(
                due.uri, data={"logout_token": token}, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
            )
            answer.close()
    except requests.RequestException as error:
        log.warning("logout_not_delivered", client_id=due.client_id, error=type(error).__name__)
        return None
    if answer.status_code not in RECEIVED:
        log.warning("logout_refused", client_id=due.client_id, status=answer.status_code)
    return answer.status_code
