"""Mails about orders: owed with what happened, written by the worker, each once, and never in an order's way."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from common import mail
from common.db import Database
from common.events.auth import UserRegistered, UserUpdated
from common.events.catalog import StockChanged
from common.ids import new_id
from order_service.domain import letters
from order_service.events import HANDLERS
from order_service.models import OwedLetter
from order_service.timers import write_letters
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.order.test_settling import Provider, finish
from tests.support.database import deliver

ADDRESS = {"name": "Ada <b>", "line1": "1 Elm St", "city": "Town", "postal_code": "1", "country": "US"}


@pytest.fixture
def known(shop: Shop, database: Database) -> Shop:
    deliver(database, HANDLERS, registered(shop))
    return shop


def registered(shop: Shop) -> UserRegistered:
    return UserRegistered(user_id=shop.user_id, username="ada", email="ada@example.com", role="customer")


def written(database: Database, config: Any) -> list[Any]:
    write_letters(database, config)
    with database.read() as session:
        return list(session.execute(mail.table.select().order_by(mail.table.c.created_at)).all())


def test_one_letter_for_each_step(known: Shop, book: UUID, database: Database, config: Any) -> None:
    lines = [{"book_id": str(book), "quantity": 2}]
    order_id = known.post("/orders", {"items": lines, "shipping_address": ADDRESS}).json["id"]
    known.reserved(order_id)
    known.pay(order_id)
    known.move(order_id, "SHIPPED")
    letters_ = written(database, config)
    number = known.get(f"/orders/{order_id}").json["number"]
    assert {each.subject for each in letters_} == {
        f"Your order {number} is set aside",
        f"Your order {number} is paid",
        f"Your order {number} is on its way",
    }
    for each in letters_:
        assert each.recipient == "ada@example.com"
        assert "Middlemarch: 25.98" in each.text
        assert "Middlemarch" in each.html
        assert f"<title>{each.subject}</title>" in each.html
        assert "Ada &lt;b&gt;" in each.html
        assert "25.98 USD" in each.text
    assert len(written(database, config)) == 3


@pytest.mark.parametrize(("is_gone", "waits"), [(True, False), (False, True)])
def test_only_a_letter_that_cannot_be_written_is_put_off(
    known: Shop,
    book: UUID,
    database: Database,
    config: Any,
    monkeypatch: pytest.MonkeyPatch,
    is_gone: bool,
    waits: bool,
) -> None:
    """The trap: the database went away for a second, and a mail came minutes late."""
    known.confirmed(book)

    def fail(*_: Any) -> None:
        raise OperationalError("DELETE", {}, Exception(), connection_invalidated=is_gone)

    with monkeypatch.context() as patch, suppress(OperationalError):
        patch.setattr(letters, "write", fail)
        write_letters(database, config)
    assert (written(database, config) == []) == waits


def test_a_refund_tells_its_amount(known: Shop, book: UUID, database: Database, config: Any) -> None:
    order_id = known.paid(book, 2)
    assert known.post(f"/orders/{order_id}/refund", {"amount": "5.00"}, staff=True).status_code < 300
    (letter,) = (each for each in written(database, config) if each.subject.startswith("Your money"))
    assert "5.00 USD" in letter.text


def test_a_credit_note_is_told_of_only_where_there_is_one(
    known: Shop, book: UUID, database: Database, config: Any
) -> None:
    known.post(f"/orders/{known.paid(book)}/cancel")
    provider = known.client.application.extensions["payment_provider"] = Provider(database)
    too_late = known.confirmed(book)
    provider.afterwards = lambda: known.post(f"/orders/{too_late}/cancel")
    assert known.pay(too_late).status_code == 409
    finish(database, config)
    ordinary, late = (each for each in written(database, config) if each.subject.startswith("Your money"))
    assert "Credit note CN-000001" in ordinary.text
    assert "redit note" not in late.text


def test_what_cost_nothing_is_not_said_to_be_given_back(known: Shop, database: Database, config: Any) -> None:
    free = new_id()
    deliver(database, HANDLERS, told(free, price=Decimal("0.00")))
    known.post(f"/orders/{known.paid(free)}/cancel")
    letter = written(database, config)[-1]
    assert letter.subject.endswith("is called off")
    assert "0.00 USD, to where" not in letter.text


def test_a_title_of_two_lines_is_one_subject(known: Shop, database: Database, config: Any) -> None:
    gone = told(new_id(), available=0, title="The Waves\r\nBcc: all@example.com")
    deliver(database, HANDLERS, gone)
    known.post("/prebooks", {"book_id": str(gone.book_id), "quantity": 1})
    deliver(database, HANDLERS, StockChanged(book_id=gone.book_id, version=2, available=2))
    (letter,) = written(database, config)
    assert letter.subject == "It is here: The Waves Bcc: all@example.com"
    assert letter.text.startswith("Hello ada,")


@pytest.mark.parametrize("staff", [False, True])
def test_a_cancellation_tells_why(known: Shop, book: UUID, database: Database, config: Any, staff: bool) -> None:
    order_id = known.place(book).json["id"]
    if staff:
        known.reserved(order_id)
        known.send("PATCH", f"/orders/{order_id}/status", {"status": "CANCELLED", "reason": "A flood."}, staff=True)
    else:
        known.rejected(order_id, book)
    letter = written(database, config)[-1]
    assert letter.subject.endswith("is cancelled")
    assert ("A flood." if staff else "Not all of the books could be had any more.") in letter.text


def test_a_reader_who_becomes_known_later_is_written_to_then(
    shop: Shop, book: UUID, database: Database, config: Any
) -> None:
    shop.paid(book)
    assert written(database, config) == []
    deliver(database, HANDLERS, registered(shop))
    change = {"user_id": shop.user_id, "username": "ada", "role": "customer"}
    deliver(database, HANDLERS, UserUpdated(email="new@example.com", **change))
    assert {each.recipient for each in written(database, config)} == {"new@example.com"}


def test_none_is_written_again_when_its_mail_is_gone_and_its_reason_comes_again(
    known: Shop, book: UUID, database: Database, config: Any
) -> None:
    order_id = known.paid(book)
    known.move(order_id, "SHIPPED")
    assert len(written(database, config)) == 3
    with database.transaction() as session:
        session.execute(mail.table.delete())
    body = {"status": "PAID", "force": True, "reason": "Came back."}
    assert known.send("PATCH", f"/admin/orders/{order_id}/status", body, staff=True).status_code == 200
    known.move(order_id, "SHIPPED")
    assert known.status(order_id) == "SHIPPED"
    assert written(database, config) == []


def test_what_was_rolled_back_owes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            letters.owe(session, letters.PAID, new_id(), new_id())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(OwedLetter)) == 0


def test_one_that_cannot_be_written_holds_up_no_other(
    known: Shop, book: UUID, database: Database, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.paid(book)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    good = letters._CONTEXTS[letters.PAID]
    monkeypatch.setattr(letters, "_CONTEXTS", {letters.CONFIRMED: fail, letters.PAID: good})
    assert [each.subject.rpartition(" ")[2] for each in written(database, config)] == ["paid"]
    with database.read() as session:
        assert letters.due(session) == [], "put off"


def test_back_in_stock_has_one_click_to_the_cart(known: Shop, database: Database, config: Any) -> None:
    gone = told(new_id(), available=0, price=Decimal("7.50"))
    deliver(database, HANDLERS, gone)
    prebooking = known.post("/prebooks", {"book_id": str(gone.book_id), "quantity": 3}).json
    deliver(database, HANDLERS, StockChanged(book_id=gone.book_id, version=2, available=2))
    (letter,) = written(database, config)
    assert letter.subject == "It is here: Middlemarch"
    assert "Of the 3 copies that you want, 2 came in." in letter.text
    assert f"http://localhost:8000/cart?prebook={prebooking['id']}" in letter.text
    assert "7.50 USD" in letter.html
