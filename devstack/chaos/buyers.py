"""Buyers who do not give up: each request is sent again, under the same key, until there is an answer."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import requests

TIMEOUT_SECONDS = 15
PAUSE_SECONDS = 0.1
RETRIED = frozenset({409, 429, 500, 502, 503, 504})
PATIENCE_SECONDS = 3.0
TRIES_TO_PAY = 3
LOOKED_AT_AFTER = 5
"""A buyer looks at an order when so many more of theirs are placed: by then it is usually decided."""


class GaveUp(Exception):
    """The store refused what it must not refuse, or did not answer in time."""


class Client:
    """Somebody signed in, who signs in again when the token has expired."""

    def __init__(self, gateway: str, identifier: str, password: str, *, deadline: float) -> None:
        self._api = f"{gateway}/api/v1"
        self._login = {"identifier": identifier, "password": password}
        self._deadline = deadline
        self._http = requests.Session()

    def send(self, method: str, path: str, body: Any = None, key: str | None = None) -> requests.Response | None:
        """One attempt; None when nobody answered."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            answer = self._http.request(method, self._api + path, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
            if answer.status_code == 401:
                self._sign_in()
        except requests.RequestException:
            return None
        return answer

    def insist(self, method: str, path: str, body: Any = None, key: str | None = None) -> requests.Response:
        """The answer, however long it takes; raises GaveUp after the deadline of the storm."""
        while time.monotonic() < self._deadline:
            answer = self.send(method, path, body, key)
            if answer is not None and answer.status_code not in (*RETRIED, 401):
                return answer
            if answer is not None and answer.status_code == 409 and "order_id" in answer.json():
                return answer
            time.sleep(PAUSE_SECONDS)
        raise GaveUp(f"{method} {path} got no answer in time")

    def give_up(self) -> None:
        """Insist on nothing any more."""
        self._deadline = float("-inf")

    def _sign_in(self) -> None:
        answer = self._http.post(f"{self._api}/auth/login", json=self._login, timeout=TIMEOUT_SECONDS)
        if answer.status_code == 200:
            self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def register(gateway: str, *, deadline: float) -> Client:
    name, password = f"reader-{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    person = Client(gateway, name, password, deadline=deadline)
    made = {"username": name, "email": f"{name}@example.com", "password": password}
    person.insist("POST", "/auth/register", made)
    return person


@dataclass
class Crowd:
    """Several people who order these books, `orders` in all, pay for some, and call some off."""

    people: Sequence[Client]
    books: Sequence[str]
    orders: int
    seed: int | str
    placed: dict[str, str] = field(default_factory=dict)
    """By their keys, the ids of the orders that the store said it had placed."""

    def start(self) -> None:
        self._numbers = count()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(len(self.people), thread_name_prefix="buyer")
        self._running: list[Future[None]] = [self._pool.submit(self._buy, each) for each in self.people]

    def go_home(self) -> None:
        """Whatever is still wanted: their threads would outlive a storm that was broken off."""
        self._numbers = count(self.orders)
        for each in self.people:
            each.give_up()

    @property
    def is_done(self) -> bool:
        return all(each.done() for each in self._running)

    def finish(self) -> None:
        """Raises what stopped a buyer."""
        self._pool.shutdown()
        for each in self._running:
            each.result()

    def _buy(self, person: Client) -> None:
        open_orders: deque[tuple[int, str]] = deque()
        while (number := self._next()) is not None:
            open_orders.append((number, self._place(person, number)))
            if len(open_orders) > LOOKED_AT_AFTER:
                self._follow_up(person, *open_orders.popleft())
        for number, order_id in open_orders:
            self._follow_up(person, number, order_id)

    def _next(self) -> int | None:
        with self._lock:
            number = next(self._numbers)
        return number if number < self.orders else None

    def _place(self, person: Client, number: int) -> str:
        chance = random.Random(f"{self.seed}-{number}")  # noqa: S311 - to be repeated, not to be secret
        key = f"order-{self.seed}-{number}"
        lines = [{"book_id": book, "quantity": 1} for book in chance.sample(self.books, min(2, len(self.books)))]
        answer = person.insist("POST", "/orders", {"items": lines[: chance.randint(1, 2)]}, key)
        if answer.status_code not in (201, 409):
            raise GaveUp(f"POST /orders answered {answer.status_code}: {answer.text[:200]}")
        told = answer.json()
        order_id = str(told["id"] if answer.status_code == 201 else told["order_id"])
        with self._lock:
            self.placed[key] = order_id
        return order_id

    def _follow_up(self, person: Client, number: int, order_id: str) -> None:
        status = self._decision(person, order_id)
        choice = random.Random(f"{self.seed}-{number}-later").random()  # noqa: S311
        if status == "CONFIRMED" and choice < 0.6:
            self._pay(person, order_id)
        if choice > 0.85 or 0.3 < choice < 0.35:  # some before payment, some after
            person.send("POST", f"/orders/{order_id}/cancel")

    def _decision(self, person: Client, order_id: str) -> str | None:
        """The order's status; what is not decided or not even there after a while is the ledger's to find."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = person.insist("GET", f"/orders/{order_id}")
            if found.status_code == 200 and found.json()["status"] != "PENDING":
                return str(found.json()["status"])
            time.sleep(PAUSE_SECONDS)
        return None

    def _pay(self, person: Client, order_id: str) -> None:
        """A click, and impatient ones: under one key or, from a second window, another."""
        for attempt in range(TRIES_TO_PAY):
            body = {"payment_method": "tok_visa"}
            answer = person.send("POST", f"/orders/{order_id}/pay", body, f"pay-{order_id}-{attempt // 2}")
            if answer is not None and answer.status_code in (200, 402):
                return
            time.sleep(PAUSE_SECONDS)
