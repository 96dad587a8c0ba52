"""Cells of CSV files that people open in a spreadsheet: what somebody wrote there must not be calculated."""

from __future__ import annotations

import re

FORMULA = re.compile("['\\s\u200b\u2060\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")
"""What begins a formula, also in the full-width forms of East Asian keyboards and behind blanks that some programs
leave out; and a tab or a line's end, which some take for the beginning of the next cell."""

RAW = "Texts as they are, for programs: without the apostrophe that keeps a spreadsheet from calculating them."


def as_cell(text: str) -> str:
    """The text with an apostrophe in front where a spreadsheet would see a formula; `as_text` takes it off again."""
    return f"'{text}" if FORMULA.match(text) else text


def as_text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
