"""Every test that docs/security.md names as a proof exists, and every row has a proof or a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/security.md").read_text().splitlines()
    if re.match(r"\| \d", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_requirement_has_a_proof_that_exists_or_a_reason(row: list[str]) -> None:
    _, requirement, proof = row
    assert requirement
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", proof)
    assert named or re.search(r"\b(n/a|doc|open): \w+", proof)
    for file, test in named:
        path = ROOT / "tests" / file
        assert re.search(rf"^def {test}\(", path.read_text(), re.MULTILINE), f"{file}::{test}"


def test_all_chapters_are_there() -> None:
    sections = " ".join(row[0] for row in ROWS)
    for chapter in ("2.1.1", "4.14", "6.8.3", "7.6.1", "9.2.3", "10.7.3"):
        assert chapter in sections
