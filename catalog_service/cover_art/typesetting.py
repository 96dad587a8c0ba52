"""Lines of text that fit a box, in the fonts that come with us."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageDraw, ImageFont, features

from common import fonts
from common.fonts import NOTO, Font

LEADING = 1.14
NARROW, NORMAL = 75, 100
NO_BREAK = "\u00a0"
CAN_SHAPE = bool(features.check("raqm"))
"""Whether letters are joined and lines run from right to left, as they must in some scripts."""


@dataclass(frozen=True, slots=True)
class Box:
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Face:
    """`largest` and `smallest` are sizes in pixels."""

    weight: int
    largest: int
    smallest: int


@dataclass(frozen=True, slots=True)
class Setting:
    font: ImageFont.FreeTypeFont
    lines: list[str]

    @property
    def leading(self) -> int:
        return round(self.font.size * LEADING)

    @property
    def height(self) -> int:
        return len(self.lines) * self.leading


def _font(font: Font, weight: int, width: int, size: int) -> ImageFont.FreeTypeFont:
    return _kept(font, weight, width if font == NOTO else NORMAL, size)


@lru_cache(maxsize=256)
def _kept(font: Font, weight: int, width: int, size: int) -> ImageFont.FreeTypeFont:
    made = ImageFont.truetype(str(font.path), size, index=font.number)
    if not font.is_east_asian:  # whose one weight serves for all
        made.set_variation_by_axes([weight, width] if font == NOTO else [weight])
    return made


def font_of(text: str) -> Font:
    """The one font that a text is set in: that of its first letters which Noto Sans does not have."""
    others = [each for each in fonts.besides_noto(text) if CAN_SHAPE or each.is_east_asian]
    return others[0] if others else NOTO


def drawable(text: str) -> str:
    """Without the words in which there is a letter that its font cannot write, and without such marks."""
    known = fonts.characters(font_of(text))
    return " ".join(written for word in text.split() if (written := _written(word, known)))


def _written(word: str, known: frozenset[int]) -> str:
    lacking = {character for character in word if ord(character) not in known}
    if any(map(str.isalnum, lacking)):
        return ""
    return "".join(character for character in word if character not in lacking)


def fitted(text: str, face: Face, width: int, height: int) -> Setting:
    """The largest setting that fits; narrower letters before small ones, and at the end it is cut off."""
    file = font_of(text)
    for size in range(face.largest, face.smallest - 1, -2):
        for stretch in (NORMAL, NARROW) if size < face.largest * 0.62 else (NORMAL,):
            font = _font(file, face.weight, stretch, size)
            setting = Setting(font, _balanced(text.split(" "), font, width))
            if setting.height <= height and all(font.getlength(line) <= width for line in setting.lines):
                return setting
    for size in range(max(face.largest // 2, face.smallest), face.smallest - 1, -2):
        setting = _broken_up(text, _font(file, face.weight, NARROW, size), width)
        if setting.height <= height:
            return setting
    return _cut(setting, width, height)


def _wrapped(words: list[str], font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _balanced(words: list[str], font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """In as few lines as possible, and these as equal as they can be."""
    lines = _wrapped(words, font, width)
    low, high = width / len(lines) / 1.5, float(width)
    while high - low > 8:
        middle = (low + high) / 2
        narrower = _wrapped(words, font, middle)
        if len(narrower) <= len(lines) and all(font.getlength(line) <= width for line in narrower):
            high, lines = middle, narrower
        else:
            low = middle
    return lines


def _broken_up(text: str, font: ImageFont.FreeTypeFont, width: int) -> Setting:
    pieces = [piece for word in text.split(" ") for piece in _broken(word, font, width)]
    return Setting(font, _wrapped(pieces, font, width))


def _cut(setting: Setting, width: int, height: int) -> Setting:
    room = max(1, height // setting.leading)
    last = setting.lines[room - 1]
    while last and setting.font.getlength(f"{last}…") > width:
        last = last[:-1]
    return Setting(setting.font, [*setting.lines[: room - 1], f"{last.rstrip(' ,;:.')}…"])


def _broken(word: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A word that is longer than a line, in pieces."""
    pieces, piece = [], ""
    for character in word:
        if piece and font.getlength(piece + character) > width:
            pieces.append(piece)
            piece = ""
        piece += character
    return [*pieces, piece]


def write(draw: ImageDraw.ImageDraw, setting: Setting, box: Box, colour: str, *, centred: bool = False) -> None:
    """From the top of the box, and from the side that its script begins at."""
    for number, line in enumerate(setting.lines):
        room = box.width - setting.font.getlength(line)
        left = box.left + (room / 2 if centred else room if fonts.is_right_to_left(line) else 0)
        draw.text((left, box.top + number * setting.leading), line, font=setting.font, fill=colour)


def parted_title(title: str) -> tuple[str, str]:
    """Title and what is set smaller below it: a series in brackets, or what follows a colon in a long title."""
    if found := re.fullmatch(r"(.*\S)\s*\(([^()]+)\)", title):
        return found[1], found[2]
    main, _, rest = title.partition(": ")
    if rest and len(title) > 36:
        return main, rest
    return title, ""


def line_of_authors(authors: str) -> str:
    """A name is not parted at the end of a line."""
    names = [NO_BREAK.join(name.split()) for name in authors.split(";") if name.strip()]
    if len(names) > 3:
        return f"{names[0]}, {names[1]} and others"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1] if names else "") if part)
