"""Pages of A4 that can hold a name or a title in any script."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from common import fonts
from common.fonts import Font
from common.rooms import Room

FAMILY = "noto"
SWITCH_SECONDS = 0.0005
HEADINGS = FontFace(fill_color=(235, 235, 235))


class Press:
    """Makes documents one at a time: that takes the processor, which all other requests of the process share."""

    def __init__(self, most_waiting: int) -> None:
        self._room = Room(most_waiting, "Too many documents are being made.")
        self._turn = threading.Lock()

    def made(self, make: Callable[[], bytes], kept: Callable[[], bytes | None] = lambda: None) -> bytes:
        """What `make` returns, or what somebody else has made and kept in the meantime. Raises Unavailable."""
        with self._room.place(), self._turn, _giving_way():
            return kept() or make()


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let other threads have the interpreter sooner: with the usual 5 ms at each of a request's many turns, the median
    of a neighbour was four times as long while a document was made (41 ms, and 10 so)."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Document(FPDF):
    """Pages with the title and their number at the foot. `text` has all that will be written in foreign scripts."""

    def __init__(self, title: str, created_at: datetime, text: str) -> None:
        super().__init__(format="A4")
        self.set_creation_date(created_at)
        self.set_title(title)
        self.set_margins(15, 15)
        self.add_font(FAMILY, "", fonts.NOTO_SANS)  # its default weight: making a bold one of this file takes seconds
        self._folder = TemporaryDirectory()
        self._add_fonts_for(text)
        self.alias_nb_pages()
        self.title_of_page = title

    def _add_fonts_for(self, text: str) -> None:
        others = fonts.besides_noto(text)
        for number, font in enumerate(others):
            path = _east_asian(font, text, Path(self._folder.name)) if font.is_east_asian else font.path
            self.add_font(f"{FAMILY}{number}", "", path)
        if others:
            self.set_fallback_fonts([f"{FAMILY}{number}" for number in range(len(others))])
            self.set_text_shaping(True)

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font(FAMILY, size=8)
        self.cell(0, 8, f"{self.title_of_page} · {self.page_no()}/{{nb}}", align="C")

    def line_of(self, text: str, *, size: float = 10) -> None:
        self.set_font(FAMILY, size=size)
        self.multi_cell(0, size * 0.5, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def written(self) -> bytes:
        """The file; nothing more can be added."""
        try:
            return bytes(self.output())
        finally:
            self._folder.cleanup()


def _east_asian(font: Font, text: str, folder: Path) -> Path:
    """A font with the characters of this text only: the library would take seconds to make one of the whole file."""
    options = Options(layout_features=[], notdef_outline=True)
    with TTFont(font.path, fontNumber=font.number, lazy=True) as opened:
        wanted = Subsetter(options)
        wanted.populate(text=text)
        wanted.subset(opened)
        opened.save(folder / "east-asian.otf")
    return folder / "east-asian.otf"
