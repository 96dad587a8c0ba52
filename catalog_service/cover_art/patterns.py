"""Patterns that fill an area of a cover. They are drawn at twice the size and made smaller, for smooth edges."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

from catalog_service.cover_art.palettes import Palette

FINE = 2
Draw = ImageDraw.ImageDraw
Size = tuple[int, int]
Pattern = Callable[[Draw, Size, Palette, random.Random], None]


def filled(pattern: Pattern, size: Size, palette: Palette, chance: random.Random) -> Image.Image:
    """An area of this size with the pattern in it."""
    fine = (size[0] * FINE, size[1] * FINE)
    area = Image.new("RGB", fine, palette.paper)
    pattern(ImageDraw.Draw(area), fine, palette, chance)
    return area.reduce(FINE)


def _disc(draw: Draw, x: float, y: float, radius: float, colour: str) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _rings(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    width, height = size
    x, y = chance.choice([(0, 0), (width, 0), (width, height), (0, height), (width // 2, height)])
    step = width / chance.choice([9, 11, 13])
    colours = [*palette.shapes, palette.paper]
    for number in range(int(math.hypot(width, height) / step) + 1, 0, -1):
        _disc(draw, x, y, number * step, colours[number % len(colours)])


def _hills(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    width, height = size
    _disc(draw, width * chance.uniform(0.25, 0.75), height * 0.34, width * chance.uniform(0.12, 0.2), palette.second)
    for number, colour in enumerate((palette.third, palette.first, palette.ink)):
        top, depth = height * (0.42 + 0.19 * number), height * chance.uniform(0.05, 0.11)
        length, shift = width * chance.uniform(0.28, 0.5), chance.uniform(0, 9)
        ridge = [(x, top + depth * math.sin(x / length * math.pi + shift)) for x in range(0, width + 8, 8)]
        draw.polygon([(0, height), *ridge, (width, height)], fill=colour)


def _sunset(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    """A disc cut into slices that become thinner upwards."""
    width, height = size
    draw.rectangle((0, 0, width, height), fill=palette.third)
    x, y, radius = width * chance.uniform(0.35, 0.65), height * 0.52, min(width, height) * 0.39
    _disc(draw, x, y, radius, palette.second)
    gaps = 7
    for number in range(gaps):
        top = y + radius * (number / gaps) ** 0.85
        thickness = radius * 0.02 * (1 + number * 0.9)
        draw.rectangle((x - radius, top, x + radius, top + thickness), fill=palette.third)
    draw.rectangle((0, y + radius * 1.06, width, height), fill=palette.first)


def _tiles(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    """Quarters of discs in a grid."""
    across = chance.choice([4, 5, 6])
    side = math.ceil(size[0] / across)
    for left in range(0, size[0], side):
        for top in range(0, size[1], side):
            ground, shape = chance.sample([palette.paper, *palette.shapes], 2)
            draw.rectangle((left, top, left + side, top + side), fill=ground)
            x, y, start = chance.choice(
                [(left, top, 0), (left + side, top, 90), (left + side, top + side, 180), (left, top + side, 270)]
            )
            draw.pieslice((x - side, y - side, x + side, y + side), start, start + 90, fill=shape)


def _rays(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    width, height = size
    x, y = width * chance.uniform(0.2, 0.8), height * chance.uniform(0.55, 0.95)
    count, reach = chance.choice([18, 24, 30]), 2 * math.hypot(width, height)
    for number in range(count):
        angles = [math.tau * (number + part) / count for part in (0, 0.5)]
        far = [(x + reach * math.cos(angle), y + reach * math.sin(angle)) for angle in angles]
        draw.polygon([(x, y), *far], fill=palette.shapes[number % 2])
    _disc(draw, x, y, width * 0.17, palette.paper)
    _disc(draw, x, y, width * 0.13, palette.third)


def _bands(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    """Slanting stripes of several widths."""
    width, height = size
    slant, x = height * chance.choice([-0.6, -0.35, 0.35, 0.6]), -abs(height)
    colours = [palette.first, palette.paper, palette.second, palette.third]
    number = chance.randrange(4)
    while x < width + height:
        thickness = width * chance.choice([0.04, 0.07, 0.11, 0.15])
        corners = [(x, 0), (x + thickness, 0), (x + thickness + slant, height), (x + slant, height)]
        draw.polygon(corners, fill=colours[number % 4])
        x, number = int(x + thickness), number + 1


def _dots(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    """Dots in a hexagonal grid that grow towards one side."""
    width, height = size
    draw.rectangle((0, 0, width, height), fill=palette.first)
    step = width / chance.choice([10, 12, 14])
    grows_down = chance.random() < 0.5
    for row in range(int(height / (step * 0.87)) + 2):
        share = row * step * 0.87 / height
        radius = step * (0.08 + 0.4 * (share if grows_down else 1 - share))
        for column in range(-1, int(width / step) + 2):
            accent = palette.second if chance.random() < 0.12 else palette.paper
            _disc(draw, (column + row % 2 / 2) * step, row * step * 0.87, max(radius, 1), accent)


def _arches(draw: Draw, size: Size, palette: Palette, chance: random.Random) -> None:
    width, height = size
    across = chance.choice([2, 3])
    broad = width / across
    draw.rectangle((0, 0, width, height), fill=palette.third)
    for column in range(across):
        middle, top = broad * (column + 0.5), height * chance.uniform(0.12, 0.4)
        colours = [palette.paper, palette.first, palette.second, palette.ink]
        chance.shuffle(colours)
        for number, colour in enumerate(colours):
            radius = broad * (0.46 - 0.115 * number)
            _disc(draw, middle, top + broad * 0.46, radius, colour)
            draw.rectangle((middle - radius, top + broad * 0.46, middle + radius, height), fill=colour)


SCENES: tuple[Pattern, ...] = (_hills, _sunset, _arches)
PATTERNS: tuple[Pattern, ...] = (*SCENES, _rings, _tiles, _rays, _bands, _dots)
