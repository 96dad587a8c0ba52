"""A payment provider for trying things out: it knows Stripe's test tokens and moves no money.

It keeps its own books, in tables that nobody else touches and in transactions of its own, so that whoever
crashes around it finds it as a real provider would be. Some tokens of its own behave like a bad day:
`tok_slow` is answered late, `tok_pending` and `tok_pendingDeclined` are decided after the answer, and the
first answer about `tok_lostAnswer` gets lost after the money was taken.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from secrets import token_hex
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from common.db import Database, utcnow
from common.errors import BadRequest, Unavailable
from order_service.domain.totals import ZERO
from order_service.models import RefundStatus, SimulatedCharge, SimulatedRefund
from order_service.payments import signatures
from order_service.payments.provider import Charge, Entry, Notice, Return

BRANDS = ("visa", "visa_debit", "mastercard", "mastercard_debit", "amex", "discover", "diners", "jcb", "unionpay")
DECLINED = {
    "chargeDeclined": "card_declined",
    "chargeDeclinedInsufficientFunds": "insufficient_funds",
    "chargeDeclinedLostCard": "lost_card",
    "chargeDeclinedStolenCard": "stolen_card",
    "chargeDeclinedExpiredCard": "expired_card",
    "chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "chargeDeclinedProcessingError": "processing_error",
    "chargeDeclinedFraudulent": "fraudulent",
}
SLOW, LOST_ANSWER = "tok_slow", "tok_lostAnswer"
PENDING: dict[str, str | None] = {"tok_pending": None, "tok_pendingDeclined": "card_declined"}
OUTCOMES: dict[str, str | None] = {
    **{f"{prefix}_{brand}": None for prefix in ("tok", "pm_card") for brand in BRANDS},
    **{f"tok_{name}": failure for name, failure in DECLINED.items()},
    **{f"pm_card_visa_{name}": failure for name, failure in DECLINED.items()},
    SLOW: None,
    LOST_ANSWER: None,
    **PENDING,
}
SLOW_SECONDS = 2.0
SETTLES_AFTER = timedelta(seconds=5)
SIGNATURE_HEADER = "Webhook-Signature"


class Simulator:
    name = "simulator"
    keys_last: timedelta | None = None

    def __init__(self, database: Database, *, settles_after: timedelta = SETTLES_AFTER) -> None:
        self._database = database
        self._settles_after = settles_after

    def accepts(self, method: str) -> bool:
        return method in OUTCOMES

    def charge(self, key: str, amount: Decimal, currency: str, method: str) -> Charge:
        if method == SLOW:
            time.sleep(SLOW_SECONDS)
        with self._database.transaction() as session:
            made = insert(SimulatedCharge).values(**self._made(key, amount, currency, method))
            is_new = session.scalar(made.on_conflict_do_nothing().returning(SimulatedCharge.key)) is not None
            known = session.scalars(select(SimulatedCharge).where(SimulatedCharge.key == key)).one()
        if is_new and method == LOST_ANSWER:
            raise Unavailable("The provider's answer was lost.")
        return _charge(known)

    def _made(self, key: str, amount: Decimal, currency: str, method: str) -> dict[str, Any]:
        failure, is_late = OUTCOMES[method], method in PENDING
        reference = None if failure and not is_late else f"sim_{token_hex(12)}"
        settles_at = utcnow() + self._settles_after if is_late else None
        made = {"key": key, "reference": reference, "failure": failure, "settles_at": settles_at}
        return made | {"amount": amount, "refunded": ZERO, "currency": currency}

    def refund(self, key: str, reference: str, amount: Decimal, currency: str) -> Return:
        with self._database.transaction() as session:
            charge = session.scalars(select(SimulatedCharge).where(SimulatedCharge.reference == reference)).one()
            made = insert(SimulatedRefund).values(key=key, charge=charge.key, amount=amount)
            if session.scalar(made.on_conflict_do_nothing().returning(SimulatedRefund.key)):
                session.execute(
                    update(SimulatedCharge)
                    .where(SimulatedCharge.key == charge.key)
                    .values(refunded=SimulatedCharge.refunded + amount)
                )
        return Return(f"re_{key}", RefundStatus.SUCCEEDED)

    def look_up(self, reference: str) -> Entry | None:
        with self._database.read() as session:
            known = session.scalar(select(SimulatedCharge).where(SimulatedCharge.reference == reference))
        return _entry(known) if known else None

    def find(self, key: str, since: datetime) -> Entry | None:
        with self._database.read() as session:
            known = session.get(SimulatedCharge, key)
        return _entry(known) if known else None

    def entries(self, since: datetime) -> Iterator[Entry]:
        made = select(SimulatedCharge).where(SimulatedCharge.created_at >= since).order_by(SimulatedCharge.created_at)
        with self._database.transaction() as session:  # which a cursor on the server needs
            yield from map(_entry, session.scalars(made.execution_options(yield_per=500)))

    def read_notice(self, payload: bytes, headers: Mapping[str, str]) -> Notice:
        signatures.verify(payload, headers.get(SIGNATURE_HEADER), self.webhook_secret)
        try:
            told = orjson.loads(payload)
            return Notice(str(told["id"]), str(told["reference"]))
        except (ValueError, KeyError, TypeError):
            raise BadRequest("This is not a webhook of the simulator.") from None

    @property
    def webhook_secret(self) -> bytes:
        """Known to this service's processes alone, and of no use for anything else."""
        own = self._database.config.service_client_secret.encode()
        return hmac.new(own, b"simulated webhooks", hashlib.sha256).digest()


def _charge(known: SimulatedCharge) -> Charge:
    if known.settles_at and known.settles_at > utcnow():
        return Charge(known.reference, is_pending=True)
    return Charge(known.reference, known.failure)


def _entry(known: SimulatedCharge) -> Entry:
    charge = _charge(known)
    captured = known.amount if charge.is_captured else ZERO
    return Entry(known.key, charge, captured, known.refunded, known.currency)
