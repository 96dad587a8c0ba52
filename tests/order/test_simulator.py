"""The simulator on a bad day, its webhooks, and what both books say afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import text

from common.db import Database, utcnow
from common.ids import new_id
from order_service import timers
from order_service.commands import reconcile
from order_service.config import OrderConfig
from order_service.domain import payments
from order_service.payments import simulated_webhooks, simulator
from order_service.payments.provider import Entry
from order_service.payments.signatures import sign
from order_service.payments.simulator import SIGNATURE_HEADER, Simulator
from order_service.timers import finish_payments
from tests.order.shop import Shop


def change(database: Database, statement: str, **values: object) -> None:
    with database.transaction() as session:
        session.execute(text(statement), values)


def age(database: Database) -> None:
    """An hour goes by."""
    for table in ("payments", "refunds"):
        change(database, f"UPDATE {table} SET created_at = created_at - interval '1 hour', asked_at = NULL")
    change(database, "UPDATE simulated_charges SET settles_at = settles_at - interval '1 hour'")


def test_a_lost_answer_leaves_the_money_taken_once(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    assert shop.pay(order_id, "tok_lostAnswer").status_code == 503
    age(database)
    finish_payments(database, config)
    assert shop.status(order_id) == "PAID"


def test_a_slow_answer_is_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch, book: UUID) -> None:
    naps: list[float] = []
    monkeypatch.setattr(simulator, "time", SimpleNamespace(sleep=naps.append))  # others go on sleeping
    assert shop.pay(shop.confirmed(book), "tok_slow").json["status"] == "PAID"
    assert naps == [simulator.SLOW_SECONDS]


@pytest.mark.parametrize(("method", "status"), [("tok_pending", "PAID"), ("tok_pendingDeclined", "PAYMENT_FAILED")])
def test_a_late_decision_is_told_at_the_real_door(
    shop: Shop, database: Database, config: OrderConfig, book: UUID, method: str, status: str
) -> None:
    order_id = shop.confirmed(book)
    assert shop.pay(order_id, method).status_code == 202
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated_webhooks.requests, "post", through(shop.client))
        timers.tell_as_the_simulator(database, config)
        assert shop.status(order_id) == "CONFIRMED"
        age(database)
        for _ in range(2):
            timers.tell_as_the_simulator(database, config)
    assert shop.status(order_id) == status


def through(client: FlaskClient) -> Any:
    """`requests.post`, to the application of the test."""

    class Answer:
        def __init__(self, status: int) -> None:
            self.status = status

        def raise_for_status(self) -> None:
            assert self.status == 204

    def post(url: str, data: bytes, headers: dict[str, str], timeout: float) -> Answer:
        path = "/" + url.split("/", 3)[3]
        return Answer(client.application.test_client().post(path, data=data, headers=headers).status_code)

    return post


def test_its_webhooks_are_refused_when_forged_or_old(shop: Shop, database: Database) -> None:
    body, secret = b'{"id": "evt_1", "reference": "sim_x"}', Simulator(database).webhook_secret
    path = "/api/v1/payments/webhook/simulator"

    def answered(signature: str | None, sent: bytes = body) -> int:
        headers = {SIGNATURE_HEADER: signature} if signature else {}
        return shop.client.post(path, data=sent, headers=headers).status_code

    assert answered(sign(body, secret)) == 204
    now = int(time.time())
    old, forged = sign(body, secret, now - 3600), sign(body, b"guessed")
    assert [answered(each) for each in (None, "", "t=1", old, forged)] == [400] * 5
    assert answered(sign(body, secret), body + b" ") == 400
    assert answered(sign(b"[]", secret), b"[]") == 400


def test_webhooks_are_forgotten_after_a_while(database: Database) -> None:
    with database.transaction() as session:
        payments.remember_notice(session, "simulator", "old")
        session.execute(text("UPDATE webhook_events SET received_at = now() - interval '90 days'"))
        payments.remember_notice(session, "simulator", "new")
        payments.prune_notices(session)
        assert not payments.knows_notice(session, "simulator", "old")
        assert payments.knows_notice(session, "simulator", "new")
    change(database, "DELETE FROM webhook_events")


def test_how_long_the_oldest_undecided_order_waits_is_measured(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    timers.measure(database, config)
    assert timers.OLDEST_PENDING._value.get() == 0
    shop.place(book)
    change(database, "UPDATE orders SET placed_at = placed_at - interval '5 minutes'")
    timers.measure(database, config)
    assert 300 <= timers.OLDEST_PENDING._value.get() < 400


@pytest.fixture
def reconciled(config: OrderConfig, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(OrderConfig, "from_env", classmethod(lambda _cls: config))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(reconcile, arguments)

    return run


def test_books_that_agree(shop: Shop, database: Database, reconciled: Any, book: UUID) -> None:
    shop.pay(shop.confirmed(book), "tok_chargeDeclined")
    order_id = shop.paid(book)
    shop.post(f"/admin/orders/{order_id}/refund", {"amount": "5.00"}, staff=True)
    shop.pay(shop.confirmed(book), "tok_pending")
    age_of_ours(database)
    result = reconciled()
    assert (result.exit_code, result.output) == (0, "our payments and the provider's agree\n")


def age_of_ours(database: Database) -> None:
    change(database, "UPDATE payments SET created_at = created_at - interval '1 minute'")


def test_each_difference_is_shown_and_what_is_safe_is_mended(
    shop: Shop, database: Database, reconciled: Any, book: UUID
) -> None:
    lost, gone, amount, refund = shop.confirmed(book), shop.paid(book), shop.paid(book), shop.paid(book)
    shop.pay(lost, "tok_lostAnswer")
    Simulator(database).charge(str(new_id()), Decimal("7.00"), "USD", "tok_visa")
    of = "key = (SELECT id::text FROM payments WHERE order_id = :id)"
    change(database, f"DELETE FROM simulated_charges WHERE {of}", id=gone)
    change(database, f"UPDATE simulated_charges SET amount = 13 WHERE {of}", id=amount)
    change(database, f"UPDATE simulated_charges SET refunded = 1 WHERE {of}", id=refund)
    age_of_ours(database)
    kinds = {"missing here", "missing there", "not settled here", "amount differs", "refund differs"}
    result = reconciled()
    assert (result.exit_code, {line[:16].strip() for line in result.output.splitlines()[:-1]}) == (1, kinds)
    fixed = reconciled("--fix").output.splitlines()
    assert {line[:16].strip() for line in fixed if line.endswith("mended")} == {"missing here", "not settled here"}
    assert (shop.status(lost), reconciled().output.splitlines()[-1]) == ("PAID", "3 differences")
    tomorrow = datetime.strftime(utcnow() + timedelta(days=1), "%Y-%m-%d")
    assert reconciled("--since", tomorrow).exit_code == 0


def test_what_happens_while_the_books_are_compared_is_no_difference(
    shop: Shop, database: Database, reconciled: Any, monkeypatch: pytest.MonkeyPatch, book: UUID
) -> None:
    given, promised = shop.paid(book), shop.paid(book)
    listed = Simulator.entries

    def meanwhile(self: Simulator, since: datetime) -> Iterator[Entry]:
        entries = list(listed(self, since))
        for order_id in (given, promised):
            shop.post(f"/admin/orders/{order_id}/refund", {"amount": "5.00"}, staff=True)
        change(
            database,
            "UPDATE refunds SET status = 'PENDING' FROM payments p WHERE p.id = payment_id AND p.order_id = :id",
            id=promised,
        )
        yield from entries

    monkeypatch.setattr(Simulator, "entries", meanwhile)
    age_of_ours(database)
    result = reconciled()
    assert (result.exit_code, result.output) == (0, "our payments and the provider's agree\n")


def test_an_open_refund_is_carried_out(
    shop: Shop, database: Database, reconciled: Any, book: UUID, config: OrderConfig
) -> None:
    order_id = shop.paid(book)
    shop.post(f"/admin/orders/{order_id}/refund", {"amount": "5.00"}, staff=True)
    change(database, "DELETE FROM invoices WHERE refund_id IS NOT NULL")
    change(database, "UPDATE refunds SET status = 'PENDING', created_at = created_at - interval '1 hour'")
    age_of_ours(database)
    assert reconciled().exit_code == 1
    assert reconciled("--fix").exit_code == 0
    assert reconciled().exit_code == 0


def test_money_that_could_not_be_given_back_for_a_cancelled_order_is_promised_again(
    shop: Shop, database: Database, config: OrderConfig, reconciled: Any, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    shop.pay(order_id, "tok_pending")
    shop.post(f"/orders/{order_id}/cancel")
    age(database)
    finish_payments(database, config)
    change(database, "UPDATE refunds SET status = 'FAILED'")
    change(database, "UPDATE payments SET refunded = 0")
    assert reconciled().output.startswith("not given back")
    assert reconciled("--fix").exit_code == 0
    order = shop.get(f"/orders/{order_id}").json
    assert (order["status"], order["payment"]["refunded"]) == ("CANCELLED", "12.99")
    assert reconciled().exit_code == 0


def test_a_charge_of_which_nobody_knows_any_more_does_not_hold_up_the_others(
    shop: Shop, database: Database, reconciled: Any, book: UUID
) -> None:
    forgotten, lost = shop.confirmed(book), shop.confirmed(book)
    shop.pay(forgotten, "tok_pending")
    shop.pay(lost, "tok_lostAnswer")
    change(database, "DELETE FROM simulated_charges WHERE settles_at IS NOT NULL")
    age(database)
    result = reconciled("--fix")
    assert (result.exit_code, result.output.splitlines()[-1]) == (1, "1 differences")
    assert shop.status(lost) == "PAID"
