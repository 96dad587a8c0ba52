"""Stripe, by its own package: one PaymentIntent for each attempt, confirmed as it is made.

Our key is both Stripe's idempotency key, which is forgotten after a day, and the intent's metadata, which stays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import stripe

from common.errors import BadRequest, Unavailable
from common.telemetry import get_logger
from order_service.domain.totals import ZERO
from order_service.doubt import Doubt
from order_service.models import RefundStatus
from order_service.payments.provider import BadSignature, Charge, Entry, Notice, Return

METADATA = "bookstore_payment"
REFUND_METADATA = "bookstore_refund"
SIGNATURE_HEADER = "Stripe-Signature"
TOLERANCE_SECONDS = 300
TRIES = 2
SULK_SECONDS = 5.0
CLOCK_SKEW = timedelta(minutes=5)
CONFIRMED_WITHIN = timedelta(minutes=5)
PAGE = 100
GENERIC = "generic_decline"
"""Stripe's word for a bank that gave no reason: then the code says more."""
# https://docs.stripe.com/currencies: amounts are sent in the smallest unit, which is not always a hundredth.
WHOLE_UNITS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
THOUSANDTHS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
_METHOD = re.compile(r"(tok|pm)_[A-Za-z0-9_]{1,90}", re.ASCII)
_REFUNDS = {"succeeded": RefundStatus.SUCCEEDED, "failed": RefundStatus.FAILED, "canceled": RefundStatus.FAILED}
log = get_logger(__name__)


class Stripe:
    name = "stripe"
    keys_last: timedelta | None = timedelta(hours=20)

    def __init__(self, api_key: str, webhook_secret: str, *, api_url: str, timeout: float) -> None:
        """`timeout` is in seconds, for each of the tries."""
        self._webhook_secret = webhook_secret
        self._timeout = timeout
        self._doubt = Doubt(SULK_SECONDS)
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_url},
            max_network_retries=TRIES - 1,
            http_client=stripe.RequestsClient(timeout=timeout),
        )
        self._intents, self._refunds = client.v1.payment_intents, client.v1.refunds

    def accepts(self, method: str) -> bool:
        return _METHOD.fullmatch(method) is not None

    def charge(self, key: str, amount: Decimal, currency: str, method: str) -> Charge:
        if amount != _money(_smallest(amount, currency), currency):
            return Charge(None, "invalid_amount")
        wanted: Any = {
            "amount": _smallest(amount, currency),
            "currency": currency.lower(),
            "confirm": True,
            "error_on_requires_action": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {METADATA: key},
            **_paid_with(method),
        }
        try:
            with self._reachable():
                return _charge(self._intents.create(wanted, {"idempotency_key": key}))
        except stripe.CardError as error:
            return _declined(error)
        except stripe.InvalidRequestError as error:
            return Charge(None, error.code or "invalid_request")

    def refund(self, key: str, reference: str, amount: Decimal, currency: str) -> Return:
        try:
            with self._reachable():
                made = self._refund_made(key, reference) or self._refunds.create(
                    {
                        "payment_intent": reference,
                        "amount": _smallest(amount, currency),
                        "metadata": {REFUND_METADATA: key},
                    },
                    {"idempotency_key": key},
                )
        except stripe.InvalidRequestError as error:
            log.error("refund_refused", code=error.code)
            return Return(None, RefundStatus.FAILED)
        return Return(made.id, _REFUNDS.get(made.status or "", RefundStatus.PENDING))

    def _refund_made(self, key: str, reference: str) -> stripe.Refund | None:
        """Asked first each time: the idempotency key alone would let a late repetition refund a second part."""
        made = self._refunds.list({"payment_intent": reference, "limit": PAGE}).auto_paging_iter()
        return next((each for each in made if _metadata(each, REFUND_METADATA) == key), None)

    def look_up(self, reference: str) -> Entry | None:
        try:
            with self._reachable():
                intent = self._intents.retrieve(reference, {"expand": ["latest_charge"]})
        except stripe.InvalidRequestError:
            return None
        return _entry(intent)

    def find(self, key: str, since: datetime) -> Entry | None:
        return next((entry for entry in self.entries(since) if entry.key == key), None)

    def entries(self, since: datetime) -> Iterator[Entry]:
        created = {"gte": int((since - CLOCK_SKEW).timestamp())}
        wanted: Any = {"created": created, "limit": PAGE, "expand": ["data.latest_charge"]}
        with self._reachable():
            page = self._intents.list(wanted)
            for intent in page.auto_paging_iter():
                if entry := _entry(intent):
                    yield entry

    def read_notice(self, payload: bytes, headers: Mapping[str, str]) -> Notice:
        try:
            stripe.WebhookSignature.verify_header(
                payload, headers.get(SIGNATURE_HEADER), self._webhook_secret, TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError):  # TypeError: beyond ASCII
            raise BadSignature("The signature is missing, wrong or too old.") from None
        try:
            event = orjson.loads(payload)
            about = event["data"]["object"]
            is_intent = about["object"] == "payment_intent"
            return Notice(str(event["id"]), about["id"] if is_intent else about.get("payment_intent"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadRequest("This is not an event of Stripe.") from None

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        """Raises Unavailable when Stripe cannot be asked, and at once where it has lately kept others waiting."""
        if not self._doubt.may_wait():
            raise Unavailable("The payment provider does not answer.")
        since, in_vain = time.monotonic(), False
        try:
            with _reached():
                yield
        except Unavailable:
            in_vain = time.monotonic() - since >= TRIES * self._timeout
            raise
        finally:
            self._doubt.tell(in_vain=in_vain)
            self._doubt.done()


@contextmanager
def _reached() -> Iterator[None]:
    """Stripe's word about a request passes; that it could not be asked, or is not sure, becomes Unavailable."""
    try:
        yield
    except stripe.CardError:
        raise
    except stripe.InvalidRequestError as error:
        if error.http_status == 409:  # the same key is being worked on this moment
            raise Unavailable("The payment provider is busy with this.") from error
        raise
    except stripe.StripeError as error:
        log.warning("stripe_unavailable", error=type(error).__name__, status=error.http_status)
        raise Unavailable("The payment provider cannot be reached.") from error


def _paid_with(method: str) -> dict[str, Any]:
    if method.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": method}}}
    return {"payment_method": method}


def _charge(intent: stripe.PaymentIntent) -> Charge:
    if intent.status == "succeeded":
        return Charge(intent.id)
    error = intent.last_payment_error
    if intent.status == "processing" or (error is None and _is_being_confirmed(intent)):
        return Charge(intent.id, is_pending=True)
    reason = _reason(getattr(error, "decline_code", None), getattr(error, "code", None))
    return Charge(intent.id, reason if error else intent.status)


def _is_being_confirmed(intent: stripe.PaymentIntent) -> bool:
    """Made, and the bank not asked yet: `payment_intent.created` may be here before the charge's answer."""
    return intent.status != "canceled" and time.time() - intent.created < CONFIRMED_WITHIN.total_seconds()


def _reason(decline_code: str | None, code: str | None) -> str:
    return (decline_code if decline_code != GENERIC else None) or code or "card_declined"


def _declined(error: stripe.CardError) -> Charge:
    """A declined charge leaves an intent behind."""
    answer: Any = error.json_body or {}
    body = answer.get("error") or {}
    return Charge((body.get("payment_intent") or {}).get("id"), _reason(body.get("decline_code"), error.code))


def _entry(intent: stripe.PaymentIntent) -> Entry | None:
    key = _metadata(intent, METADATA)
    if key is None:
        return None  # the account is used by others as well
    currency = intent.currency.upper()
    latest: Any = intent.latest_charge
    refunded = _money(latest.amount_refunded, currency) if latest else ZERO
    return Entry(key, _charge(intent), _money(intent.amount_received or 0, currency), refunded, currency)


def _metadata(made: stripe.PaymentIntent | stripe.Refund, name: str) -> str | None:
    return made.metadata[name] if made.metadata and name in made.metadata else None


def _exponent(currency: str) -> int:
    return 0 if currency in WHOLE_UNITS else 3 if currency in THOUSANDTHS else 2


def _smallest(amount: Decimal, currency: str) -> int:
    return int(amount.scaleb(_exponent(currency)))


def _money(units: int, currency: str) -> Decimal:
    return Decimal(units).scaleb(-_exponent(currency)).quantize(Decimal("0.01"))
