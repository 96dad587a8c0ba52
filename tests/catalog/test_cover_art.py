"""Covers that are drawn: always the same for a book, and for whatever title."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from catalog_service.cover_art import draw, typesetting
from catalog_service.cover_art.typesetting import (
    Box,
    Face,
    drawable,
    fitted,
    font_of,
    line_of_authors,
    parted_title,
    write,
)
from common import fonts
from common.fonts import Font
from tests.support.pictures import opened

SEED = UUID(int=5).bytes
FACE = Face(800, 88, 30)
LONG = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrentenauszahlungsstelle"


def test_a_book_always_gets_the_same_cover() -> None:
    with ThreadPoolExecutor(4) as pool:
        drawn = set(pool.map(lambda _: draw("Emma", "Jane Austen", seed=SEED), range(8)))
    assert len(drawn) == 1
    assert draw("Emma", "Jane Austen", seed=UUID(int=6).bytes) not in drawn


def test_covers_differ_from_book_to_book() -> None:
    drawn = {draw("Emma", "Jane Austen", seed=UUID(int=number).bytes) for number in range(24)}
    assert len(drawn) > 20


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=500), st.text(max_size=300))
def test_any_title_can_be_drawn(title: str, authors: str) -> None:
    assert opened(draw(title, authors, seed=SEED)).size == (600, 900)


@pytest.mark.parametrize("title", ["It", "War and Peace", LONG, "word " * 100, "W" * 500, "Война и мир " * 9])
def test_a_title_stays_in_its_box(title: str) -> None:
    setting = fitted(title, FACE, 400, 240)
    assert setting.height <= 240
    assert all(setting.font.getlength(line) <= 400 for line in setting.lines)
    assert (setting.lines[-1].endswith("…")) == (len(title) > 300)


def test_an_author_with_one_long_name_is_broken_up_or_cut_off() -> None:
    for height in (34, 74):
        setting = fitted("0" * 200, Face(550, 34, 20), 396, height)
        assert setting.height <= height
        assert all(setting.font.getlength(line) <= 396 for line in setting.lines)


def test_short_titles_are_large_and_long_ones_smaller() -> None:
    assert fitted("It", FACE, 400, 240).font.size == 88
    assert 30 <= fitted("The Curious Incident of the Dog in the Night-Time", FACE, 400, 240).font.size < 60


def test_what_the_font_does_not_have_is_left_out() -> None:
    assert drawable("Война и мир · Ὅμηρος · अपना") == "Война и мир · Ὅμηρος · अपना"
    assert drawable("戦争と平和 War 😀") == "戦争と平和 War"
    assert drawable("כתר, אחד, two 😀") == "כתר אחד"
    assert opened(draw("😀", "😀", seed=SEED)).size == (600, 900)


@pytest.mark.parametrize(
    ("title", "font"),
    [
        ("戦争と平和", Font(fonts.EAST_ASIAN, fonts.JAPANESE)),
        ("三体", Font(fonts.EAST_ASIAN, fonts.SIMPLIFIED)),
        ("채식주의자", Font(fonts.EAST_ASIAN, fonts.KOREAN)),
        ("ألف ليلة وليلة", "NotoSansArabic[wght].ttf"),
        ("כתר", "NotoSansHebrew[wght].ttf"),
        ("สี่แผ่นดิน", "NotoSansThai[wght].ttf"),
        ("গোরা", "NotoSansBengali[wght].ttf"),
        ("ვეფხისტყაოსანი", "NotoSansGeorgian[wght].ttf"),
        ("गोदान", fonts.NOTO),
    ],
)
def test_a_title_is_set_in_a_font_that_has_its_script(title: str, font: Font | str) -> None:
    assert drawable(title) == title
    assert font in (font_of(title), font_of(title).path.name)
    assert opened(draw(title, title, seed=SEED)).size == (600, 900)


def test_hebrew_and_arabic_begin_at_the_right() -> None:
    box = Box(0, 0, 400, 100)
    for title, begins_left in (("Emma", True), ("כתר", False), ("ألف", False)):
        picture = Image.new("L", (400, 100))
        write(ImageDraw.Draw(picture), fitted(title, Face(400, 40, 20), 400, 100), box, "white")
        left, _, right, _ = picture.getbbox() or (0, 0, 0, 0)
        assert (left < 20, right > 380) == (begins_left, not begins_left), title


def test_letters_that_cannot_be_joined_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typesetting, "CAN_SHAPE", False)
    assert drawable("ألف ليلة 1001") == "1001"
    assert drawable("三体") == "三体"


def test_titles_and_authors_are_set_as_people_read_them() -> None:
    assert parted_title("The Hunger Games (The Hunger Games, #1)") == ("The Hunger Games", "The Hunger Games, #1")
    assert parted_title("(Untitled)") == ("(Untitled)", "")
    assert parted_title("Soccernomics: Why England Loses, and Why Germany Wins")[0] == "Soccernomics"
    assert parted_title("2001: A Space Odyssey") == ("2001: A Space Odyssey", "")
    assert line_of_authors("A; B; C") == "A, B and C"
    assert line_of_authors("A; B; C; D") == "A, B and others"
    assert line_of_authors("Jane  Austen") == "Jane\u00a0Austen"
    assert line_of_authors("") == ""
