"""A book in two or three sentences, with who wrote them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from flask import Blueprint, current_app
from pydantic import Field

from catalog_service.api.books import is_staff
from catalog_service.domain import summaries
from catalog_service.summaries.writing import Summariser
from common.api import Response, returns
from common.auth import public
from common.caching import shared
from common.db import current_database

api = Blueprint("summaries", __name__, url_prefix="/api/v1/books/<reference>/summary")


class Summary(Response):
    summary: str | None = Field(description="None for a book without a description.")
    source: str = Field(description="`extractive`: sentences of the description; provider and model; or `none`.")
    generated_at: datetime | None


@api.get("")
@public
@shared(but_for_tokens=True)
@returns(Summary)
def get_summary(reference: str) -> dict[str, Any]:
    """A summary of the description of the book with this id or ISBN, and where it comes from."""
    database = current_database()
    with database.read() as own:  # the request's own session would keep its connection while a provider is asked
        about = summaries.subject(own, reference, staff=is_staff())
    answer = cast(Summariser, current_app.extensions["summariser"]).of(database, about)
    return {"summary": answer.summary, "source": answer.source, "generated_at": answer.generated_at}
