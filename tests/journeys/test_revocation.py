"""What is revoked is refused by the gateway and by every service within a second, by real processes."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import requests

from tests.support.shopper import Person, Staff
from tests.support.stack import Stack
from tests.support.waiting import eventually

WITHIN_SECONDS = 1.0
BUSY_SECONDS = 5.0
"""The same on a machine whose cores are all taken by sign-ins."""
PEOPLE = 32
PATHS = {
    "gateway": "/api/v1/orders",
    "auth-web": "/userinfo",
    "catalog-web": "/api/v1/books",
    "order-web": "/api/v1/orders",
    "review-web": "/api/v1/reviews",
}


def statuses(store: Stack, person: Person) -> dict[str, int]:
    return {name: person.http.get(store.address(name) + path, timeout=10).status_code for name, path in PATHS.items()}


def require_refused_within_a_second(
    store: Stack, person: Person, revoke: Callable[[], requests.Response], within: float = WITHIN_SECONDS
) -> None:
    assert set(statuses(store, person).values()) == {200}
    revoke().raise_for_status()
    since = time.monotonic()
    while set(seen := statuses(store, person).values()) != {401}:
        assert time.monotonic() - since < within, f"still {seen}"


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


@contextmanager
def signing_in(store: Stack) -> Iterator[list[float]]:
    """So many people at a time, one after the other, until the block ends; how long each of them waited."""
    waited: list[float] = []
    done = threading.Event()
    alice = store.accounts["alice"]

    def again_and_again() -> None:
        while not done.is_set():
            began = time.monotonic()
            with suppress(requests.HTTPError):  # who has waited too long is asked to come back
                Person.sign_in(store.gateway, alice.email, alice.password)
            waited.append(time.monotonic() - began)

    threads = [threading.Thread(target=again_and_again) for _ in range(PEOPLE)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(waited) >= PEOPLE, within=60)
        yield waited
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_people_who_sign_in_hold_up_nobody(store: Stack, buyer: Person) -> None:
    """What needs no hash does not wait behind all those that do: neither the logout, nor who asks what was revoked."""
    quick: list[float] = []
    with signing_in(store) as waited:
        for _ in range(9):
            began = time.monotonic()
            requests.get(f"{store.gateway}/.well-known/jwks.json", timeout=60).raise_for_status()
            quick.append(time.monotonic() - began)
        require_refused_within_a_second(store, buyer, lambda: buyer.send("POST", "/auth/logout"), BUSY_SECONDS)
    assert statistics.median(quick) < statistics.median(waited) / 4, f"{quick} beside {waited}"
