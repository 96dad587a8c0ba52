"""Stripe, by a stand-in that speaks its HTTP: what it does slowly, twice, late, or does and does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from common.config import ConfigError
from common.db import Database
from common.errors import Unavailable
from common.ids import new_id
from order_service.config import OrderConfig
from order_service.payments import open_provider
from order_service.payments.provider import PaymentProvider
from order_service.timers import finish_payments
from tests.order.shop import Shop
from tests.support.database import environment
from tests.support.stripe_stand_in import API_KEY, LATE, WEBHOOK_SECRET, StripeStandIn, stripe_stand_in

CENTS = 1299


@pytest.fixture(scope="module")
def standing() -> Iterator[StripeStandIn]:
    with stripe_stand_in() as made:
        yield made


@pytest.fixture
def there(standing: StripeStandIn) -> StripeStandIn:
    """Stripe, with nothing on its books."""
    for books in (standing.intents, standing.refunds, standing.faults):
        books.clear()
    standing.forget_keys()
    standing.refund_status = "succeeded"
    return standing


@pytest.fixture
def with_stripe(config: OrderConfig, there: StripeStandIn) -> OrderConfig:
    secrets = {"stripe_api_key": API_KEY, "stripe_webhook_secret": WEBHOOK_SECRET}
    return replace(config, payment_provider="stripe", stripe_api_url=there.url, stripe_timeout=0.5, **secrets)


@pytest.fixture
def provider(with_stripe: OrderConfig, database: Database, shop: Shop) -> PaymentProvider:
    made = open_provider(with_stripe, database)
    shop.client.application.extensions["payment_provider"] = made
    return made


@pytest.fixture
def order_id(shop: Shop, provider: PaymentProvider, book: UUID) -> str:
    return shop.confirmed(book)


def told(shop: Shop, body: bytes, headers: dict[str, str]) -> Any:
    return shop.client.application.test_client().post("/api/v1/payments/webhook/stripe", data=body, headers=headers)


def change(database: Database, statement: str) -> None:
    with database.transaction() as session:
        session.execute(text(statement))


def finish(database: Database, config: OrderConfig, hours: int = 1) -> None:
    """What the worker's timer does about whatever has been open for so long."""
    for table in ("payments", "refunds"):
        change(database, f"UPDATE {table} SET created_at = created_at - interval '{hours} hours', asked_at = NULL")
    finish_payments(database, config)


def only(books: dict[str, Any]) -> Any:
    (found,) = books.values()
    return found


def test_a_charge_and_a_refund_in_parts(shop: Shop, there: StripeStandIn, order_id: str) -> None:
    paid = shop.pay(order_id, "pm_card_visa").json
    assert (paid["status"], paid["payment"]["provider"], paid["payment"]["reference"]) == ("PAID", "stripe", "pi_0000")
    path = f"/admin/orders/{order_id}/refund"
    assert shop.post(path, {"amount": "5.00"}, staff=True).json["payment"]["refunded"] == "5.00"
    assert shop.post(path, {"amount": "8.00"}, staff=True).json["code"] == "refund_too_large"
    assert shop.post(path, staff=True).json["status"] == "REFUNDED"
    assert (there.captured, there.refunded) == (CENTS, CENTS)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("tok_chargeDeclined", "card_declined"),
        ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("tok_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_nobody_knows", "resource_missing"),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_may_be_tried_again(
    shop: Shop, order_id: str, method: str, reason: str
) -> None:
    answer = shop.pay(order_id, method)
    assert (answer.status_code, answer.json["code"], answer.json["reason"]) == (402, "payment_declined", reason)
    assert shop.pay(order_id).json["status"] == "PAID"


def test_what_is_no_payment_method_is_not_sent_to_stripe(shop: Shop, there: StripeStandIn, order_id: str) -> None:
    assert shop.pay(order_id, "4242 4242 4242 4242").status_code == 422
    assert not there.intents


@pytest.mark.parametrize("fault", ["lose", "drop", "error", "slow"])
def test_one_fault_goes_by_unnoticed(shop: Shop, there: StripeStandIn, order_id: str, fault: str) -> None:
    there.faults.append(fault)
    assert shop.pay(order_id).json["status"] == "PAID"
    assert there.captured == CENTS


@pytest.mark.parametrize("fault", ["lose", "drop", "error", "slow"])
def test_a_longer_outage_is_503_and_charges_once_when_it_is_over(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str, fault: str
) -> None:
    there.faults += [fault, fault]
    answer = shop.pay(order_id)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert shop.status(order_id) == "CONFIRMED"
    finish(database, with_stripe)
    assert (shop.status(order_id), there.captured) == ("PAID", CENTS)


def test_while_stripe_keeps_everybody_waiting_nobody_waits_in_line(
    shop: Shop, there: StripeStandIn, provider: Any, order_id: str, book: UUID
) -> None:
    there.faults += ["slow", "slow"]
    assert shop.pay(order_id).status_code == 503
    other = shop.confirmed(book)
    assert shop.pay(other).status_code == 503
    assert len(there.intents) == 1, "it was not asked"
    provider._doubt._no_waiting_until = 0.0  # some seconds go by
    assert shop.pay(shop.confirmed(book)).json["status"] == "PAID"


def test_a_key_that_stripe_has_forgotten_charges_no_second_time(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    there.faults += ["lose", "lose"]
    shop.pay(order_id)
    there.forget_keys()
    finish(database, with_stripe, hours=30)
    assert (shop.status(order_id), there.captured) == ("PAID", CENTS)


def test_nobody_is_charged_for_an_order_that_was_called_off_meanwhile(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    there.faults += ["drop", "drop"]
    shop.pay(order_id)
    shop.post(f"/orders/{order_id}/cancel")
    finish(database, with_stripe)
    order = shop.get(f"/orders/{order_id}").json
    assert (order["payment"]["failure"], there.captured) == ("abandoned", 0)


def test_money_for_an_order_that_was_called_off_meanwhile_goes_back(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    there.faults += ["lose", "lose"]
    shop.pay(order_id)
    shop.post(f"/orders/{order_id}/cancel")
    finish(database, with_stripe)
    finish(database, with_stripe)
    assert (shop.status(order_id), there.captured, there.refunded) == ("CANCELLED", CENTS, CENTS)


def test_a_lost_answer_to_a_refund_refunds_once_even_after_days(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    shop.pay(order_id)
    there.faults += ["lose", "lose"]
    shop.post(f"/admin/orders/{order_id}/refund", {"amount": "5.00"}, staff=True)
    there.forget_keys()
    finish(database, with_stripe, hours=50)
    assert (there.refunded, shop.get(f"/orders/{order_id}").json["payment"]["refunded"]) == (500, "5.00")


def test_a_refund_that_fails_can_be_promised_again(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    shop.pay(order_id)
    there.refund_status = "pending"
    path = f"/admin/orders/{order_id}/refund"
    assert shop.post(path, staff=True).json["status"] == "PAID"
    only(there.refunds)["status"] = "failed"
    finish(database, with_stripe)
    assert shop.get(f"/orders/{order_id}").json["payment"]["refunded"] == "0.00"
    there.refund_status = "succeeded"
    assert shop.post(path, staff=True).json["status"] == "REFUNDED"


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "PAID"), ("requires_payment_method", "PAYMENT_FAILED")])
def test_a_late_decision_is_learnt_from_a_webhook(
    shop: Shop, there: StripeStandIn, order_id: str, outcome: str, status: str
) -> None:
    waiting = shop.pay(order_id, LATE, Idempotency_Key="k")
    assert (waiting.status_code, waiting.json["status"], waiting.json["payment"]["status"]) == (
        202,
        "CONFIRMED",
        "PROCESSING",
    )
    assert shop.pay(order_id).json["code"] == "payment_in_progress"
    intent = only(there.intents)
    event = there.event(intent, "payment_intent.succeeded")
    assert told(shop, *event).status_code == 204
    assert shop.status(order_id) == "CONFIRMED", "a webhook's word is not believed, Stripe's own is"
    there.decide(intent["id"], outcome)
    assert told(shop, *there.event(intent, "payment_intent.succeeded", "evt_2")).status_code == 204
    assert shop.status(order_id) == status


def test_a_webhook_ahead_of_the_confirmation_decides_nothing(shop: Shop, there: StripeStandIn, order_id: str) -> None:
    shop.pay(order_id, LATE)
    intent = only(there.intents)
    intent["status"] = "requires_confirmation"
    assert told(shop, *there.event(intent, "payment_intent.created")).status_code == 204
    order = shop.get(f"/orders/{order_id}").json
    assert (order["status"], order["payment"]["status"]) == ("CONFIRMED", "PROCESSING")
    intent["created"] -= 3600
    told(shop, *there.event(intent, "payment_intent.created", "evt_2"))
    order = shop.get(f"/orders/{order_id}").json
    assert (order["status"], order["payment"]["failure"]) == ("PAYMENT_FAILED", "requires_confirmation")


def test_a_late_decision_is_learnt_without_a_webhook(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    shop.pay(order_id, LATE)
    finish(database, with_stripe)
    assert shop.status(order_id) == "CONFIRMED"
    there.decide(only(there.intents)["id"])
    finish(database, with_stripe)
    assert shop.status(order_id) == "PAID"


def test_a_late_success_after_the_cancellation_goes_back(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    shop.pay(order_id, LATE)
    shop.post(f"/orders/{order_id}/cancel")
    there.decide(only(there.intents)["id"])
    told(shop, *there.event(only(there.intents), "payment_intent.succeeded"))
    finish(database, with_stripe)
    assert (shop.status(order_id), there.refunded) == ("CANCELLED", CENTS)


def test_a_success_after_its_attempt_was_given_up_goes_back_once(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    shop.pay(order_id, LATE)
    late = only(there.intents)
    there.decide(late["id"], "requires_payment_method")
    finish(database, with_stripe)
    assert shop.pay(order_id).json["status"] == "PAID"
    there.decide(late["id"])
    for number in range(2):
        assert told(shop, *there.event(late, "payment_intent.succeeded", f"evt_{number}")).status_code == 204
    assert (there.captured, there.refunded, shop.status(order_id)) == (2 * CENTS, CENTS, "PAID")


def test_webhooks_before_the_answer_twice_in_parallel_and_after(
    shop: Shop, database: Database, with_stripe: OrderConfig, there: StripeStandIn, order_id: str
) -> None:
    there.faults += ["lose", "lose"]
    assert shop.pay(order_id).status_code == 503
    intent = only(there.intents)
    event = there.event(intent, "payment_intent.succeeded")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: told(shop, *event).status_code, range(4)))
    assert answers == [204] * 4
    assert told(shop, *there.event(intent, "payment_intent.created", "evt_0")).status_code == 204
    finish(database, with_stripe)
    history = [entry["status"] for entry in shop.get(f"/orders/{order_id}").json["history"]]
    assert (history, there.captured) == (["PENDING", "CONFIRMED", "PAID"], CENTS)


def test_webhooks_about_what_is_not_ours_are_taken_and_change_nothing(
    shop: Shop, there: StripeStandIn, provider: PaymentProvider
) -> None:
    for number, key in enumerate([None, "not-a-uuid", str(new_id())]):
        intent = there.intents[there.charge_unasked(500, key)]
        assert told(shop, *there.event(intent, "payment_intent.succeeded", f"evt_{number}")).status_code == 204
    assert there.refunded == 0


def test_webhooks_of_nobody_and_of_yesterday_are_refused(shop: Shop, there: StripeStandIn, order_id: str) -> None:
    body, headers = there.event({"object": "charge", "payment_intent": "pi_unknown"}, "charge.refunded")
    assert told(shop, body, headers).status_code == 204
    for wrong in ({}, *({"Stripe-Signature": each} for each in ("t=1,v1=00", "t=1,v1=\xe9", "x"))):
        answer = told(shop, body, wrong)
        assert (answer.status_code, answer.json["code"]) == (400, "bad_signature")
    assert told(shop, body + b" ", headers).status_code == 400
    assert told(shop, b"\xff", headers).status_code == 400
    assert told(shop, *there.event({}, "x", at=1_700_000_000)).status_code == 400
    assert told(shop, *there.event({}, "no.object")).status_code == 400
    assert told(shop, b"x" * 300_000, headers).status_code == 413
    client = shop.client.application.test_client()
    assert client.post("/api/v1/payments/webhook/paypal", data=b"{}").status_code == 404


def test_a_webhook_that_cannot_be_looked_into_is_asked_for_again(
    shop: Shop, there: StripeStandIn, order_id: str, with_stripe: OrderConfig, database: Database
) -> None:
    shop.pay(order_id, LATE)
    intent = only(there.intents)
    there.decide(intent["id"])
    away = open_provider(replace(with_stripe, stripe_api_url="http://127.0.0.1:1"), database)
    here = shop.client.application.extensions["payment_provider"]
    shop.client.application.extensions["payment_provider"] = away
    event = there.event(intent, "payment_intent.succeeded")
    assert told(shop, *event).status_code == 503
    shop.client.application.extensions["payment_provider"] = here
    assert told(shop, *event).status_code == 204
    assert shop.status(order_id) == "PAID"


def test_a_wrong_key_of_ours_is_not_the_customers_fault(with_stripe: OrderConfig, database: Database) -> None:
    provider = open_provider(replace(with_stripe, stripe_api_key="sk_wrong"), database)
    with pytest.raises(Unavailable):
        provider.charge("key", Decimal("12.99"), "USD", "tok_visa")


def test_amounts_in_currencies_without_hundredths(provider: PaymentProvider, there: StripeStandIn) -> None:
    assert provider.charge("a", Decimal("1200.00"), "JPY", "tok_visa").is_captured
    assert provider.charge("b", Decimal("12.99"), "KWD", "tok_visa").is_captured
    assert provider.charge("c", Decimal("12.99"), "JPY", "tok_visa").failure == "invalid_amount"
    assert [each["amount"] for each in there.intents.values()] == [1200, 12990]


def test_its_secrets_are_needed_where_it_is_the_provider(admin_database_url: str) -> None:
    environ = environment(admin_database_url, "orders", PAYMENT_PROVIDER="stripe")
    with pytest.raises(ConfigError, match=r"(?s)STRIPE_API_KEY.*STRIPE_WEBHOOK_SECRET"):
        OrderConfig.from_env(environ)


def test_a_store_in_earnest_says_who_charges(admin_database_url: str) -> None:
    environ = environment(admin_database_url, "orders", ENVIRONMENT="production")
    with pytest.raises(ConfigError, match="PAYMENT_PROVIDER"):
        OrderConfig.from_env(environ)
    assert OrderConfig.from_env(environ | {"PAYMENT_PROVIDER": "simulator"}).payment_provider == "simulator"


def test_the_database_itself_lets_no_more_back_than_came(shop: Shop, database: Database, order_id: str) -> None:
    shop.pay(order_id)
    for wrong in ("refunded = amount + 0.01", "refunded = 1, status = 'FAILED'"):
        with pytest.raises(IntegrityError):
            change(database, f"UPDATE payments SET {wrong}")
