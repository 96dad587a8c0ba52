"""Names as they are compared, and as they stand in an address."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST_SLUG = 80


def comparison_key(name: str) -> str:
    """The same for names that differ in case or spacing only."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def slug(name: str) -> str:
    """The name in ASCII letters, digits and hyphens; from its hash when none of its letters are ASCII."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"['.]", "", plain)
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:LONGEST_SLUG].rstrip("-") or fingerprint(name, 10)


def fingerprint(text: str, length: int) -> str:
    """A short name that is the same for the same text, everywhere and always."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]
