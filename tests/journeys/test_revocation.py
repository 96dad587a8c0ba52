"""What is revoked is refused by the gateway and by every service within a second, by real processes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests

from tests.support.shopper import Person, Staff
from tests.support.stack import Stack

WITHIN_SECONDS = 1.0
PATHS = {
    "gateway": "/api/v1/orders",
    "auth-web": "/userinfo",
    "catalog-web": "/api/v1/books",
    "order-web": "/api/v1/orders",
    "review-web": "/api/v1/reviews",
}


def statuses(store: Stack, person: Person) -> dict[str, int]:
    return {name: person.http.get(store.address(name) + path, timeout=10).status_code for name, path in PATHS.items()}


def require_refused_within_a_second(store: Stack, person: Person, revoke: Callable[[], requests.Response]) -> None:
    assert set(statuses(store, person).values()) == {200}
    revoke().raise_for_status()
    since = time.monotonic()
    while set(seen := statuses(store, person).values()) != {401}:
        assert time.monotonic() - since < WITHIN_SECONDS, f"still {seen}"


def test_signing_out(store: Stack, buyer: Person) -> None:
    other = Person.register(store.gateway)
    require_refused_within_a_second(store, buyer, lambda: buyer.send("POST", "/auth/logout"))
    assert set(statuses(store, other).values()) == {200}


def test_erasing_oneself(store: Stack, buyer: Person) -> None:
    require_refused_within_a_second(store, buyer, lambda: buyer.send("DELETE", "/users/me"))


def test_deactivation(store: Stack, admin: Staff, buyer: Person) -> None:
    user_id = buyer.get("/auth/me")["id"]
    path = f"/admin/users/{user_id}"
    require_refused_within_a_second(store, buyer, lambda: admin.send("PATCH", f"{path}/deactivate"))
    assert admin.send("PATCH", f"{path}/reactivate").json()["is_active"] is True


@pytest.mark.parametrize("process", [name for name in PATHS if name != "auth-web"])
def test_a_process_that_starts_knows_what_was_revoked_before(store: Stack, buyer: Person, process: str) -> None:
    buyer.send("POST", "/auth/logout").raise_for_status()
    store.restart(process)
    answer = buyer.http.get(store.address(process) + PATHS[process], timeout=10)
    assert answer.status_code == 401
