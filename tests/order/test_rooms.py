"""Who waits for somebody else leaves threads for those who do not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from uuid import UUID

import pytest
from flask import Flask

from common.db import Database
from common.rooms import Room
from order_service.config import OrderConfig
from order_service.models import Payment
from order_service.payments.simulator import Simulator
from tests.order.shop import Shop
from tests.support.waiting import eventually


@pytest.fixture
def narrow(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Room:
    """One payment may wait at a time."""
    room = Room(1, "Too many payments are under way.")
    monkeypatch.setitem(app.extensions, "payments_room", room)
    return room


def test_payments_that_find_no_room_are_refused_before_anything_is_written(
    shop: Shop, book: UUID, narrow: Room, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = shop.confirmed(book), shop.confirmed(book)
    begun, goes_on, charge = Event(), Event(), Simulator.charge

    def slow(*what: object) -> object:
        begun.set()
        assert goes_on.wait(10)
        return charge(*what)  # type: ignore[arg-type]

    monkeypatch.setattr(Simulator, "charge", slow)
    with ThreadPoolExecutor(1) as pool:
        paying = pool.submit(shop.pay, first)
        assert begun.wait(10)
        refused = shop.pay(second, idempotency_key="again-and-again")
        goes_on.set()
        assert paying.result().status_code == 200
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    with database.read() as session:
        assert session.query(Payment).count() == 1
    assert shop.pay(second, idempotency_key="again-and-again").status_code == 200


def test_a_refund_that_finds_no_room_is_carried_out_later(shop: Shop, book: UUID, narrow: Room) -> None:
    order_id = shop.paid(book)
    with narrow.place():
        answer = shop.post(f"/orders/{order_id}/refund", staff=True)
    assert (answer.status_code, answer.json["status"]) == (200, "PAID")


def test_a_third_of_the_threads_waits_for_nobody(config: OrderConfig) -> None:
    waiting = config.most_waiting_payments + config.most_waiting_decisions + config.most_waiting_documents
    assert config.most_waiting_payments >= 16
    assert config.web_threads - waiting >= 2 * config.web_connections


def test_no_more_wait_for_a_decision_than_have_room(shop: Shop, book: UUID, app: Flask) -> None:
    doubt = app.extensions["decisions"]._doubt
    taken = 0
    while doubt.may_wait():
        taken += 1
    assert taken == app.extensions["config"].most_waiting_decisions
    for _ in range(taken):
        doubt.done()
    eventually(doubt.may_wait)
    doubt.done()
