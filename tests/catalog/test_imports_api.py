"""Imports by HTTP: a file goes in, the worker takes it up, and every row is accounted for."""

from __future__ import annotations

import io
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from catalog_service.domain.imports import jobs, run, worker
from catalog_service.domain.imports.run import BATCH
from catalog_service.models import Book, ImportJob, ImportKey, ImportPiece
from common.events.administration import CatalogAdminActed
from tests.support.database import emitted
from tests.support.tokens import bearer

PATH = "/api/v1/admin/imports"
HEADER = "code,isbn,title,authors,price"
GOOD = f"{HEADER}\nA-1,9780141439587,Emma,Jane Austen,12.99\nA-2,,Persuasion,Jane Austen,9.50\n"
MIXED = f"{GOOD}A-3,,,Nobody,1.00\nA-4,,Sanditon,Jane Austen,free\n"


@pytest.fixture
def send(client, admin):
    def post(content, *, headers=admin, filename="books.csv", **fields):
        data = content.encode() if isinstance(content, str) else content
        return client.post(PATH, data={"file": (io.BytesIO(data), filename), **fields}, headers=headers)

    return post


@pytest.fixture
def work(database, config):
    def run():
        while worker.run_next(database, config):
            pass

    return run


@pytest.fixture
def done(client, admin, send, work):
    """Sends a file, has the worker work, and gives the finished import."""

    def run(content, **fields):
        answer = send(content, **fields)
        assert answer.status_code == 202, answer.json
        work()
        return client.get(answer.headers["Location"], headers=admin).json

    return run


def count_of(database, model):
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(model))


def test_a_file_is_accepted_and_taken_in_behind_the_scenes(client, admin, send, work, database):
    answer = send(MIXED, format="csv")
    assert (answer.status_code, answer.json["status"]) == (202, "PENDING")
    assert answer.headers["Location"] == f"{PATH}/{answer.json['id']}"
    waiting = client.get(answer.headers["Location"], headers=admin).json
    assert (waiting["status"], waiting["rows"], waiting["progress"]) == ("PENDING", 0, 0)
    work()
    found = client.get(answer.headers["Location"], headers=admin).json
    told = {name: found[name] for name in ("status", "rows", "created", "updated", "unchanged", "rejected")}
    assert told == {"status": "COMPLETED", "rows": 4, "created": 2, "updated": 0, "unchanged": 0, "rejected": 2}
    assert [(error["row"], error["field"]) for error in found["errors"]] == [(4, "title"), (5, "price")]
    assert all(set(error) == {"row", "field", "message"} and error["message"] for error in found["errors"])
    assert found["progress"] == 1
    assert client.get("/api/v1/books/9780141439587").json["price"] == "12.99"
    assert (count_of(database, ImportPiece), count_of(database, ImportKey)) == (0, 0)


def test_the_bad_rows_come_back_as_a_file_to_repair_and_send_again(client, admin, done):
    first = done(MIXED)
    file = client.get(first["links"]["rejected"], headers=admin)
    assert file.data.decode().splitlines() == [HEADER, "A-3,,,Nobody,1.00", "A-4,,Sanditon,Jane Austen,free"]
    assert file.headers["Content-Disposition"].startswith("attachment")
    repaired = file.data.replace(b",,,", b",,Lady Susan,").replace(b"free", b"0.00")
    assert done(repaired)["created"] == 2


def test_a_dry_run_shows_the_difference_and_changes_nothing(client, admin, add_book, done, database):
    book = add_book("Emma", code="A-1", price="10.00", authors=["Somebody"])
    dry = done(GOOD, dry_run="true")
    assert (dry["dry_run"], dry["created"], dry["updated"]) == (True, 1, 1)
    updated, created = client.get(dry["links"]["changes"], headers=admin).json["items"]
    assert updated["fields"] == {
        "isbn": {"before": None, "after": "9780141439587"},
        "authors": {"before": ["Somebody"], "after": ["Jane Austen"]},
        "price": {"before": "10.00", "after": "12.99"},
    }
    assert (updated["book_id"], created["book_id"], created["code"]) == (book["id"], None, "A-2")
    assert created["fields"]["title"] == {"before": None, "after": "Persuasion"}
    assert count_of(database, Book) == 1
    assert client.get(f"/api/v1/books/{book['id']}").json["price"] == "10.00"
    assert client.post(dry["links"]["undo"], headers=admin).json["code"] == "not_undoable"


def test_an_undone_import_leaves_books_as_they_were(client, admin, add_book, done, work):
    book = add_book("Emma", code="A-1", price="10.00", authors=["Somebody"], subtitle="A novel")
    sent = done(GOOD)
    assert client.post(sent["links"]["undo"], headers=admin).status_code == 202
    work()
    undone = client.get(f"{PATH}/{sent['id']}", headers=admin).json["undo"]
    assert undone == {"status": "COMPLETED", "restored": 1, "withdrawn": 1, "kept": 0}
    back = client.get(f"/api/v1/books/{book['id']}").json
    names = ("isbn", "title", "subtitle", "price", "authors")
    assert {name: back[name] for name in names} == {name: book[name] for name in names}
    assert [each["code"] for each in client.get("/api/v1/books/inactive", headers=admin).json["items"]] == ["A-2"]
    assert client.post(sent["links"]["undo"], headers=admin).status_code == 409


def test_what_an_undo_took_off_sale_comes_back_with_the_next_import(client, admin, done, work):
    sent = done(GOOD)
    client.post(sent["links"]["undo"], headers=admin)
    work()
    assert client.get("/api/v1/books").json["items"] == []
    assert done(GOOD)["updated"] == 2
    assert len(client.get("/api/v1/books").json["items"]) == 2


def test_an_undo_leaves_what_was_changed_or_sold_since_and_says_so(client, admin, add_book, done, work, database):
    add_book("Emma", code="A-1", price="10.00")
    sent = done(GOOD)
    with database.read() as session:
        emma, persuasion = session.scalars(select(Book).order_by(Book.code))
    client.patch(f"/api/v1/books/{emma.id}", json={"price": "11.00"}, headers=admin)
    with database.transaction() as session:
        session.execute(text("UPDATE books SET on_hand = 1, reserved = 1 WHERE id = :id"), {"id": persuasion.id})
    client.post(sent["links"]["undo"], headers=admin)
    work()
    changes = client.get(sent["links"]["changes"], headers=admin).json["items"]
    assert [(each["undo_outcome"], each["undo_reason"]) for each in changes] == [
        ("kept", "Changed since: price."),
        ("kept", "Sold or reserved since."),
    ]
    assert client.get(f"/api/v1/books/{emma.id}").json["price"] == "11.00"


def test_imports_are_undone_in_any_order_that_makes_sense(client, admin, done, work, add_book):
    book = add_book("Emma", code="A-1", price="1.00")
    first, second = done("code,price\nA-1,2.00\n"), done("code,price\nA-1,3.00\n")
    for sent in (second, first):
        client.post(sent["links"]["undo"], headers=admin)
        work()
    assert client.get(f"/api/v1/books/{book['id']}").json["price"] == "1.00"


def test_a_worker_that_dies_loses_nothing_and_nothing_is_applied_twice(send, database, config, client, admin):
    rows = "".join(f"N-{number},,Book {number},Author,1.00\n" for number in range(2 * BATCH + 10))
    location = send(f"{HEADER}\n{rows}").headers["Location"]
    passed = []

    def dies_before_the_third_batch():
        passed.append(None)
        if len(passed) == 3:
            raise SystemError
        return False

    with pytest.raises(SystemError):
        worker.run_next(database, config, dies_before_the_third_batch)
    half = client.get(location, headers=admin).json
    assert (half["status"], half["created"]) == ("RUNNING", 2 * BATCH)
    assert not worker.run_next(database, config)  # the dead one has it until its lease is over
    with database.transaction() as session:
        session.execute(text("UPDATE imports SET lease_until = now() - interval '1 second'"))
    assert worker.run_next(database, config)
    found = client.get(location, headers=admin).json
    assert (found["status"], found["rows"], found["created"]) == ("COMPLETED", 2 * BATCH + 10, 2 * BATCH + 10)
    assert count_of(database, Book) == 2 * BATCH + 10


def test_a_worker_that_is_told_to_end_hands_over_at_once(send, database, config, client, admin):
    location = send(GOOD).headers["Location"]
    worker.run_next(database, config, lambda: True)
    assert worker.run_next(database, config)
    assert client.get(location, headers=admin).json["created"] == 2


def test_one_that_was_taken_over_writes_no_more(send, database, config, app):
    send(GOOD)
    with database.transaction() as session:
        late = jobs.claim_next(session)
    with database.transaction() as session:
        session.execute(text("UPDATE imports SET lease_until = NULL"))
        jobs.claim_next(session)
    with pytest.raises(jobs.ClaimLost), database.transaction() as session:
        jobs.hold(session, late)


def test_what_never_gets_further_fails_clearly(send, database, config, client, admin):
    location = send(GOOD).headers["Location"]
    for _ in range(jobs.MOST_ATTEMPTS):
        with database.transaction() as session:
            jobs.claim_next(session)
            session.execute(text("UPDATE imports SET lease_until = NULL"))
    worker.run_next(database, config)
    found = client.get(location, headers=admin).json
    assert (found["status"], found["errors"][0]["field"], found["created"]) == ("FAILED", "file", 0)


def test_who_imported_what_is_known_in_one_line_each(done, client, admin, work, database):
    sent = done(MIXED)
    client.post(sent["links"]["undo"], headers=admin)
    work()
    acts = [event for event in emitted(database) if isinstance(event, CatalogAdminActed)]
    assert [act.action for act in acts] == [
        "import.requested",
        "import.completed",
        "import.undo_requested",
        "import.undone",
    ]
    assert {act.resource_id for act in acts} == {sent["id"]}
    assert acts[1].after["created"] == 2
    assert len({act.actor_id for act in acts}) == 1


def test_a_file_that_breaks_off_fails_and_keeps_what_was_read(done):
    found = done(GOOD.encode() + b"x" * 2_000_000)
    assert (found["status"], found["errors"][0]["row"]) == ("FAILED", 0)
    assert "longer than" in found["errors"][0]["message"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
        (b"PK\x03\x04rest", "zip"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_a_file_that_is_none_is_refused_at_once(send, content, word):
    answer = send(content)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "file")
    assert word in answer.json["errors"][0]["message"]


def test_bad_forms_are_refused(client, admin, send):
    assert send(GOOD, format="excel").status_code == 422
    assert send(GOOD, dry_run="perhaps").status_code == 422
    assert send(GOOD, colour="red").status_code == 422
    assert client.post(PATH, data={"format": "csv"}, headers=admin).status_code == 415
    assert client.post(PATH, json={}, headers=admin).status_code == 415
    two = [(io.BytesIO(b"a"), "a.csv"), (io.BytesIO(b"b"), "b.csv")]
    assert client.post(PATH, data={"file": two}, headers=admin).status_code == 422
    missing = {"other": (io.BytesIO(b"a"), "a.csv")}
    assert client.post(PATH, data=missing, headers=admin).status_code == 422


def test_a_file_over_the_limit_is_too_large(app, send, monkeypatch, config):
    object.__setattr__(config, "import_limit", 1024)
    try:
        assert send("x" * 100_000).status_code == 413
    finally:
        object.__setattr__(config, "import_limit", 256 * 1024 * 1024)


@pytest.mark.parametrize("headers", [{}, bearer()])
def test_imports_are_for_the_staff(client, send, headers):
    refused = {401, 403}
    assert send(GOOD, headers=headers).status_code in refused
    for path in (PATH, f"{PATH}/{UUID(int=1)}", f"{PATH}/{UUID(int=1)}/rejected"):
        assert client.get(path, headers=headers).status_code in refused
    assert client.get("/api/v1/admin/exports/books", headers=headers).status_code in refused


def test_an_unknown_import_is_not_found(client, admin):
    for path in ("", "/problems", "/changes", "/rejected"):
        assert client.get(f"{PATH}/{UUID(int=1)}{path}", headers=admin).status_code == 404
    assert client.post(f"{PATH}/{UUID(int=1)}/undo", headers=admin).status_code == 404


def test_lists_are_paged(client, admin, done):
    sent = done(MIXED)
    done(GOOD)
    page = client.get(f"{PATH}?limit=1&total=true", headers=admin).json
    assert (page["items"][0]["unchanged"], page["total"]) == (2, 2)
    assert client.get(f"{PATH}?cursor={page['next_cursor']}", headers=admin).json["items"][0]["id"] == sent["id"]
    problems = client.get(f"{sent['links']['problems']}?limit=1", headers=admin).json
    assert (problems["items"][0]["row"], problems["items"][0]["is_fatal"]) == (4, True)
    assert problems["next_cursor"]


def test_details_are_forgotten_after_a_time_and_then_nothing_is_undone(client, admin, done, database, config):
    sent = done(MIXED)
    with database.transaction() as session:
        session.execute(text("UPDATE imports SET finished_at = now() - interval '31 days'"))
    worker.prune(database, config)
    assert client.get(sent["links"]["changes"], headers=admin).json["items"] == []
    kept = client.get(f"{PATH}/{sent['id']}", headers=admin).json
    assert (kept["created"], kept["errors"]) == (2, [])
    assert client.post(sent["links"]["undo"], headers=admin).status_code == 409
    assert count_of(database, ImportJob) == 1


def test_an_import_is_cancelled_and_what_went_in_can_be_undone(client, admin, send, work, database, config):
    rows = "".join(f"A-{number},,Emma {number},,1.00\n" for number in range(BATCH + 1))
    sent = send(f"{HEADER}\n{rows}").json["id"]
    begun = iter((False, True))
    worker.run_next(database, config, lambda: next(begun))
    for _ in range(2):
        answer = client.post(f"{PATH}/{sent}/cancel", headers=admin)
        assert (answer.status_code, answer.json["status"]) == (200, "CANCELLED")
    work()
    found = client.get(f"{PATH}/{sent}", headers=admin).json
    assert (found["status"], found["created"]) == ("CANCELLED", BATCH)
    assert (count_of(database, ImportPiece), count_of(database, ImportKey)) == (0, 0)
    assert client.post(found["links"]["undo"], headers=admin).status_code == 202
    work()
    assert client.get(f"{PATH}/{sent}", headers=admin).json["undo"]["withdrawn"] == BATCH


def test_whoever_works_on_a_cancelled_import_writes_no_more(client, admin, send, database, config):
    sent = send(GOOD).json["id"]

    def cancelled_meanwhile():
        assert client.post(f"{PATH}/{sent}/cancel", headers=admin).status_code == 200
        return False

    worker.run_next(database, config, cancelled_meanwhile)
    found = client.get(f"{PATH}/{sent}", headers=admin).json
    assert (found["status"], found["rows"], count_of(database, Book)) == ("CANCELLED", 0, 0)


def test_what_has_ended_is_not_cancelled(client, admin, done):
    answer = client.post(done(GOOD)["links"]["cancel"], headers=admin)
    assert (answer.status_code, answer.json["code"]) == (409, "not_cancellable")


def test_a_large_import_lets_others_have_their_turn(client, admin, send, database, config, monkeypatch):
    monkeypatch.setattr(worker, "TURN_SECONDS", 0.0)
    rows = "".join(f"A-{number},,Emma {number},,1.00\n" for number in range(3 * BATCH))
    large, small = send(f"{HEADER}\n{rows}").json["id"], send(GOOD.replace("A-", "B-")).json["id"]
    order = []
    while worker.run_next(database, config):
        order.append([client.get(f"{PATH}/{id}", headers=admin).json["status"] for id in (large, small)])
    assert order[0][1] == "PENDING" or order[0] == ["RUNNING", "PENDING"]
    assert ["RUNNING", "COMPLETED"] in order
    assert order[-1] == ["COMPLETED", "COMPLETED"]
    assert client.get(f"{PATH}/{large}", headers=admin).json["created"] == 3 * BATCH


def test_a_file_of_junk_is_given_up_soon(client, admin, send, database, config):
    sent = send(f"{HEADER}\n" + "x\n" * (4 * BATCH)).json["id"]
    while worker.run_next(database, replace(config, import_rejected_limit=BATCH)):
        pass
    found = client.get(f"{PATH}/{sent}", headers=admin).json
    assert (found["status"], found["rejected"]) == ("FAILED", 2 * BATCH)
    assert "right file" in found["errors"][0]["message"]


def test_one_row_has_only_so_many_problems_written_down(client, admin, send, work, monkeypatch):
    monkeypatch.setattr(run, "MOST_OF_ONE_ROW", 1)
    sent = send(f"{HEADER}\n,123,,,free\n").json["id"]
    work()
    assert len(client.get(f"{PATH}/{sent}/problems", headers=admin).json["items"]) == 1
