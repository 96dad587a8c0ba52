"""A payment provider for trying things out: it knows Stripe's test tokens and moves no money.

It keeps its own books, in tables that nobody else touches and in transactions of its own, so that whoever
crashes around it finds it as a real provider would be.
"""

from __future__ import annotations

from decimal import Decimal
from secrets import token_hex

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from common.db import Database
from order_service.domain.totals import ZERO
from order_service.models import SimulatedCharge, SimulatedRefund
from order_service.payments.provider import Charge

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
OUTCOMES: dict[str, str | None] = {
    **{f"{prefix}_{brand}": None for prefix in ("tok", "pm_card") for brand in BRANDS},
    **{f"tok_{name}": failure for name, failure in DECLINED.items()},
    **{f"pm_card_visa_{name}": failure for name, failure in DECLINED.items()},
}


class Simulator:
    name = "simulator"

    def __init__(self, database: Database) -> None:
        self._database = database

    def accepts(self, method: str) -> bool:
        return method in OUTCOMES

    def charge(self, key: str, amount: Decimal, currency: str, method: str) -> Charge:
        failure = OUTCOMES[method]
        reference = None if failure else f"sim_{token_hex(12)}"
        made = {"key": key, "reference": reference, "failure": failure, "amount": amount, "refunded": ZERO}
        with self._database.transaction() as session:
            session.execute(insert(SimulatedCharge).values(**made, currency=currency).on_conflict_do_nothing())
            known = session.scalars(select(SimulatedCharge).where(SimulatedCharge.key == key)).one()
            return Charge(known.reference, known.failure)

    def refund(self, key: str, charge_key: str, amount: Decimal) -> None:
        made = {"key": key, "charge": charge_key, "amount": amount}
        with self._database.transaction() as session:
            fresh = session.scalar(
                insert(SimulatedRefund).values(**made).on_conflict_do_nothing().returning(SimulatedRefund.key)
            )
            if fresh:
                session.execute(
                    update(SimulatedCharge)
                    .where(SimulatedCharge.key == charge_key)
                    .values(refunded=SimulatedCharge.refunded + amount)
                )
