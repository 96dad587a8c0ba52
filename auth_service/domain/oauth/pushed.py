"""Pushed authorization requests (RFC 9126): left with us by the client, known to the browser by a reference only."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from auth_service.domain.oauth.requests import Pairs
from auth_service.domain.secrecy import digest
from auth_service.models import PushedRequest
from common.db import utcnow
from common.errors import TooManyRequests

PREFIX = "urn:ietf:params:oauth:request_uri:"
LIFE = timedelta(seconds=90)
LIFE_ONCE_OPENED = timedelta(minutes=30)
"""The person may have to register first. What they come back to is still the same request."""

MOST_OF_CLIENT = 5_000
"""Requests that a client may have left and nothing has come of yet."""
_CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


def keep(session: Session, client_id: str, pairs: Pairs) -> str:
    """The request_uri by which /authorize will find these parameters once. Raises TooManyRequests."""
    held = select(PushedRequest.uri_hash).where(PushedRequest.client_id == client_id).offset(MOST_OF_CLIENT).limit(1)
    if session.execute(held).one_or_none():
        raise TooManyRequests("This client has left too many requests. Try again later.", retry_after=60)
    reference = secrets.token_urlsafe(32)
    session.add(
        PushedRequest(
            uri_hash=digest(reference),
            client_id=client_id,
            parameters=[[name, value] for name, value in pairs if name not in _CREDENTIALS],
            expires_at=utcnow() + LIFE,
        )
    )
    session.flush()
    return PREFIX + reference


def find(session: Session, client_id: str, request_uri: str) -> list[tuple[str, str]] | None:
    """The parameters, if this client has left them here and nothing has come of them yet."""
    kept = session.get(PushedRequest, _hash(request_uri))
    if kept is None or kept.client_id != client_id or kept.expires_at <= utcnow():
        return None
    now = utcnow()
    session.execute(
        update(PushedRequest)
        .where(PushedRequest.uri_hash == kept.uri_hash, PushedRequest.opened_at.is_(None))
        .values(opened_at=now, expires_at=now + LIFE_ONCE_OPENED)
        .execution_options(synchronize_session=False)  # whoever answers it meanwhile removes the row
    )
    return [(name, value) for name, value in kept.parameters]


def use_up(session: Session, request_uri: str) -> bool:
    """Whether it was still there; of several who answer it at once, one does."""
    statement = delete(PushedRequest).where(PushedRequest.uri_hash == _hash(request_uri))
    return session.execute(statement.returning(PushedRequest.uri_hash)).scalar() is not None


def _hash(request_uri: str) -> bytes:
    return digest(request_uri.removeprefix(PREFIX))
