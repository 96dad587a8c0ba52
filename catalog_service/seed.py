"""Some sixty books in the public domain, so that an empty store looks alive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_service.config import CatalogConfig
from catalog_service.domain.imports.draft import Row
from catalog_service.domain.imports.upsert import upsert
from catalog_service.models import Book

BOOKS = Path(__file__).parent / "seed_data" / "books.json"


def seed(session: Session, config: CatalogConfig) -> None:
    """Add the books whose codes are not there yet: what the shop has changed or sold since stays."""
    there = set(session.scalars(select(Book.code)))
    books = [book for book in json.loads(BOOKS.read_text(encoding="utf-8")) if book["code"] not in there]
    rows = [Row.parse(number, _values(book)) for number, book in enumerate(books, start=1)]
    upsert(session, rows, dict, currency=config.currency, actor="seed")


def _values(book: dict[str, Any]) -> dict[str, Any]:
    series = book.pop("series") or {}
    return book | {"series_name": series.get("name"), "series_position": series.get("position")}
