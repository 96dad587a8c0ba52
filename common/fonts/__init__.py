"""The fonts that come with us: Noto Sans for most of the world's letters, and one for each other script.

They are in the folder `files`, whose README says where each is from and how it was made smaller. They are read from
the disk only when a text needs them: that of the East Asian scripts alone has 12 MB.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont

FOLDER = Path(__file__).parent / "files"
NOTO_SANS = FOLDER / "NotoSans[wdth,wght].ttf"
EAST_ASIAN = FOLDER / "NotoSansCJK-Medium.ttc"
JAPANESE, KOREAN, SIMPLIFIED = range(3)

# The first character of each block of Unicode, and the font that has it; None: Noto Sans, or none at all.
_BLOCKS: tuple[tuple[int, str | None], ...] = (
    (0x0000, None),
    (0x0530, "Armenian"),
    (0x0590, "Hebrew"),
    (0x0600, "Arabic"),
    (0x0700, None),
    (0x0750, "Arabic"),
    (0x0780, None),
    (0x0870, "Arabic"),
    (0x0900, None),
    (0x0980, "Bengali"),
    (0x0A00, "Gurmukhi"),
    (0x0A80, "Gujarati"),
    (0x0B00, "Oriya"),
    (0x0B80, "Tamil"),
    (0x0C00, "Telugu"),
    (0x0C80, "Kannada"),
    (0x0D00, "Malayalam"),
    (0x0D80, "Sinhala"),
    (0x0E00, "Thai"),
    (0x0E80, "Lao"),
    (0x0F00, None),
    (0x1000, "Myanmar"),
    (0x10A0, "Georgian"),
    (0x1100, "CJK"),
    (0x1200, "Ethiopic"),
    (0x13A0, None),
    (0x1780, "Khmer"),
    (0x1800, None),
    (0x2E80, "CJK"),
    (0xA000, None),
    (0xA960, "CJK"),
    (0xA980, None),
    (0xAC00, "CJK"),
    (0xD800, None),
    (0xF900, "CJK"),
    (0xFB00, None),
    (0xFB1D, "Hebrew"),
    (0xFB50, "Arabic"),
    (0xFE10, None),
    (0xFE30, "CJK"),
    (0xFE70, "Arabic"),
    (0xFF00, "CJK"),
    (0xFFF0, None),
    (0x20000, "CJK"),
    (0x32000, None),
)
_STARTS = [start for start, _ in _BLOCKS]


@dataclass(frozen=True, slots=True)
class Font:
    """A file, and which of the fonts in it."""

    path: Path
    number: int = 0

    @property
    def is_east_asian(self) -> bool:
        return self.path == EAST_ASIAN


NOTO = Font(NOTO_SANS)


def besides_noto(text: str) -> list[Font]:
    """What Noto Sans needs beside it for this text, that of its first other letter first."""
    scripts = dict.fromkeys(script for character in text if (script := _script(character)))
    return [_font(script, text) for script in scripts]


def _script(character: str) -> str | None:
    return _BLOCKS[bisect_right(_STARTS, ord(character)) - 1][1]


def _font(script: str, text: str) -> Font:
    if script == "CJK":
        return Font(EAST_ASIAN, _east_asian_number(text))
    return Font(FOLDER / f"NotoSans{script}[wght].ttf")


def _east_asian_number(text: str) -> int:
    """The same ideograph is drawn otherwise in Japan, Korea and China."""
    if any("\u3040" <= character <= "\u30ff" for character in text):
        return JAPANESE
    return KOREAN if any("\uac00" <= character <= "\ud7a3" for character in text) else SIMPLIFIED


@lru_cache(maxsize=8)
def characters(font: Font) -> frozenset[int]:
    """All that it has a picture for."""
    with TTFont(font.path, fontNumber=font.number, lazy=True) as opened:
        return frozenset(opened.getBestCmap())


def is_right_to_left(text: str) -> bool:
    """By its first letter that has a direction."""
    directions = map(unicodedata.bidirectional, text)
    return next((each != "L" for each in directions if each in ("L", "R", "AL")), False)
