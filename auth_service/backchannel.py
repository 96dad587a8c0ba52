"""Sends the logout tokens that are due, outside of any transaction."""

from __future__ import annotations

import requests

from auth_service.api.authority import Authority
from auth_service.config import AuthConfig
from auth_service.domain import logout_notices
from auth_service.domain.logout_notices import Due
from common.db import Database
from common.telemetry import get_logger

TIMEOUT_SECONDS = (2.0, 5.0)
RECEIVED = (200, 204)
log = get_logger(__name__)


def send_logouts(database: Database, config: AuthConfig) -> None:
    with database.transaction() as session:
        due = logout_notices.claim(session)
    issuer = Authority.of(config).issuer if due else None
    for each in due:
        assert issuer is not None
        with database.transaction() as session:
            token = issuer.logout_token(session, each.client_id, each.subject, each.session_id)
        received = _send(each, token)
        with database.transaction() as session:
            logout_notices.settle(session, each, received=received)


def _send(due: Due, token: str) -> bool:
    """OpenID Connect Back-Channel Logout section 2.5. A redirect is not followed: only that address was registered."""
    try:
        answer = requests.post(
            due.uri, data={"logout_token": token}, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        )
        answer.close()
    except requests.RequestException as error:
        log.warning("logout_not_delivered", client_id=due.client_id, error=type(error).__name__)
        return False
    if answer.status_code not in RECEIVED:
        log.warning("logout_refused", client_id=due.client_id, status=answer.status_code)
    return answer.status_code in RECEIVED
