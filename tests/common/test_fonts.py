"""The fonts that come with us."""

from __future__ import annotations

import pytest
from fontTools.ttLib import TTFont

from common import fonts
from common.fonts import Font

EVERY_SYLLABLE = "".join(map(chr, range(0xAC00, 0xD7A4)))
EVERY_UNIFIED_IDEOGRAPH = "".join(map(chr, range(0x4E00, 0x9FD6)))


@pytest.mark.parametrize(
    "text", ["ألف ليلة وليلة", "שלום", "三体 與龘", "戦争と平和 髙﨑𠮷", EVERY_SYLLABLE, EVERY_UNIFIED_IDEOGRAPH]
)
def test_names_and_titles_have_their_letters(text: str) -> None:
    (font,) = fonts.besides_noto(text.replace(" ", ""))
    assert {ord(each) for each in text} <= fonts.characters(font) | fonts.characters(fonts.NOTO)


def test_each_font_that_is_named_is_there_with_its_licence() -> None:
    assert "SIL OPEN FONT LICENSE" in (fonts.FOLDER / "OFL.txt").read_text()
    named = {fonts._font(script, "") for _, script in fonts._BLOCKS if script} | {fonts.NOTO}
    kept = {path.name for path in fonts.FOLDER.iterdir() if path.suffix in (".ttf", ".ttc")}
    assert {font.path.name for font in named} == kept


def test_the_same_ideograph_is_drawn_otherwise_in_japan() -> None:
    glyphs = set()
    for number in (fonts.JAPANESE, fonts.SIMPLIFIED):
        with TTFont(Font(fonts.EAST_ASIAN, number).path, fontNumber=number, lazy=True) as opened:
            glyphs.add(opened.getBestCmap()[ord("骨")])
    assert len(glyphs) == 2
