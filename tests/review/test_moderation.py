"""Reports, and what the staff do about them, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from common.db import Database
from common.events.administration import ReviewsAdminActed
from common.events.auth import UserErased
from common.events.reviews import BookRatingChanged
from common.ids import new_id
from review_service.domain import people, ratings
from review_service.events import HANDLERS
from tests.review.factories import post, reviewed
from tests.support.database import deliver, emitted
from tests.support.tokens import bearer

ADMIN = "/api/v1/admin/reviews"


@pytest.fixture
def moderator() -> UUID:
    return new_id()


@pytest.fixture
def staff(moderator: UUID) -> dict[str, str]:
    return bearer(subject=moderator, role="admin")


def hide(client: FlaskClient, review: dict[str, Any], staff: dict[str, str], reason: str = "Abuse") -> Any:
    return client.post(f"{ADMIN}/{review['id']}/hide", json={"reason": reason}, headers=staff)


def restore(client: FlaskClient, review: dict[str, Any], staff: dict[str, str]) -> Any:
    return client.post(f"{ADMIN}/{review['id']}/restore", headers=staff)


def report(client: FlaskClient, review: dict[str, Any], user: UUID | None = None, **body: Any) -> Any:
    return client.post(f"/api/v1/reviews/{review['id']}/report", json=body, headers=bearer(subject=user or new_id()))


def queue(client: FlaskClient, staff: dict[str, str], query: str = "") -> list[str]:
    return [item["id"] for item in client.get(f"{ADMIN}?{query}", headers=staff).json["items"]]


def acts(database: Database) -> list[ReviewsAdminActed]:
    return [event for event in emitted(database) if isinstance(event, ReviewsAdminActed)]


def agrees(database: Database) -> bool:
    with database.read() as session:
        return not ratings.disagreements(session)


class TestReport:
    def test_counts_once_for_each_user_and_is_seen_by_the_staff_alone(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        review, user = reviewed(database, client, new_id()), new_id()
        assert report(client, review, user, reason=" Spam ").status_code == 204
        assert report(client, review, user, reason="Spam again").status_code == 204
        assert client.post(f"/api/v1/reviews/{review['id']}/report", headers=bearer()).status_code == 204
        assert client.get(f"{ADMIN}/{review['id']}", headers=staff).json["report_count"] == 2
        reports = client.get(f"{ADMIN}/{review['id']}/reports", headers=staff).json["items"]
        assert [each["reason"] for each in reports] == [None, "Spam"]
        assert reports[1]["user_id"] == str(user)
        shown = client.get(f"/api/v1/reviews/{review['id']}")
        assert "report_count" not in shown.json
        assert shown.headers["ETag"] == review["etag"]

    def test_is_not_for_ones_own_review(self, database: Database, client: FlaskClient) -> None:
        user = new_id()
        answer = report(client, reviewed(database, client, new_id(), user=user), user)
        assert (answer.status_code, answer.json["code"]) == (403, "own_review")

    @pytest.mark.parametrize("body", [{"reason": ""}, {"reason": "x" * 501}, {"reason": 7}, {"why": "x"}, []])
    def test_with_a_wrong_body_is_refused(self, database: Database, client: FlaskClient, body: Any) -> None:
        path = f"/api/v1/reviews/{reviewed(database, client, new_id())['id']}/report"
        assert client.post(path, json=body, headers=bearer()).status_code == 422

    def test_of_what_is_not_there_is_not_found(self, client: FlaskClient) -> None:
        assert report(client, {"id": new_id()}).status_code == 404

    def test_after_a_decision_opens_the_case_again_only_for_others(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        review, user = reviewed(database, client, new_id()), new_id()
        report(client, review, user)
        assert restore(client, review, staff).json["report_count"] == 0
        report(client, review, user)
        assert queue(client, staff, "reported=true") == []
        report(client, review)
        assert queue(client, staff, "reported=true") == [review["id"]]
        closed = client.get(f"{ADMIN}/{review['id']}/reports", headers=staff).json["items"]
        assert [each["closed_at"] is None for each in closed] == [True, False]
        assert [act.action for act in acts(database)] == ["review.kept"]

    def test_is_in_the_export_and_ends_with_its_user(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        review, user = reviewed(database, client, new_id()), new_id()
        report(client, review, user, reason="Spam")
        report(client, review)
        with database.read() as session:
            (held,) = people.data(session, user)["reports"]
        assert (str(held["review_id"]), held["reason"]) == (review["id"], "Spam")
        for _ in range(2):
            deliver(database, HANDLERS, UserErased(user_id=user))
        with database.read() as session:
            assert people.data(session, user)["reports"] == []
        assert client.get(f"{ADMIN}/{review['id']}", headers=staff).json["report_count"] == 1

    def test_that_was_closed_is_erased_without_reopening(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        review, user = reviewed(database, client, new_id()), new_id()
        report(client, review, user)
        restore(client, review, staff)
        report(client, review)
        deliver(database, HANDLERS, UserErased(user_id=user))
        assert client.get(f"{ADMIN}/{review['id']}", headers=staff).json["report_count"] == 1


class TestQueue:
    def test_has_the_most_reported_first_and_goes_through_all_pages(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        book = new_id()
        for number in (0, 2, 1, 2, 0):
            review = reviewed(database, client, book)
            for _ in range(number):
                report(client, review)
        seen, cursor = [], ""
        while cursor is not None:
            page = client.get(f"{ADMIN}?limit=2&total=true&cursor={cursor}", headers=staff).json
            assert page["total"] == 5
            seen += page["items"]
            cursor = page["next_cursor"]
        assert [item["report_count"] for item in seen] == [2, 2, 1, 0, 0]
        assert len({item["id"] for item in seen}) == 5

    def test_filters(self, database: Database, client: FlaskClient, staff: dict[str, str]) -> None:
        book, user = new_id(), new_id()
        plain = reviewed(database, client, book, user=user, rating=1)
        hidden, deleted = reviewed(database, client, book), reviewed(database, client, book)
        reported = reviewed(database, client, new_id())
        report(client, reported)
        hide(client, hidden, staff)
        client.delete(f"/api/v1/reviews/{deleted['id']}", headers=deleted["headers"])
        assert queue(client, staff, "reported=true") == [reported["id"]]
        assert queue(client, staff, "reported=false") == [hidden["id"], plain["id"]]
        assert queue(client, staff, "status=hidden") == queue(client, staff, "hidden=true") == [hidden["id"]]
        assert queue(client, staff, "hidden=false") == queue(client, staff, "status=visible")
        assert queue(client, staff, "status=deleted") == [deleted["id"]]
        assert queue(client, staff, f"book_id={book}") == [hidden["id"], plain["id"]]
        assert queue(client, staff, f"user_id={user}") == queue(client, staff, "rating=1") == [plain["id"]]
        statuses = {item["id"]: item["status"] for item in client.get(ADMIN, headers=staff).json["items"]}
        assert statuses == {plain["id"]: "visible", hidden["id"]: "hidden", reported["id"]: "visible"}

    @pytest.mark.parametrize("query", ["status=gone", "reported=perhaps", "limit=101", "cursor=W10", "rating=0", "q=x"])
    def test_a_wrong_query_is_named(self, client: FlaskClient, staff: dict[str, str], query: str) -> None:
        answer = client.get(f"{ADMIN}?{query}", headers=staff)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, query.partition("=")[0])


class TestHidden:
    def test_is_gone_for_everybody_but_its_writer_and_the_staff(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        book, user = new_id(), new_id()
        review = reviewed(database, client, book, user=user, rating=1)
        kept = reviewed(database, client, book, rating=5)
        client.post(f"/api/v1/reviews/{review['id']}/helpful", headers=bearer())
        assert hide(client, review, staff).json["status"] == "hidden"
        path = f"/api/v1/reviews/{review['id']}"
        for headers in ({}, bearer(), kept["headers"]):
            assert client.get(path, headers=headers).status_code == 404
            for scope in (f"books/{book}/reviews?total=true", "reviews?total=true"):
                page = client.get(f"/api/v1/{scope}", headers=headers).json
                assert ([item["id"] for item in page["items"]], page["total"]) == ([kept["id"]], 1)
            assert client.get(f"/api/v1/reviews?user_id={user}", headers=headers).json["items"] == []
        summary = client.get(f"/api/v1/books/{book}/reviews", headers=review["headers"]).json
        assert (summary["count"], summary["average"], summary["histogram"]["1"]) == (1, 5.0, 0)
        for headers in (review["headers"], staff):
            shown = client.get(path, headers=headers).json
            assert (shown["is_hidden"], shown["hidden_reason"]) == (True, "Abuse")
        own = {item["id"]: item["is_hidden"] for item in summary["items"]}
        assert own == {review["id"]: True, kept["id"]: False}
        assert agrees(database)

    def test_is_told_to_the_catalog_and_to_the_audit_trail(
        self, database: Database, client: FlaskClient, staff: dict[str, str], moderator: UUID
    ) -> None:
        book, user = new_id(), new_id()
        review = reviewed(database, client, book, user=user, rating=1, title="Foul", body="Words")
        for _ in range(2):
            assert hide(client, review, staff, "Abuse").status_code == 200
        for _ in range(2):
            assert restore(client, review, staff).json["status"] == "visible"
        told = [event for event in emitted(database) if isinstance(event, BookRatingChanged)]
        assert [(event.version, event.count) for event in told] == [(1, 1), (2, 0), (3, 1)]
        hidden, restored = acts(database)
        assert (hidden.action, hidden.reason, hidden.actor_id) == ("review.hidden", "Abuse", str(moderator))
        assert hidden.resource_id == review["id"]
        said = {"rating": 1, "title": "Foul", "body": "Words"}
        assert hidden.before == {"book_id": str(book), "user_id": str(user), **said}
        assert (restored.action, restored.before) == (
            "review.restored",
            {"is_deleted": False, "hidden_reason": "Abuse"},
        )

    def test_cannot_be_voted_for_or_reported(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        review, voter = reviewed(database, client, new_id()), bearer()
        path = f"/api/v1/reviews/{review['id']}"
        client.post(f"{path}/helpful", headers=voter)
        hide(client, review, staff)
        for answer in (
            client.post(f"{path}/helpful", headers=bearer()),
            client.delete(f"{path}/helpful", headers=voter),
            client.post(f"{path}/report", headers=bearer()),
            client.post(f"{path}/helpful", headers=staff),
            client.patch(path, json={"rating": 1}, headers=bearer()),
            client.delete(path, headers=bearer()),
        ):
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")
        restore(client, review, staff)
        assert client.get(path).json["helpful_count"] == 1

    def test_is_changed_by_its_writer_without_being_counted(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        book = new_id()
        review = reviewed(database, client, book, rating=1)
        hide(client, review, staff)
        changed = client.patch(f"/api/v1/reviews/{review['id']}", json={"rating": 4}, headers=review["headers"])
        assert (changed.json["rating"], changed.json["is_hidden"]) == (4, True)
        assert client.get(f"/api/v1/books/{book}/reviews").json["count"] == 0
        assert agrees(database)
        restore(client, review, staff)
        assert client.get(f"/api/v1/books/{book}/reviews").json["average"] == 4.0
        assert agrees(database)

    def test_is_no_way_to_a_second_review(self, database: Database, client: FlaskClient, staff: dict[str, str]) -> None:
        book, user = new_id(), new_id()
        review = reviewed(database, client, book, user=user)
        hide(client, review, staff)
        assert post(client, book, user=user).json["code"] == "already_reviewed"
        assert client.delete(f"/api/v1/reviews/{review['id']}", headers=review["headers"]).status_code == 204
        again = post(client, book, user=user)
        assert (again.status_code, again.json["is_hidden"], again.json["hidden_reason"]) == (201, True, "Abuse")
        assert client.get(f"/api/v1/books/{book}/reviews").json["items"] == []
        assert agrees(database)
        restore(client, again.json, staff)
        client.delete(f"/api/v1/reviews/{again.json['id']}", headers=review["headers"])
        assert post(client, book, user=user).json["is_hidden"] is False
        assert agrees(database)

    def test_ends_with_its_writer(self, database: Database, client: FlaskClient, staff: dict[str, str]) -> None:
        book, user = new_id(), new_id()
        hide(client, reviewed(database, client, book, user=user, title="Foul"), staff)
        with database.read() as session:
            (held,) = people.data(session, user)["reviews"]
        assert held["hidden_reason"] == "Abuse"
        deliver(database, HANDLERS, UserErased(user_id=user))
        assert queue(client, staff) == []
        assert agrees(database)

    def test_is_hidden_as_it_was_read(self, database: Database, client: FlaskClient, staff: dict[str, str]) -> None:
        review = reviewed(database, client, new_id())
        client.patch(f"/api/v1/reviews/{review['id']}", json={"title": "Kinder"}, headers=review["headers"])
        stale = staff | {"If-Match": review["etag"]}
        for answer in (hide(client, review, stale), restore(client, review, stale)):
            assert answer.status_code == 412
        as_read = staff | {"If-Match": client.get(f"{ADMIN}/{review['id']}", headers=staff).headers["ETag"]}
        client.post(f"/api/v1/reviews/{review['id']}/helpful", headers=bearer())
        assert hide(client, review, as_read).status_code == 200
        assert restore(client, review, as_read).status_code == 412

    def test_is_not_restored_by_who_has_not_seen_that_it_was_deleted_since(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        review = reviewed(database, client, new_id())
        as_read = staff | {"If-Match": hide(client, review, staff).headers["ETag"]}
        client.delete(f"/api/v1/reviews/{review['id']}", headers=staff)
        assert restore(client, review, as_read).status_code == 412

    @pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": None}, {"reason": "x" * 501}])
    def test_needs_a_reason(
        self, database: Database, client: FlaskClient, staff: dict[str, str], body: dict[str, Any]
    ) -> None:
        path = f"{ADMIN}/{reviewed(database, client, new_id())['id']}/hide"
        answer = client.post(path, json=body, headers=staff)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "reason")


class TestDeletedByTheStaff:
    def test_is_restored_whole(self, database: Database, client: FlaskClient, staff: dict[str, str]) -> None:
        book = new_id()
        review = reviewed(database, client, book, rating=2)
        hide(client, review, staff)
        client.delete(f"/api/v1/reviews/{review['id']}", headers=staff)
        restored = restore(client, review, staff)
        assert (restored.status_code, restored.json["status"], restored.json["is_hidden"]) == (200, "visible", False)
        assert client.get(f"/api/v1/books/{book}/reviews").json["average"] == 2.0
        assert agrees(database)
        assert acts(database)[-1].before == {"is_deleted": True, "hidden_reason": "Abuse"}

    def test_stays_so_once_its_writer_has_written_another(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        book, user = new_id(), new_id()
        review = reviewed(database, client, book, user=user)
        client.delete(f"/api/v1/reviews/{review['id']}", headers=staff)
        another = post(client, book, user=user).json
        answer = restore(client, review, staff)
        assert (answer.status_code, answer.json["code"]) == (409, "already_reviewed")
        assert [item["id"] for item in client.get("/api/v1/reviews").json["items"]] == [another["id"]]
        assert agrees(database)

    def test_is_not_what_its_writer_deleted(
        self, database: Database, client: FlaskClient, staff: dict[str, str]
    ) -> None:
        review = reviewed(database, client, new_id())
        client.delete(f"/api/v1/reviews/{review['id']}", headers=review["headers"])
        assert restore(client, review, staff).status_code == 404


class TestBulkDelete:
    def test_says_of_each_what_became_of_it(
        self, database: Database, client: FlaskClient, staff: dict[str, str], moderator: UUID
    ) -> None:
        book, other, missing, user = new_id(), new_id(), str(new_id()), new_id()
        first, second = reviewed(database, client, book, user=user), reviewed(database, client, other)
        hidden, kept = reviewed(database, client, book), reviewed(database, client, book)
        hide(client, hidden, staff)
        ids = [second["id"], missing, first["id"], hidden["id"], first["id"]]
        body = {"ids": ids, "reason": "A campaign"}
        answer = client.post(f"{ADMIN}/bulk-delete", json=body, headers=staff)
        assert answer.status_code == 200
        assert answer.json["results"] == [
            {"id": second["id"], "outcome": "deleted"},
            {"id": missing, "outcome": "not_found"},
            {"id": first["id"], "outcome": "deleted"},
            {"id": hidden["id"], "outcome": "deleted"},
        ]
        again = client.post(f"{ADMIN}/bulk-delete", json=body, headers=staff).json["results"]
        assert {result["outcome"] for result in again} == {"not_found"}
        deletions = [act for act in acts(database) if act.action == "review.deleted"]
        assert {act.resource_id for act in deletions} == {first["id"], second["id"], hidden["id"]}
        assert {(act.reason, act.actor_id) for act in deletions} == {("A campaign", str(moderator))}
        assert [item["id"] for item in client.get("/api/v1/reviews").json["items"]] == [kept["id"]]
        assert agrees(database)
        assert post(client, book, user=user).status_code == 201

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"ids": [], "reason": "x"}, "ids"),
            ({"ids": [str(new_id())]}, "reason"),
            ({"ids": ["x"], "reason": "x"}, "ids.0"),
            ({"ids": [str(new_id()) for _ in range(101)], "reason": "x"}, "ids"),
        ],
    )
    def test_with_a_wrong_body_is_refused(
        self, client: FlaskClient, staff: dict[str, str], body: dict[str, Any], field: str
    ) -> None:
        answer = client.post(f"{ADMIN}/bulk-delete", json=body, headers=staff)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)


class TestSpoilers:
    def test_are_marked_by_their_writer_and_served_whole(self, database: Database, client: FlaskClient) -> None:
        review = reviewed(database, client, new_id(), body="The butler.", contains_spoiler=True)
        path, headers = f"/api/v1/reviews/{review['id']}", review["headers"]
        shown = client.get(path).json
        assert (shown["contains_spoiler"], shown["body"]) == (True, "The butler.")
        assert client.patch(path, json={"title": "x"}, headers=headers).json["contains_spoiler"] is True
        assert client.patch(path, json={"contains_spoiler": False}, headers=headers).json["contains_spoiler"] is False
        client.patch(path, json={"contains_spoiler": True}, headers=headers)
        assert client.put(path, json={"rating": 4}, headers=headers).json["contains_spoiler"] is False
        for wrong in (None, "yes", 1):
            assert client.patch(path, json={"contains_spoiler": wrong}, headers=headers).status_code == 422

    @pytest.mark.parametrize("decision", [True, False])
    def test_are_settled_by_the_staff_for_good(
        self, database: Database, client: FlaskClient, staff: dict[str, str], decision: bool
    ) -> None:
        review = reviewed(database, client, new_id(), contains_spoiler=not decision)
        path, mine = f"{ADMIN}/{review['id']}", f"/api/v1/reviews/{review['id']}"
        for _ in range(2):
            settled = client.patch(path, json={"contains_spoiler": decision}, headers=staff)
            assert (settled.json["contains_spoiler"], settled.json["spoiler_settled"]) == (decision, True)
        changed = client.patch(mine, json={"contains_spoiler": not decision}, headers=review["headers"])
        assert (changed.status_code, changed.json["contains_spoiler"]) == (200, decision)
        (act,) = acts(database)
        assert (act.action, act.after) == (
            "review.spoiler_settled",
            {"contains_spoiler": decision, "spoiler_settled": True},
        )
        stale = staff | {"If-Match": review["etag"]}
        assert client.patch(path, json={"contains_spoiler": not decision}, headers=stale).status_code == 412
