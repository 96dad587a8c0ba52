"""Signing keys change under load, by the operator's command, and no request is refused by any process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import jwt
import requests

from tests.support.shopper import PASSWORD, Person
from tests.support.stack import Stack
from tests.support.waiting import eventually

READERS = 4
ROTATIONS = 3
PATHS = {
    "gateway": "/api/v1/orders",
    "auth-web": "/userinfo",
    "order-web": "/api/v1/orders",
    "review-web": "/api/v1/reviews",
}


class Reader:
    """Refreshes, then asks each process with the new token, until told to stop."""

    def __init__(self, store: Stack) -> None:
        self._store = store
        self.name = Person.register(store.gateway).get("/auth/me")["username"]
        self.signed_by: set[str] = set()
        self.rounds = 0

    def read_on(self, stop: threading.Event) -> list[str]:
        refused: list[str] = []
        with requests.Session() as http:
            tokens = self._ask(http, "login", {"identifier": self.name, "password": PASSWORD})
            while not stop.is_set() and not refused:
                tokens = self._ask(http, "refresh", {"refresh_token": tokens["refresh_token"]})
                self.signed_by.add(jwt.get_unverified_header(tokens["access_token"])["kid"])
                header = {"Authorization": f"Bearer {tokens['access_token']}"}
                for process, path in PATHS.items():
                    answer = http.get(self._store.address(process) + path, headers=header, timeout=10)
                    refused += [f"{process}: {answer.text}"] if answer.status_code != 200 else []
                self.rounds += 1
        return refused

    def _ask(self, http: requests.Session, what: str, body: dict[str, str]) -> dict[str, str]:
        answer = http.post(f"{self._store.gateway}/api/v1/auth/{what}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens


def test_no_request_is_refused(store: Stack) -> None:
    readers, stop = [Reader(store) for _ in range(READERS)], threading.Event()
    with ThreadPoolExecutor(READERS) as threads:
        jobs = [threads.submit(reader.read_on, stop) for reader in readers]
        try:
            for turn in range(1, ROTATIONS + 1):
                eventually(lambda turn=turn: all(len(each.signed_by) >= turn for each in readers), within=30)
                done = store.command("auth", "rotate-keys")
                assert done.returncode == 0, done.stderr
            eventually(lambda: all(len(each.signed_by) > ROTATIONS for each in readers), within=30)
        finally:
            stop.set()
    assert [job.result() for job in jobs] == [[]] * READERS
