"""Where on a cover its words stand, and where its pattern."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from PIL import Image, ImageDraw

from catalog_service.cover_art.palettes import Palette
from catalog_service.cover_art.patterns import SCENES, Pattern, filled
from catalog_service.cover_art.typesetting import Box, Face, fitted, line_of_authors, parted_title, write

SIZE = (600, 900)
WIDTH, HEIGHT = SIZE
MARGIN = 52
GAP = 16
TITLE, SUBTITLE, AUTHOR = Face(800, 88, 30), Face(450, 30, 18), Face(550, 34, 20)


@dataclass(frozen=True, slots=True)
class Words:
    title: str
    subtitle: str
    authors: str

    @classmethod
    def of(cls, title: str, authors: str) -> Self:
        return cls(*parted_title(title), line_of_authors(authors))


Layout = Callable[[Words, Palette, Pattern, random.Random], Image.Image]


def _picture_above(words: Words, palette: Palette, pattern: Pattern, chance: random.Random) -> Image.Image:
    horizon = 500
    cover, draw = _paper(palette)
    cover.paste(filled(pattern, (WIDTH, horizon), palette, chance), (0, 0))
    draw.rectangle((0, horizon, WIDTH, horizon + 7), fill=palette.ink)
    _title(draw, words, Box(MARGIN, horizon + 32, WIDTH - 2 * MARGIN, 244), palette)
    _authors(draw, words, Box(MARGIN, HEIGHT - 92, WIDTH - 2 * MARGIN, 60), palette)
    return cover


def _picture_below(words: Words, palette: Palette, pattern: Pattern, chance: random.Random) -> Image.Image:
    horizon = 440
    cover, draw = _paper(palette)
    cover.paste(filled(pattern, (WIDTH, HEIGHT - horizon), palette, chance), (0, horizon))
    _authors(draw, words, Box(MARGIN, 46, WIDTH - 2 * MARGIN, 62), palette)
    draw.rectangle((MARGIN, 124, MARGIN + 84, 130), fill=palette.first)
    _title(draw, words, Box(MARGIN, 148, WIDTH - 2 * MARGIN, 262), palette)
    return cover


def _plate(words: Words, palette: Palette, pattern: Pattern, chance: random.Random) -> Image.Image:
    """Pattern all over, and the words on a plate in the middle of it."""
    cover = filled(pattern, SIZE, palette, chance)
    draw = ImageDraw.Draw(cover)
    draw.rectangle((64, 196, WIDTH - 64, 704), fill=palette.paper)
    draw.rectangle((76, 208, WIDTH - 76, 692), outline=palette.ink, width=3)
    _title(draw, words, Box(102, 236, WIDTH - 204, 310), palette, centred=True)
    draw.rectangle((WIDTH // 2 - 34, 574, WIDTH // 2 + 34, 578), fill=palette.first)
    _authors(draw, words, Box(102, 598, WIDTH - 204, 74), palette, centred=True)
    return cover


def without_words(words: Words, palette: Palette, pattern: Pattern, chance: random.Random) -> Image.Image:
    """For a title in a script that the font does not have: better none than empty boxes."""
    cover = filled(pattern, SIZE, palette, chance)
    draw = ImageDraw.Draw(cover)
    if words.authors:
        draw.rectangle((0, HEIGHT - 132, WIDTH, HEIGHT), fill=palette.paper)
        _authors(draw, words, Box(MARGIN, HEIGHT - 96, WIDTH - 2 * MARGIN, 62), palette)
    return cover


def _paper(palette: Palette) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    cover = Image.new("RGB", SIZE, palette.paper)
    return cover, ImageDraw.Draw(cover)


def _title(draw: ImageDraw.ImageDraw, words: Words, box: Box, palette: Palette, *, centred: bool = False) -> None:
    below = fitted(words.subtitle, SUBTITLE, box.width, box.height // 3) if words.subtitle else None
    taken = below.height + GAP if below else 0
    title = fitted(words.title, TITLE, box.width, box.height - taken)
    top = box.top + ((box.height - title.height - taken) // 2 if centred else 0)
    write(draw, title, Box(box.left, top, box.width, box.height), palette.ink, centred=centred)
    if below:
        write(draw, below, Box(box.left, top + title.height + GAP, box.width, 0), palette.ink, centred=centred)


def _authors(draw: ImageDraw.ImageDraw, words: Words, box: Box, palette: Palette, *, centred: bool = False) -> None:
    if words.authors:
        setting = fitted(words.authors, AUTHOR, box.width, box.height)
        write(draw, setting, Box(box.left, box.top, box.width, box.height), palette.ink, centred=centred)


def layouts(pattern: Pattern) -> tuple[Layout, ...]:
    """Those that show what there is to see in the pattern: a plate would hide a picture's middle."""
    return (_picture_above, _picture_below) if pattern in SCENES else (_picture_above, _picture_below, _plate)
