"""International Standard Book Numbers, of which the catalog keeps the 13-digit form."""

from __future__ import annotations

from stdnum import ean, isbn
from stdnum.exceptions import ValidationError


def to_isbn13(text: str) -> str:
    """`text`, an ISBN-10 or ISBN-13 in any spelling, as 13 digits. Raises ValueError with the reason."""
    try:
        return str(isbn.validate(text, convert=True))
    except ValidationError as error:
        raise ValueError(f"is not an ISBN: {error}") from None


def find_isbn13(text: str) -> str | None:
    """The ISBN that `text` is, or None when it is something else."""
    try:
        return to_isbn13(text)
    except ValueError:
        return None


def from_stem(stem: str) -> str:
    """The ISBN-13 of the nine digits that an ISBN-10 has in front of its check digit."""
    digits = f"978{stem}"
    return digits + str(ean.calc_check_digit(digits))
