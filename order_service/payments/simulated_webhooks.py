"""The simulator telling of charges that were decided after its answer, at the same door as a real provider."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import requests
from sqlalchemy import select, update

from common.db import Database, utcnow
from common.telemetry import get_logger
from order_service.models import SimulatedCharge
from order_service.payments.signatures import sign
from order_service.payments.simulator import SIGNATURE_HEADER, Simulator

TIMEOUT_SECONDS = 5
BATCH = 50
log = get_logger(__name__)


def deliver(database: Database, order_url: str) -> None:
    """Tell of what has been decided and not told; what is not taken is told again the next time."""
    secret = Simulator(database).webhook_secret
    for charge in _untold(database):
        payload = orjson.dumps({"id": f"evt_{charge.key}", "type": "charge.settled", "reference": charge.reference})
        try:
            answer = requests.post(
                f"{order_url}/api/v1/payments/webhook/simulator",
                data=payload,
                headers={SIGNATURE_HEADER: sign(payload, secret), "Content-Type": "application/json"},
                timeout=TIMEOUT_SECONDS,
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            log.warning("simulated_webhook_not_taken", error=type(error).__name__)
            return
        with database.transaction() as session:
            told = update(SimulatedCharge).where(SimulatedCharge.key == charge.key)
            session.execute(told.values(told_at=utcnow()))


def _untold(database: Database) -> Sequence[SimulatedCharge]:
    due = (SimulatedCharge.settles_at < utcnow(), SimulatedCharge.told_at.is_(None))
    with database.read() as session:
        found = select(SimulatedCharge).where(*due).order_by(SimulatedCharge.settles_at).limit(BATCH)
        return session.scalars(found).all()
