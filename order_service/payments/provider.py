"""What the order service needs of a payment provider."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Charge:
    """The provider's word: money under `reference`, or the `failure` code why not."""

    reference: str | None
    failure: str | None = None


class PaymentProvider(Protocol):
    """Each `key` moves money once: asked again with it, a provider repeats its first answer.

    Raises Unavailable when it cannot be asked; then nothing is known, and the same key is tried again later.
    """

    name: str

    def accepts(self, method: str) -> bool:
        """Whether this is a payment method that it knows how to charge."""

    def charge(self, key: str, amount: Decimal, currency: str, method: str) -> Charge: ...

    def refund(self, key: str, charge_key: str, amount: Decimal) -> None: ...
