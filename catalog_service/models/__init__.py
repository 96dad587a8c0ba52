"""The tables of the catalog's schema."""

from catalog_service.models.base import Base
from catalog_service.models.books import FORMATS, POPULARITY, Book, BookAuthor, BookGenre
from catalog_service.models.files import Image, StoredFile, Upload
from catalog_service.models.imports import (
    ImportChange,
    ImportJob,
    ImportKey,
    ImportPiece,
    ImportProblem,
    ImportStatus,
    RejectedRow,
    UndoOutcome,
)
from catalog_service.models.people import Author, Genre, GenreCount
from catalog_service.models.search import FormerName, QueuedWords, SearchWord
from catalog_service.models.similar import SimilarBooks, SimilarTerm, SimilarTraining
from catalog_service.models.stock import (
    BookDemand,
    MovementKind,
    Reservation,
    ReservationLine,
    ReservationStatus,
    StockMovement,
)
from catalog_service.models.suggestions import Contact, Suggestion, SuggestionStatus
from catalog_service.models.summaries import Summary, SummaryMinute

__all__ = [
    "FORMATS",
    "POPULARITY",
    "Author",
    "Base",
    "Book",
    "BookAuthor",
    "BookDemand",
    "BookGenre",
    "Contact",
    "FormerName",
    "Genre",
    "GenreCount",
    "Image",
    "ImportChange",
    "ImportJob",
    "ImportKey",
    "ImportPiece",
    "ImportProblem",
    "ImportStatus",
    "MovementKind",
    "QueuedWords",
    "RejectedRow",
    "Reservation",
    "ReservationLine",
    "ReservationStatus",
    "SearchWord",
    "SimilarBooks",
    "SimilarTerm",
    "SimilarTraining",
    "StockMovement",
    "StoredFile",
    "Suggestion",
    "SuggestionStatus",
    "Summary",
    "SummaryMinute",
    "UndoOutcome",
    "Upload",
]
