"""A customer and a member of staff at the order service's API, and the catalog's part played by events."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask.testing import FlaskClient

from common.db import Database
from common.events.catalog import ShortLine, StockRejected, StockReserved
from common.ids import new_id
from order_service.events import HANDLERS
from tests.support.database import deliver
from tests.support.tokens import bearer


class Shop:
    def __init__(self, client: FlaskClient, database: Database) -> None:
        self.client = client
        self.database = database
        self.user_id = new_id()
        self.customer = bearer(subject=self.user_id)
        self.staff = bearer(role="admin", username="staff")

    def get(self, path: str, *, staff: bool = False) -> Any:
        return self.client.get(f"/api/v1{path}", headers=self.staff if staff else self.customer)

    def send(self, method: str, path: str, body: Any = None, *, staff: bool = False, **headers: str) -> Any:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        who = self.staff if staff else self.customer
        return self.client.open(f"/api/v1{path}", method=method, json=body, headers=who | names)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        return self.send("POST", path, body, **kwargs)

    def place(self, book: UUID, quantity: int = 1, **headers: str) -> Any:
        return self.post("/orders", {"items": [{"book_id": str(book), "quantity": quantity}]}, **headers)

    def reserved(self, order_id: str) -> None:
        deliver(self.database, HANDLERS, StockReserved(order_id=UUID(order_id)))

    def rejected(self, order_id: str, book: UUID, requested: int = 1, available: int = 0) -> None:
        short = ShortLine(book_id=book, requested=requested, available=available)
        event = StockRejected(order_id=UUID(order_id), reason="out_of_stock", lines=(short,))
        deliver(self.database, HANDLERS, event)

    def confirmed(self, book: UUID, quantity: int = 1) -> str:
        """An order whose stock is set aside; its id."""
        order_id: str = self.place(book, quantity).json["id"]
        self.reserved(order_id)
        return order_id

    def paid(self, book: UUID, quantity: int = 1) -> str:
        order_id = self.confirmed(book, quantity)
        assert self.pay(order_id).status_code == 200
        return order_id

    def pay(self, order_id: str, method: str = "tok_visa", **headers: str) -> Any:
        return self.post(f"/orders/{order_id}/pay", {"payment_method": method}, **headers)

    def status(self, order_id: str) -> str:
        found: str = self.get(f"/admin/orders/{order_id}", staff=True).json["status"]
        return found

    def move(self, order_id: str, status: str) -> Any:
        return self.send("PATCH", f"/orders/{order_id}/status", {"status": status}, staff=True)
