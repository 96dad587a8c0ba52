"""What this service holds about a person, for the auth service's export; the gateway never routes here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint

from catalog_service.domain import people
from common.api import returns
from common.auth import requires
from common.db import session

api = Blueprint("people", __name__, url_prefix="/internal/users")


@api.get("/<uuid:id>/data")
@requires("replicas:read")
@returns(dict)
def data(id: UUID) -> dict[str, Any]:
    """All of it; empty lists for somebody who is not known here."""
    return people.data(session, id)
