"""The main job, walked through the gateway as any client would, each step checked and timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import requests

from devstack.accounts import Account
from devstack.settings import Settings
from devstack.sign_in import SignInFailed, sign_in

SEARCH = "pride prejudice"
COPIES = 25
MEASURED_ORDERS = 20
CARD = "tok_visa"
EVENT_SECONDS = 10.0
DECISION_SECONDS = 60.0


class Differs(Exception):
    """The store did something else than it should."""


class Client:
    """Somebody signed in, who expects certain answers."""

    def __init__(self, origin: str, account: Account) -> None:
        self._api = f"{origin}/api/v1"
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {sign_in(origin, account)}"

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self.send("GET", path, expect=200, params=params)

    def send(self, method: str, path: str, body: Any = None, *, expect: int, **options: Any) -> dict[str, Any]:
        """The answer's JSON. Raises Differs when its status is another."""
        answer = self._http.request(method, self._api + path, json=body, timeout=30, **options)
        if answer.status_code != expect:
            raise Differs(f"{method} {path} answered {answer.status_code}, not {expect}: {answer.text[:300]}")
        return answer.json() if answer.content else {}

    def order(self, body: dict[str, Any]) -> dict[str, Any]:
        """Place an order and wait for the decision of the stock.

        The store may prefer to answer before it knows (RFC 7240 section 2), then one asks again.
        """
        headers = {"Idempotency-Key": str(uuid4()), "Prefer": "wait=5"}
        order = self.send("POST", "/orders", body, expect=201, headers=headers)
        deadline = time.monotonic() + DECISION_SECONDS
        while order["status"] == "PENDING" and time.monotonic() < deadline:
            time.sleep(0.05)
            order = self.get(f"/orders/{order['id']}")
        require(order["status"], "CONFIRMED", "the order's status")
        return order


@dataclass
class Report:
    """Prints a line for each step, with the time that it took."""

    number: int = 0
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        self.number, self.notes = self.number + 1, []
        began = time.perf_counter()
        yield
        elapsed = (time.perf_counter() - began) * 1000
        print(f"{self.number:>3}  {text:<58}{elapsed:>7.0f} ms   {', '.join(self.notes)}", flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)


def walk(settings: Settings) -> int:
    """The exit status: 0 when the store did what it should."""
    origin = settings.public_url
    print(f"The main job at {origin}")
    try:
        Walk(origin, settings.accounts).run()
    except (Differs, SignInFailed) as error:
        print(f"  ✗  {error}")
    except requests.ConnectionError:
        print(f"  ✗  nobody answers at {origin}; `make up` starts the store")
    else:
        print("All as it should be.")
        return 0
    return 1


class Walk:
    def __init__(self, origin: str, accounts: dict[str, Account]) -> None:
        self._origin = origin
        self._accounts = accounts
        self._report = Report()

    def run(self) -> None:
        """Raises Differs or SignInFailed at the first thing that is not as it should be."""
        buyer, staff = self._sign_in("alice"), self._sign_in("admin")
        book = self._find(buyer)
        self._restock(staff, book)
        self._forget_review(buyer, book)
        order = self._buy(buyer, book)
        self._pay(buyer, order)
        self._ship(staff, buyer, order)
        self._review(buyer, book)
        self._measure(buyer, book)

    def _sign_in(self, name: str) -> Client:
        account = self._accounts[name]
        with self._report.step(f"{name} signs in: authorization code, PKCE S256"):
            client = Client(self._origin, account)
            me = client.get("/auth/me")
            require(me["email"], account.email, "the address of who signed in")
            self._report.note(f"{me['username']}, {me['role']}")
        return client

    def _find(self, buyer: Client) -> dict[str, Any]:
        with self._report.step(f"searches for “{SEARCH}”"):
            found = buyer.get("/books", q=SEARCH, limit=5, total="true")
            if not found["items"]:
                raise Differs(f"no book found for {SEARCH}")
            book: dict[str, Any] = found["items"][0]
            self._report.note(f"{found['total']} found; {book['title']}, {book['price']} {book['currency']}")
        return book

    def _restock(self, staff: Client, book: dict[str, Any]) -> None:
        with self._report.step(f"staff put {COPIES} copies on the shelf"):
            before = staff.get(f"/books/{book['id']}")["available"]
            staff.send("PATCH", f"/books/{book['id']}/stock", {"delta": COPIES, "reason": "demo"}, expect=200)
            after = staff.get(f"/books/{book['id']}")["available"]
            require(after, before + COPIES, "the copies that are available")
            self._report.note(f"{before} → {after}")

    def _forget_review(self, buyer: Client, book: dict[str, Any]) -> None:
        me = buyer.get("/auth/me")["id"]
        for review in buyer.get("/reviews", book_id=book["id"], user_id=me)["items"]:
            with self._report.step("takes back the review of an earlier demo"):
                buyer.send("DELETE", f"/reviews/{review['id']}", expect=204)

    def _buy(self, buyer: Client, book: dict[str, Any]) -> dict[str, Any]:
        with self._report.step("puts it in the cart"):
            buyer.send("DELETE", "/cart", expect=204)
            buyer.send("POST", "/cart/items", {"book_id": book["id"], "quantity": 1}, expect=201)
            require([each["book_id"] for each in buyer.get("/cart")["items"]], [book["id"]], "the cart")
        with self._report.step("orders it, and waits for the stock's decision"):
            order = buyer.order({})
            require(order["items"][0]["unit_price"], book["price"], "the price")
            self._report.note(f"{order['number']} {order['status']}")
        require(buyer.get("/cart")["items"], [], "the cart after the order")
        return order

    def _pay(self, buyer: Client, order: dict[str, Any]) -> None:
        with self._report.step(f"pays with {CARD}"):
            headers = {"Idempotency-Key": str(uuid4())}
            body = {"payment_method": CARD}
            paid = buyer.send("POST", f"/orders/{order['id']}/pay", body, expect=200, headers=headers)
            require(paid["status"], "PAID", "the order's status")
            self._report.note(f"{paid['total']} {paid['currency']}")

    def _ship(self, staff: Client, buyer: Client, order: dict[str, Any]) -> None:
        with self._report.step("staff ship it"):
            body = {"status": "SHIPPED", "reason": "handed to the carrier"}
            staff.send("PATCH", f"/orders/{order['id']}/status", body, expect=200)
            seen = buyer.get(f"/orders/{order['id']}")
            require(seen["status"], "SHIPPED", "what the buyer sees")
            self._report.note(" → ".join(each["status"] for each in seen["history"]))

    def _review(self, buyer: Client, book: dict[str, Any]) -> None:
        before = buyer.get(f"/books/{book['id']}")["rating"]["count"]
        body = {"book_id": book["id"], "rating": 5, "title": "As good as they say"}
        with self._report.step("reviews it: five stars"):
            review = buyer.send("POST", "/reviews", body, expect=201)
            require(review["verified_purchase"], True, "whether the purchase is known")
        with self._report.step("the book's rating shows it"):
            eventually(lambda: buyer.get(f"/books/{book['id']}")["rating"]["count"] == before + 1, "the rating")
            rating = buyer.get(f"/books/{book['id']}")["rating"]
            self._report.note(f"{rating['average']} of {rating['count']}")

    def _measure(self, buyer: Client, book: dict[str, Any]) -> None:
        body = {"items": [{"book_id": book["id"], "quantity": 1}]}
        seconds, orders = [], []
        with self._report.step(f"{MEASURED_ORDERS} more orders, one after another"):
            for _ in range(MEASURED_ORDERS):
                began = time.perf_counter()
                orders.append(buyer.order(body))
                seconds.append(time.perf_counter() - began)
            median, slowest = statistics.median(seconds) * 1000, max(seconds) * 1000
            self._report.note(f"decided in {median:.0f} ms at the median, {slowest:.0f} ms at most")
        with self._report.step("and all of them cancelled"):
            for order in orders:
                cancelled = buyer.send("POST", f"/orders/{order['id']}/cancel", expect=200)
                require(cancelled["status"], "CANCELLED", "the order's status")


def require(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise Differs(f"{what}: {found!r}, not {wanted!r}")


def eventually(condition: Callable[[], bool], what: str) -> None:
    """What follows from an event comes soon, not at once."""
    deadline = time.monotonic() + EVENT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Differs(f"{what} does not follow within {EVENT_SECONDS:g} s")
        time.sleep(0.02)
