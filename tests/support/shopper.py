"""People as the tests of whole journeys need them: over HTTP, through the gateway, as any client would."""

from __future__ import annotations

from typing import Any, Self
from uuid import uuid4

import requests

from devstack.accounts import Account

PASSWORD = "a long enough phrase 7"
TIMEOUT = 30


class Person:
    """Somebody signed in, by a token."""

    def __init__(self, gateway: str, access_token: str) -> None:
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {access_token}"
        self._api = f"{gateway}/api/v1"

    @classmethod
    def sign_in(cls, gateway: str, identifier: str, password: str) -> Self:
        answer = requests.post(
            f"{gateway}/api/v1/auth/login", json={"identifier": identifier, "password": password}, timeout=TIMEOUT
        )
        answer.raise_for_status()
        return cls(gateway, answer.json()["access_token"])

    @classmethod
    def register(cls, gateway: str) -> Self:
        account = cls.new_account(gateway)
        return cls.sign_in(gateway, account.name, account.password)

    @staticmethod
    def new_account(gateway: str) -> Account:
        name = f"reader-{uuid4().hex[:10]}"
        account = Account(name, f"{name}@example.com", PASSWORD)
        answer = requests.post(
            f"{gateway}/api/v1/auth/register",
            json={"username": name, "email": account.email, "password": PASSWORD},
            timeout=TIMEOUT,
        )
        answer.raise_for_status()
        return account

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(self._api + path, params=params, timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, self._api + path, json=body, headers=names, timeout=TIMEOUT)

    def order(self, book_id: str, quantity: int = 1, *, key: str | None = None, wait: int = 5) -> requests.Response:
        headers = {"Idempotency_Key": key or str(uuid4())}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        return self.send("POST", "/orders", {"items": [{"book_id": book_id, "quantity": quantity}]}, **headers)


class Staff(Person):
    """An administrator."""

    def add_book(self, title: str, *, price: str = "10.00", on_hand: int = 0) -> str:
        made = self.send("POST", "/books", {"title": title, "price": price, "authors": ["A. Tester"]})
        made.raise_for_status()
        book_id: str = made.json()["id"]
        if on_hand:
            self.send("PATCH", f"/books/{book_id}/stock", {"on_hand": on_hand}).raise_for_status()
        return book_id
