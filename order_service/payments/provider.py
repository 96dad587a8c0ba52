"""What the order service needs of a payment provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from common.errors import BadRequest
from order_service.models import RefundStatus


class BadSignature(BadRequest):
    code = "bad_signature"


@dataclass(frozen=True, slots=True)
class Charge:
    """The provider's word: money under `reference`, or the `failure` code why not, or that it does not know yet."""

    reference: str | None
    failure: str | None = None
    is_pending: bool = False

    @property
    def is_captured(self) -> bool:
        return self.failure is None and not self.is_pending


@dataclass(frozen=True, slots=True)
class Return:
    """What became of a refund at the provider."""

    reference: str | None
    status: RefundStatus


@dataclass(frozen=True, slots=True)
class Entry:
    """A charge as it stands in the provider's books; `key` is ours, `captured` and `refunded` are money."""

    key: str
    charge: Charge
    captured: Decimal
    refunded: Decimal
    currency: str

    @property
    def kept(self) -> Decimal:
        return self.captured - self.refunded


@dataclass(frozen=True, slots=True)
class Notice:
    """A webhook: that something happened to the charge `reference`. What, only a look-up tells."""

    event_id: str
    reference: str | None


class PaymentProvider(Protocol):
    """Each `key` moves money once: asked again with it, a provider repeats its first answer, for as long as `keys_last`
    (None is for ever).

    Raises Unavailable when it cannot be asked; then nothing is known, and the same key is tried again later.
    """

    name: str
    keys_last: timedelta | None

    def accepts(self, method: str) -> bool:
        """Whether this is a payment method that it knows how to charge."""

    def charge(self, key: str, amount: Decimal, currency: str, method: str) -> Charge: ...

    def refund(self, key: str, reference: str, amount: Decimal, currency: str) -> Return: ...

    def look_up(self, reference: str) -> Entry | None:
        """The truth about a charge; None when it is not there, or not of this store."""

    def find(self, key: str, since: datetime) -> Entry | None:
        """The charge made under a key, if one was made since then."""

    def entries(self, since: datetime) -> Iterator[Entry]:
        """All of this store's charges since then."""

    def read_notice(self, payload: bytes, headers: Mapping[str, str]) -> Notice:
        """A webhook that is really the provider's, and of today. Raises BadSignature or BadRequest."""
