"""The stock of the whole shop: what runs out, stock takes, and reservations that were forgotten."""

from __future__ import annotations

import io
from datetime import timedelta
from uuid import uuid4

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from catalog_service import commands, timers
from catalog_service.domain import overdue, stock
from catalog_service.events import HANDLERS
from common.db import utcnow
from common.errors import Unavailable
from common.events.administration import CatalogAdminActed
from common.events.catalog import BookRestocked
from common.events.orders import PrebookingDemandChanged
from tests.catalog.test_stock_events import cancelled, paid, placed
from tests.support.database import deliver, emitted
from tests.support.tokens import bearer

INVENTORY = "/api/v1/admin/inventory"


@pytest.fixture
def low_stock(client, admin):
    def get(query=""):
        return client.get(f"{INVENTORY}/low-stock{query}", headers=admin).json

    return get


@pytest.fixture
def take(client, admin):
    def post(content, query="", content_type="text/csv"):
        body = content.encode() if isinstance(content, str) else content
        path = f"{INVENTORY}/stock-take{query}"
        return client.post(path, data=body, headers=admin, content_type=content_type)

    return post


@pytest.fixture
def shelves(add_book):
    """Three books with stock, by their codes."""
    return {code: add_book(code, code=code, stock=5)["id"] for code in ("A", "B", "C")}


def test_low_stock_lists_the_scarcest_first(client, admin, add_book, low_stock, database):
    low = add_book("Low", stock=4, low_stock_threshold=4)["id"]
    none = add_book("None")["id"]
    add_book("Plenty", stock=6)
    held = add_book("Held", stock=7)["id"]
    off = add_book("Off sale")["id"]
    client.delete(f"/api/v1/books/{off}", headers=admin)
    deliver(database, HANDLERS, placed(uuid4(), (held, 6)))
    shown = low_stock()["items"]
    assert [(each["id"], each["available"]) for each in shown] == [(none, 0), (held, 1), (low, 4)]
    first = low_stock("?limit=2")
    rest = low_stock(f"?limit=2&cursor={first['next_cursor']}")
    assert [each["id"] for each in first["items"] + rest["items"]] == [none, held, low]


def test_low_stock_says_who_waits(add_book, low_stock, database):
    wanted, unwanted = add_book("Wanted")["id"], add_book("Unwanted")["id"]
    for version, quantity in ((2, 7), (1, 9), (2, 8)):  # late and repeated ones change nothing
        told = {"version": version, "waiting_quantity": quantity, "waiting_count": 3}
        deliver(database, HANDLERS, PrebookingDemandChanged(book_id=wanted, **told))
    (shown,) = low_stock("?waiting=true")["items"]
    assert (shown["id"], shown["waiting_quantity"], shown["waiting_count"]) == (wanted, 7, 3)
    assert [each["id"] for each in low_stock("?waiting=false")["items"]] == [unwanted]


def test_a_stock_take_corrects_what_differs_once(client, admin, shelves, stock_of, take, database):
    counted = "code,on_hand\nA,3\nB,5\nC,9\n"
    outcome = take(counted, "?reason=yearly").json
    assert [(each["code"], each["before"], each["counted"], each["difference"]) for each in outcome["differences"]] == [
        ("A", 5, 3, -2),
        ("C", 5, 9, 4),
    ]
    assert (outcome["rows"], outcome["unchanged"], outcome["errors"]) == (3, 1, [])
    assert [stock_of(id)[0] for id in shelves.values()] == [3, 5, 9]
    newest = client.get(f"/api/v1/books/{shelves['A']}/stock", headers=admin).json["movements"][0]
    assert (newest["kind"], newest["quantity"], newest["reason"]) == ("corrected", -2, "yearly")
    before = len(emitted(database))
    assert take(counted).json["unchanged"] == 3
    assert len(emitted(database)) == before
    acts = [event for event in emitted(database) if isinstance(event, CatalogAdminActed)]
    assert [event.reason for event in acts if event.action == "stock.taken"] == ["yearly"]


@pytest.mark.parametrize(
    "content", ["code;on_hand\nA;3\n", "\ufeffcode;isbn;on_hand\r\nA;;3\r\n", '"code";"on_hand"\nA;3\n']
)
def test_semicolons_part_columns_as_in_an_import(shelves, stock_of, take, content):
    assert take(content).json["errors"] == []
    assert stock_of(shelves["A"]) == (3, 0)


def test_a_dry_run_only_shows(shelves, stock_of, take):
    assert take("code,on_hand\nA,1\n", "?dry_run=true").json["differences"][0]["difference"] == -4
    assert stock_of(shelves["A"]) == (5, 0)


def test_each_row_is_judged_by_itself(shelves, stock_of, take, database, add_book):
    add_book("Numbered", isbn="9780060512750", stock=1)
    deliver(database, HANDLERS, placed(uuid4(), (shelves["B"], 3)))
    rows = [
        "A,,4",
        "B,,2",
        "A,,5",
        "Z,,1",
        ",,1",
        "C,,-1",
        "C,,1.5",
        "C,,99999999",
        ",0-06-051275-X,6",
        "\x00,,1",
        "C,,1,9",
    ]
    outcome = take("\n".join(["code,isbn,on_hand", *rows])).json
    refused = {error["row"]: error["message"] for error in outcome["errors"]}
    assert sorted(refused) == [3, 4, 5, 6, 7, 8, 9, 11, 12]
    assert refused[3] == "3 are reserved for orders"
    assert refused[4] == "is about the same book as row 2"
    assert [(each["row"], each["counted"]) for each in outcome["differences"]] == [(2, 4), (10, 6)]
    assert [stock_of(id) for id in shelves.values()] == [(4, 0), (5, 3), (5, 0)]
    with database.read() as session:
        assert stock.disagreements(session) == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"code\nA\n", 422),
        (b"code,on_hand,price\n", 422),
        (b"code,on_hand\n\xff,1\n", 422),
        (b'code,on_hand\n"A,1\n', 422),
        (b"code,on_hand\n" + b"A,1\n" * 10_001, 422),
        (b"code,on_hand\n" + b"x" * 2_000_000, 413),
    ],
)
def test_a_file_that_is_none_is_refused(take, content, status):
    assert take(content).status_code == status


def test_a_stock_take_by_a_form(client, admin, shelves, take):
    form = {"file": (io.BytesIO("\ufeffcode,on_hand\nA,2\n".encode()), "count.csv")}
    answer = client.post(f"{INVENTORY}/stock-take", data=form, headers=admin)
    assert (answer.status_code, len(answer.json["differences"])) == (200, 1)
    assert take("{}", content_type="application/json").status_code == 415
    assert client.post(f"{INVENTORY}/stock-take", headers=bearer()).status_code == 403


def test_a_stock_take_from_none_to_some_is_a_restock(add_book, take, database):
    add_book(code="EMPTY")
    take("code,on_hand\nEMPTY,2\n")
    assert [event.available for event in emitted(database) if isinstance(event, BookRestocked)] == [2]


def test_a_stock_take_by_command(shelves, stock_of, monkeypatch, config, tmp_path):
    monkeypatch.setattr(commands, "_settings", lambda: config)
    file = tmp_path / "count.csv"
    file.write_text("code,on_hand\nA,2\nNONE,1\n")
    run = CliRunner().invoke(commands.take_stock, [str(file), "--dry-run"])
    assert "A: 5 -> 2 (-3)" in run.output
    assert stock_of(shelves["A"]) == (5, 0)
    run = CliRunner().invoke(commands.take_stock, [str(file)])
    assert "2 rows: 1 corrected, 0 unchanged, 1 refused" in run.output
    assert stock_of(shelves["A"]) == (2, 0)
    file.write_text("title\nA\n")
    assert CliRunner().invoke(commands.take_stock, [str(file)]).exit_code == 1


@pytest.fixture
def reserve(database):
    """Reserves a book for an order that is older than any order may wait."""

    def make(book):
        order = uuid4()
        deliver(database, HANDLERS, placed(order, (book, 1)))
        with database.transaction() as session:
            session.execute(text("UPDATE reservations SET created_at = now() - interval '1 day'"))
        return order

    return make


class KnownOrders:
    """In the place of the order service: says what it was told to say."""

    def __init__(self, states):
        self._states = states

    def __call__(self, _config):
        return self

    def states(self, order_ids):
        if self._states is None:
            raise Unavailable
        return {id: self._states[id] for id in order_ids if id in self._states}


SAID = [
    ("CANCELLED", (5, 0)),
    ("PAID", (4, 0)),
    ("DELIVERED", (4, 0)),
    ("REFUNDED", (4, 0)),
    ("PENDING", (5, 1)),
    ("CONFIRMED", (5, 1)),
    ("PAYMENT_FAILED", (5, 1)),
    (None, (5, 1)),
]


@pytest.mark.parametrize(("status", "left"), SAID)
def test_a_forgotten_reservation_is_settled_as_the_order_stands(
    shelves, stock_of, reserve, database, config, monkeypatch, status, left
):
    order = reserve(shelves["A"])
    monkeypatch.setattr(timers, "Orders", KnownOrders({order: status} if status else {}))
    timers.settle_overdue(database, config)
    timers.settle_overdue(database, config)
    assert stock_of(shelves["A"]) == left
    deliver(database, HANDLERS, (cancelled if status == "CANCELLED" else paid)(order, (shelves["A"], 1)))
    assert stock_of(shelves["A"]) == ((5, 0) if status == "CANCELLED" else (4, 0))
    with database.read() as session:
        assert stock.disagreements(session) == []


def test_without_an_answer_nothing_is_released(shelves, stock_of, reserve, database, config, monkeypatch):
    reserve(shelves["A"])
    monkeypatch.setattr(timers, "Orders", KnownOrders(None))
    timers.settle_overdue(database, config)
    assert stock_of(shelves["A"]) == (5, 1)


def test_a_young_reservation_is_left_alone(shelves, database):
    deliver(database, HANDLERS, placed(uuid4(), (shelves["A"], 1)))
    with database.read() as session:
        assert overdue.held_since(session, utcnow() - timedelta(minutes=1)) == []


def test_the_answer_may_be_older_than_the_event(shelves, stock_of, reserve, database, config, monkeypatch):
    """Paid between answer and action: what the order service said of the waiting order releases nothing."""
    order = reserve(shelves["A"])

    class PaidMeanwhile(KnownOrders):
        def states(self, order_ids):
            said = super().states(order_ids)
            deliver(database, HANDLERS, paid(order, (shelves["A"], 1)))
            return said

    monkeypatch.setattr(timers, "Orders", PaidMeanwhile({order: "CONFIRMED"}))
    timers.settle_overdue(database, config)
    assert stock_of(shelves["A"]) == (4, 0)
