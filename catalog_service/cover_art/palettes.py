"""Colours that go together."""

from __future__ import annotations

from typing import NamedTuple


class Palette(NamedTuple):
    """`ink` is easily read on `paper`; the others are for shapes on it."""

    paper: str
    ink: str
    first: str
    second: str
    third: str

    @property
    def shapes(self) -> tuple[str, str, str]:
        return self.first, self.second, self.third


PALETTES = (
    Palette("#14213d", "#fdf6e3", "#fca311", "#8fb8de", "#2a4a7f"),
    Palette("#f6ead7", "#3b1f1b", "#c8553d", "#f28f3b", "#588b8b"),
    Palette("#1f3a34", "#f4efe1", "#d9a441", "#5f9c7c", "#e8c9a0"),
    Palette("#fbe9e7", "#4a1a33", "#d1495b", "#edae49", "#7a3b69"),
    Palette("#e8f1f2", "#13293d", "#006494", "#1b98e0", "#f4a261"),
    Palette("#2d1e3e", "#f8edff", "#f26a8d", "#b185db", "#ffc857"),
    Palette("#f2efdf", "#2f3a1c", "#7a8f3c", "#c9b458", "#b5533c"),
    Palette("#22252a", "#f5f3ee", "#e4572e", "#f3a712", "#669bbc"),
    Palette("#0b3c49", "#fff8e8", "#f7b267", "#f25c54", "#5fb3a8"),
    Palette("#efe9f7", "#2b2250", "#7b6bd6", "#f2a7b5", "#3f88c5"),
    Palette("#5a1a1f", "#fbeee0", "#e0a458", "#c8553d", "#f3d9b1"),
    Palette("#dff1ff", "#102a43", "#ff7f51", "#ffc145", "#3d82ab"),
)
