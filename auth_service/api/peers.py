"""What the other services hold about a person, asked by the auth service."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from auth_service.config import AuthConfig
from auth_service.domain.tokens import Issuer
from auth_service.models import Client
from common.client import RENEW_BEFORE_SECONDS, ServiceClient
from common.db import Database
from common.errors import Unavailable

SCOPE = "replicas:read"


class _OwnClient(ServiceClient):
    """Makes its token itself: a service that waits for its own answer may wait for a thread that never comes."""

    def __init__(self, config: AuthConfig, base_url: str, issuer: Issuer, database: Callable[[], Database]) -> None:
        super().__init__(config, base_url, scope=SCOPE)
        self._issuer = issuer
        self._database = database

    def _fetch_token(self) -> tuple[str, float]:
        with self._database().aside() as session:
            client = session.get(Client, self._config.service_client_id)
            if client is None:
                raise Unavailable("This service is not registered as a client.")
            answer = self._issuer.for_client(session, client, SCOPE)
        return answer["access_token"], time.monotonic() + answer["expires_in"] - RENEW_BEFORE_SECONDS


class Peers:
    def __init__(self, config: AuthConfig, issuer: Issuer, database: Callable[[], Database]) -> None:
        urls = {"catalog": config.catalog_url, "orders": config.order_url, "reviews": config.review_url}
        self._clients = {name: _OwnClient(config, url, issuer, database) for name, url in urls.items()}

    def data_of(self, user_id: UUID) -> dict[str, Any]:
        """By service. Raises Unavailable when one of them does not answer: half of it would look like all."""
        return {name: client.get(f"/internal/users/{user_id}/data") for name, client in self._clients.items()}
