"""The tables of the catalog's schema."""

from catalog_service.models.base import Base
from catalog_service.models.books import FORMATS, Book, BookAuthor, BookGenre
from catalog_service.models.people import Author, Genre
from catalog_service.models.search import FormerName, QueuedWords, SearchWord
from catalog_service.models.stock import MovementKind, Reservation, ReservationLine, ReservationStatus, StockMovement

__all__ = [
    "FORMATS",
    "Author",
    "Base",
    "Book",
    "BookAuthor",
    "BookGenre",
    "FormerName",
    "Genre",
    "MovementKind",
    "QueuedWords",
    "Reservation",
    "ReservationLine",
    "ReservationStatus",
    "SearchWord",
    "StockMovement",
]
