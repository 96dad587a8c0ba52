"""Mail addresses: one parser and one normal form, wherever one is taken, looked up or vouched for."""

from __future__ import annotations

import unicodedata
from contextlib import suppress

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH = 254


def problem(email: str) -> str | None:
    """Why this is no address that anybody can be written to, or None."""
    if len(email) > MAX_LENGTH:
        return f"must have at most {MAX_LENGTH} characters"
    try:
        normal(email)
    except EmailNotValidError:
        return "must look like name@example.com"
    return None


def normal(email: str) -> str:
    """As it is kept: the part before the @ as it was given (NFC), the domain in lower case and its own letters.

    Raises EmailNotValidError.
    """
    return str(validate_email(email, check_deliverability=False).normalized)


def key(email: str) -> str:
    """What addresses are compared by, and looked up: two with the same one are one. Also of what is no address."""
    with suppress(EmailNotValidError):
        email = normal(email)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())


def is_vouched_for(email: str, vouched: str) -> bool:
    """Whether it is, byte by byte, what somebody vouches for; only the case of a domain says nothing."""
    (ours, _, our_domain), (theirs, _, their_domain) = email.rpartition("@"), vouched.rpartition("@")
    return ours == theirs and our_domain == their_domain.lower()
