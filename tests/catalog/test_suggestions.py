"""Readers suggest books, the staff decide once, and the reader gets one mail about it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import select

from catalog_service.domain import people, suggestions
from catalog_service.events import HANDLERS
from common import mail
from common.events.administration import CatalogAdminActed
from common.events.auth import UserErased, UserRegistered, UserUpdated
from tests.support.database import deliver, emitted
from tests.support.tokens import bearer

API = "/api/v1"
WISH = {"title": "The Dispossessed", "author": "Ursula K. Le Guin", "isbn": "0-06-051275-X", "note": "A classic"}


@pytest.fixture
def reader():
    return uuid4()


@pytest.fixture
def suggest(client, reader):
    def post(**changes):
        return client.post(f"{API}/suggestions", json=WISH | changes, headers=bearer(subject=reader))

    return post


@pytest.fixture
def decide(client, admin):
    def post(id, decision, **body):
        return client.post(f"{API}/admin/suggestions/{id}/{decision}", json=body, headers=admin)

    return post


@pytest.fixture
def mails(database):
    def told():
        with database.transaction() as session:
            suggestions.tell(session)
            return session.execute(select(mail.table).order_by(mail.table.c.created_at)).all()

    return told


def registered(reader, email="reader@example.com"):
    return UserRegistered(user_id=reader, username="Ann", email=email, role="customer")


def test_an_approval_makes_a_draft_and_is_told(client, admin, database, reader, suggest, decide, mails):
    deliver(database, HANDLERS, registered(reader))
    sent = suggest()
    assert (sent.status_code, sent.json["status"], sent.json["isbn"]) == (201, "PENDING", "9780060512750")
    decided = decide(sent.json["id"], "approve", price="12.50")
    assert (decided.status_code, decided.json["status"], decided.json["suggested_by"]) == (200, "APPROVED", "Ann")
    path = f"{API}/books/{decided.json['book_id']}"
    draft = client.get(path, headers=admin).json
    assert (draft["is_active"], draft["title"], draft["price"]) == (False, WISH["title"], "12.50")
    assert [author["name"] for author in draft["authors"]] == [WISH["author"]]
    assert client.get(path).status_code == 404
    (written,) = mails()
    assert (written.recipient, written.subject) == ("reader@example.com", f"We are adding {WISH['title']}")
    assert len(mails()) == 1
    acts = [event.action for event in emitted(database) if isinstance(event, CatalogAdminActed)]
    assert acts == ["suggestion.approved"]


@pytest.mark.parametrize("price", ["0.00", "12.50"])
def test_a_draft_without_a_price_goes_on_sale_only_once_it_has_one(client, admin, suggest, decide, price):
    path = f"{API}/books/{decide(suggest().json['id'], 'approve').json['book_id']}"
    refused = client.post(f"{path}/restore", headers=admin)
    assert (refused.status_code, refused.json["code"]) == (409, "price_needed")
    assert client.patch(path, json={"language": "en"}, headers=admin).status_code == 200
    assert client.post(f"{path}/restore", headers=admin).status_code == 409
    assert client.patch(path, json={"price": price}, headers=admin).json["price"] == price
    assert client.post(f"{path}/restore", headers=admin).status_code == 200
    assert client.get(path).json["price"] == price


def test_a_draft_approved_with_a_price_of_nothing_is_free(client, admin, suggest, decide):
    path = f"{API}/books/{decide(suggest().json['id'], 'approve', price='0.00').json['book_id']}"
    assert client.post(f"{path}/restore", headers=admin).status_code == 200


def test_an_import_of_what_was_exported_gives_no_price(client, admin, run, suggest, decide):
    path = f"{API}/books/{decide(suggest().json['id'], 'approve').json['book_id']}"
    code = client.get(path, headers=admin).json["code"]
    assert run(f"code,title,price\n{code},{WISH['title']},0.00\n")[0].unchanged == 1
    assert client.post(f"{path}/restore", headers=admin).json["code"] == "price_needed"
    assert run(f"code,title,price\n{code},{WISH['title']},5.00\n")[0].updated == 1
    assert client.post(f"{path}/restore", headers=admin).status_code == 200


def test_a_rejection_says_why(client, reader, database, suggest, decide, mails):
    id = suggest(title="<b>Bold</b>").json["id"]
    assert decide(id, "reject").status_code == 422
    assert decide(id, "reject", reason="Out of print").json["reason"] == "Out of print"
    assert mails() == []  # nobody has told yet who the reader is
    deliver(database, HANDLERS, registered(reader))
    (written,) = mails()
    assert "Out of print" in written.text
    assert "Out of print" in written.html
    assert "<b>Bold" not in written.html
    mine = client.get(f"{API}/suggestions/mine", headers=bearer(subject=reader)).json["items"]
    assert [(each["id"], each["status"], each["reason"]) for each in mine] == [(id, "REJECTED", "Out of print")]


def test_the_mail_goes_to_the_latest_address(database, reader, suggest, decide, mails):
    deliver(database, HANDLERS, registered(reader))
    changed = UserUpdated(user_id=reader, username="Ann", email="new@example.com", role="customer")
    deliver(database, HANDLERS, changed)
    decide(suggest().json["id"], "reject", reason="No")
    assert [each.recipient for each in mails()] == ["new@example.com"]


def test_it_is_decided_once_also_by_two_at_once(app, admin, database, suggest):
    id = suggest().json["id"]

    def approve(_):
        return app.test_client().post(f"{API}/admin/suggestions/{id}/approve", headers=admin)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(approve, range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert {answer.json["code"] for answer in answers if answer.status_code == 409} == {"already_decided"}


def test_an_isbn_that_the_shop_has_is_refused_with_the_book(add_book, suggest, decide):
    book = add_book("The Dispossessed", isbn="9780060512750")
    id = suggest().json["id"]
    answer = decide(id, "approve")
    assert (answer.status_code, answer.json["code"], answer.json["book_id"]) == (409, "isbn_taken", book["id"])
    assert decide(id, "reject", reason="We have it").status_code == 200


def test_lists_are_paged_and_filtered(client, admin, suggest, decide):
    ids = [suggest(isbn=None, title=f"Book {number}").json["id"] for number in range(3)]
    decide(ids[0], "reject", reason="No")
    path = f"{API}/admin/suggestions?status=PENDING&limit=1"
    first = client.get(path, headers=admin).json
    second = client.get(f"{path}&cursor={first['next_cursor']}", headers=admin).json
    assert [page["items"][0]["id"] for page in (first, second)] == ids[1:]
    assert client.get(f"{API}/admin/suggestions?status=LOST", headers=admin).status_code == 422


def test_who_may(client, suggest, reader):
    assert client.post(f"{API}/suggestions", json=WISH).status_code == 401
    assert client.get(f"{API}/admin/suggestions", headers=bearer(subject=reader)).status_code == 403
    other = client.get(f"{API}/suggestions/mine", headers=bearer()).json["items"]
    suggest()
    assert other == []


@pytest.mark.parametrize("wrong", [{"title": ""}, {"author": " "}, {"isbn": "12345"}, {"note": "x" * 2001}, {"x": 1}])
def test_what_makes_no_sense_is_refused(suggest, wrong):
    assert suggest(**wrong).status_code == 422


def test_one_reader_cannot_fill_the_queue(monkeypatch, suggest):
    monkeypatch.setattr(suggestions, "MAX_PENDING", 2)
    assert [suggest(isbn=None).status_code for _ in range(3)] == [201, 201, 409]


def test_nor_by_many_at_once(monkeypatch, app, reader):
    monkeypatch.setattr(suggestions, "MAX_PENDING", 3)

    def suggest(number):
        body = {"title": f"Book {number}", "author": "Ann"}
        return app.test_client().post(f"{API}/suggestions", json=body, headers=bearer(subject=reader)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(suggest, range(16))) == [201] * 3 + [409] * 13


def test_a_person_sees_what_is_held_and_is_forgotten(database, reader, suggest, decide, mails):
    deliver(database, HANDLERS, registered(reader))
    decide(suggest().json["id"], "reject", reason="No")
    assert len(mails()) == 1
    with database.read() as session:
        held = people.data(session, reader)
    assert held["contact"] == [{"name": "Ann", "email": "reader@example.com"}]
    assert held["suggestions"][0]["note"] == "A classic"
    deliver(database, HANDLERS, UserErased(user_id=reader))
    with database.read() as session:
        assert not any(people.data(session, reader).values())
    assert mails() == []
