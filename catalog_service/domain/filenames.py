"""Names under which a file can be offered without harm to whoever saves it."""

from __future__ import annotations

import re
import unicodedata

from catalog_service.domain.contents import PDF, TEXT

LONGEST = 120
FALLBACK = "file"
EXTENSIONS = {
    "image/jpeg": ("jpg", "jpeg"),
    "image/png": ("png",),
    "image/webp": ("webp",),
    PDF: ("pdf",),
    TEXT: ("txt", "csv", "tsv", "md", "json", "log", "srt"),
}
_FORBIDDEN = re.compile(r'[<>:"|?*/\\%;]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def safe(given: str, content_type: str) -> str:
    """The last segment of the name that was given, with an ending that fits the content."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", given))[-1]
    shown = "".join(character for character in name if unicodedata.category(character)[0] != "C")
    plain = re.sub(r"\s+", " ", _FORBIDDEN.sub("_", shown)).strip(" .")
    stem, _, ending = plain.rpartition(".")
    allowed = EXTENSIONS[content_type]
    if not stem or ending.lower() not in allowed:
        stem, ending = plain, allowed[0]
    stem = stem[:LONGEST].strip(" .") or FALLBACK
    return f"{'_' if _DEVICES.match(stem) else ''}{stem}.{ending.lower()}"
