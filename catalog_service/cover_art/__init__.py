"""Covers drawn from nothing but a title and its authors: the same book always gets the same one."""

from __future__ import annotations

import random
import threading
from io import BytesIO

from PIL import Image

from catalog_service.cover_art.layouts import SIZE, Words, layouts, without_words
from catalog_service.cover_art.palettes import PALETTES
from catalog_service.cover_art.patterns import PATTERNS
from catalog_service.cover_art.typesetting import drawable

STYLE = "2"
"""Another one whenever what is drawn here changes: covers are kept by it."""

_one_at_a_time = threading.Lock()
_SPINE = (26, 12, 5, 0, 4, 9, 5)
"""How dark each tenth of a per cent of the width is, from the left: the fold beside a book's back."""


def draw(title: str, authors: str, *, seed: bytes) -> bytes:
    """A WebP of 600 by 900 pixels; `authors` are parted by semicolons. What the font cannot write is left out."""
    chance = random.Random(seed)  # noqa: S311 - looks, not secrets
    words = Words.of(drawable(title), drawable(authors))
    palette, pattern = chance.choice(PALETTES), chance.choice(PATTERNS)
    layout = chance.choice(layouts(pattern)) if words.title else without_words
    with _one_at_a_time:
        cover = layout(words, palette, pattern, chance)
        _shade_the_fold(cover)
        written = BytesIO()
        cover.save(written, "WEBP", quality=88, method=4)
    return written.getvalue()


def _shade_the_fold(cover: Image.Image) -> None:
    width = SIZE[0] // 150
    for number, darkness in enumerate(_SPINE):
        strip = (number * width, 0, (number + 1) * width, SIZE[1])
        cover.paste((0, 0, 0), strip, Image.new("L", (width, SIZE[1]), darkness))
