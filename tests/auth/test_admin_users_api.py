"""/api/v1/admin/users and /api/v1/admin/audit, as API.md has them."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from auth_service.domain import administration, letters
from auth_service.events import HANDLERS
from auth_service.models import User
from common.db import Database, utcnow
from common.errors import Conflict
from common.events.administration import CatalogAdminActed, ReviewsAdminActed
from common.events.auth import UserDeactivated, UserErased, UserReactivated, UserUpdated
from common.ids import new_id
from tests.auth.conftest import PASSWORD
from tests.support.database import deliver, emitted
from tests.support.waiting import eventually

PATH = "/api/v1/admin/users"
AUDIT = "/api/v1/admin/audit"
NEW = {"username": "carla", "email": "carla@example.com", "password": PASSWORD, "role": "customer"}
FIELDS = {"id", "username", "email", "role", "is_active", "email_verified", "created_at", "updated_at"}


def header(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def login(client: FlaskClient, name: str) -> Any:
    return client.post("/api/v1/auth/login", json={"identifier": name, "password": PASSWORD})


@pytest.mark.parametrize("method", ["get", "post"])
def test_only_staff_may(client: FlaskClient, user: Any, sign_in: Any, method: str) -> None:
    ask = getattr(client, method)
    assert ask(PATH, json=NEW).status_code == 401
    assert ask(PATH, json=NEW, headers=header(sign_in(user))).status_code == 403


def test_an_account_can_be_made_in_any_role(client: FlaskClient, admin: dict[str, str]) -> None:
    made = client.post(PATH, json=NEW | {"role": "admin"}, headers=admin)
    assert made.status_code == 201
    assert made.json.keys() == FIELDS
    assert made.json["role"] == "admin"
    assert client.get(f"{PATH}/{made.json['id']}", headers=admin).json == made.json
    assert login(client, "carla").status_code == 200
    assert client.post(PATH, json=NEW, headers=admin).status_code == 409
    weak = client.post(PATH, json=NEW | {"password": "password", "role": "king"}, headers=admin)
    assert (weak.status_code, [each["field"] for each in weak.json["errors"]]) == (422, ["role"])


def test_the_list_is_filtered_and_paged(client: FlaskClient, admin: dict[str, str], make_user: Any) -> None:
    made = [make_user(name) for name in ("ann", "anna", "bert_100")]
    client.patch(f"{PATH}/{made[0]['id']}/deactivate", headers=admin)

    def names(query: str) -> list[str]:
        answer = client.get(f"{PATH}?{query}", headers=admin)
        assert answer.status_code == 200, answer.json
        return [each["username"] for each in answer.json["items"]]

    assert names("q=ANN") == ["anna", "ann"]
    assert (names("q=_1"), names("q=%25"), names("q=n_a")) == (["bert_100"], [], [])
    assert names("role=admin") == ["boss"]
    assert names("is_active=false") == ["ann"]
    assert names("q=ann&is_active=true") == ["anna"]
    first = client.get(f"{PATH}?limit=2&total=true", headers=admin).json
    second = client.get(f"{PATH}?limit=2&cursor={first['next_cursor']}", headers=admin).json
    assert [each["username"] for each in first["items"] + second["items"]] == ["bert_100", "anna", "ann", "boss"]
    assert (first["total"], second["next_cursor"]) == (4, None)
    assert client.get(f"{PATH}?role=king", headers=admin).status_code == 422


@pytest.mark.parametrize("id", ["01a1fca7-56b0-7024-a1c5-5813000ebd3a", "x", "99999999999"])
def test_an_unknown_user_is_not_found(client: FlaskClient, admin: dict[str, str], id: str) -> None:
    for method, path in (("get", ""), ("delete", ""), ("patch", "/deactivate"), ("patch", "/reactivate")):
        assert getattr(client, method)(f"{PATH}/{id}{path}", headers=admin).status_code == 404


def test_another_role_makes_older_tokens_worthless(
    client: FlaskClient, admin: dict[str, str], user: Any, sign_in: Any, database: Database
) -> None:
    tokens = sign_in(user)
    change = {"username": "reader", "email": user["email"], "role": "admin"}
    answer = client.put(f"{PATH}/{user['id']}", json=change, headers=admin)
    assert (answer.status_code, answer.json["role"]) == (200, "admin")
    event = emitted(database)[-1]
    assert isinstance(event, UserUpdated)
    assert event.role == "admin"
    eventually(lambda: client.get("/api/v1/auth/me", headers=header(tokens)).status_code == 401, within=1.0)
    renewed = client.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json
    assert client.get(PATH, headers=header(renewed)).status_code == 200


def test_deactivating_ends_everything_and_reactivating_lets_in_again(
    client: FlaskClient, admin: dict[str, str], user: Any, sign_in: Any, database: Database
) -> None:
    tokens = sign_in(user)
    assert client.patch(f"{PATH}/{user['id']}/deactivate", headers=admin).json["is_active"] is False
    refresh = {"refresh_token": tokens["refresh_token"]}
    assert client.get("/api/v1/auth/me", headers=header(tokens)).status_code == 401
    assert client.post("/api/v1/auth/refresh", json=refresh).status_code == 401
    assert login(client, "reader").status_code == 401
    assert client.patch(f"{PATH}/{user['id']}/reactivate", headers=admin).json["is_active"] is True
    assert client.post("/api/v1/auth/refresh", json=refresh).status_code == 401
    assert client.get("/api/v1/auth/me", headers=header(sign_in(user))).status_code == 200
    assert [type(each) for each in emitted(database)[-2:]] == [UserDeactivated, UserReactivated]


def test_deleting_is_erasing(client: FlaskClient, admin: dict[str, str], user: Any, database: Database) -> None:
    client.patch(f"{PATH}/{user['id']}/deactivate", headers=admin)
    assert client.delete(f"{PATH}/{user['id']}", headers=admin).status_code == 204
    assert isinstance(emitted(database)[-1], UserErased)
    assert client.get(f"{PATH}/{user['id']}", headers=admin).status_code == 404
    with database.read() as session:
        assert user["email"] not in str(session.execute(text("SELECT * FROM audit")).all())


def test_erasing_takes_mails_to_a_former_address_too(
    client: FlaskClient, admin: dict[str, str], user: Any, database: Database
) -> None:
    path, recipients = f"{PATH}/{user['id']}", text("SELECT recipient FROM mail")
    with database.transaction() as session:
        letters.write(session, session.get_one(User, UUID(user["id"])), "password_changed")
    moved = {"username": user["username"], "email": "elsewhere@example.com", "role": "customer"}
    assert client.put(path, json=moved, headers=admin).status_code == 200
    with database.read() as session:
        assert user["email"] in session.scalars(recipients).all()
    client.delete(path, headers=admin)
    with database.read() as session:
        assert user["email"] not in session.scalars(recipients).all()


def test_what_an_erased_person_wrote_leaves_the_audit_trail(
    client: FlaskClient, admin: dict[str, str], user: Any, database: Database
) -> None:
    (boss,) = client.get(f"{PATH}?role=admin", headers=admin).json["items"]
    told_before, of_another, told_late = (review_deleted(writer) for writer in (user["id"], boss["id"], user["id"]))
    for event in (told_before, of_another):
        deliver(database, HANDLERS, event)
    client.delete(f"{PATH}/{user['id']}", headers=admin)
    deliver(database, HANDLERS, told_late)
    trail = client.get(f"{AUDIT}?resource=review", headers=admin).json["items"]
    kept = {entry["resource_id"]: entry["before"] for entry in trail}
    assert kept == {
        told_before.resource_id: None,
        of_another.resource_id: of_another.before,
        told_late.resource_id: None,
    }


def review_deleted(writer: str) -> ReviewsAdminActed:
    return ReviewsAdminActed(
        id=new_id(),
        actor_id=str(new_id()),
        action="review.deleted",
        resource="review",
        resource_id=str(new_id()),
        at=utcnow(),
        before={"user_id": writer, "body": "Foul words"},
    )


@pytest.mark.parametrize("way", ["delete", "deactivate", "demote", "put"])
def test_the_last_admin_stays(client: FlaskClient, admin: dict[str, str], way: str) -> None:
    (boss,) = client.get(f"{PATH}?role=admin", headers=admin).json["items"]
    same = {"username": "boss", "email": boss["email"], "role": "admin"}
    path = f"{PATH}/{boss['id']}"
    answer = {
        "delete": lambda: client.delete(path, headers=admin),
        "deactivate": lambda: client.patch(f"{path}/deactivate", headers=admin),
        "demote": lambda: client.put(path, json=same | {"role": "customer"}, headers=admin),
        "put": lambda: client.put(path, json=same | {"is_active": False}, headers=admin),
    }[way]()
    assert (answer.status_code, answer.json["code"]) == (409, "last_admin")
    assert client.get(path, headers=admin).json["is_active"] is True


def test_of_admins_who_leave_at_the_same_time_one_stays(make_user: Any, database: Database) -> None:
    ids = [make_user(f"admin-{number}", role="admin")["id"] for number in range(6)]
    start = threading.Barrier(len(ids))

    def leave(number: int) -> None:
        with database.transaction() as session:
            user = session.get_one(User, ids[number])
            start.wait()
            ways = (administration.deactivate, administration.erase, demote)
            ways[number % 3](session, user)

    def demote(session: Any, user: User) -> None:
        administration.change(session, user, username=user.username, email=user.email, role="customer", is_active=True)

    refused = []

    def run(number: int) -> None:
        try:
            leave(number)
        except Conflict:
            refused.append(number)

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(ids))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        left = session.scalar(select(func.count()).select_from(User).where(User.role == "admin", User.is_active))
    assert (left, len(refused)) == (1, 1)


def test_every_admin_write_is_in_the_audit_trail(client: FlaskClient, admin: dict[str, str]) -> None:
    made = client.post(PATH, json=NEW, headers=admin | {"X-Request-ID": "the-request"}).json
    change = {"username": "carla", "email": "carla@example.com", "role": "admin"}
    client.put(f"{PATH}/{made['id']}", json=change, headers=admin)
    client.patch(f"{PATH}/{made['id']}/deactivate", headers=admin)
    body = {"client_name": "m", "grant_types": ["client_credentials"], "scope": "orders:read"}
    app = client.post("/api/v1/admin/clients", json=body, headers=admin).json
    client.post(f"/api/v1/admin/clients/{app['client_id']}/rotate-secret", headers=admin)
    client.delete(f"/api/v1/admin/clients/{app['client_id']}", headers=admin)
    entries = client.get(AUDIT, headers=admin).json["items"]
    actions = ["user.created", "user.updated", "user.deactivated"]
    actions += ["client.created", "client.secret_rotated", "client.deleted"]
    assert [each["action"] for each in reversed(entries)] == actions
    created, updated = entries[-1], entries[-2]
    assert (created["request_id"], created["after"]["username"]) == ("the-request", "carla")
    assert (updated["before"], updated["after"]) == ({"role": "customer"}, {"role": "admin"})
    assert PASSWORD not in str(entries)
    assert app["client_secret"] not in str(entries)


def test_what_the_other_services_tell_is_in_it_once(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    event = CatalogAdminActed(
        id=new_id(),
        actor_id=str(new_id()),
        action="book.updated",
        resource="book",
        resource_id=str(new_id()),
        at=utcnow(),
        before={"price": "10.00"},
        after={"price": "12.00"},
    )
    for _ in range(2):
        deliver(database, HANDLERS, event)

    def found(query: str) -> int:
        return len(client.get(f"{AUDIT}?{query}", headers=admin).json["items"])

    (entry,) = client.get(f"{AUDIT}?service=catalog", headers=admin).json["items"]
    assert (entry["action"], entry["before"], entry["after"]) == (event.action, event.before, event.after)
    assert found(f"actor_id={event.actor_id}") == found(f"resource_id={event.resource_id}") == 1
    assert found("action=book.updated&resource=book&until=2100-01-01T00:00:00Z") == 1
    assert found("since=2100-01-01T00:00:00Z") == found("resource=user") == 0
    for no_time in ("yesterday", "0.5", "1700000000"):
        assert client.get(f"{AUDIT}?since={no_time}", headers=admin).status_code == 422


def test_the_audit_trail_is_for_staff(client: FlaskClient, user: Any, sign_in: Any) -> None:
    assert client.get(AUDIT).status_code == 401
    assert client.get(AUDIT, headers=header(sign_in(user))).status_code == 403
