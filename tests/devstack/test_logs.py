"""What of the processes' logs is shown to who runs the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.logs import LogFiles

SAID = """\
ModuleNotFoundError: said before there are levels
12:00:00 [info] worker_started
12:00:01 200 GET /api/v1/books 3.1 ms 89abcdef
12:00:02 [warning] upstream_fault upstream=catalog
12:00:03 [error] unexpected_error
Traceback (most recent call last):
ValueError: oh
12:00:04 [info] worker_started
  goes on
{"event": "noted", "level": "info"}
{"event": "lost", "level": "warning"}
"""


@pytest.mark.parametrize(
    ("least", "shown"),
    [
        ("warning", ["ModuleNotFoundError", "upstream_fault", "unexpected_error", "Traceback", "ValueError", "lost"]),
        ("error", ["ModuleNotFoundError", "unexpected_error", "Traceback", "ValueError"]),
        ("debug", SAID.splitlines()),
    ],
)
def test_from_a_level_on_with_what_belongs_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], least: str, shown: list[str]
) -> None:
    path = tmp_path / "gateway.log"
    files = LogFiles({"gateway": path})
    for line in SAID.splitlines(keepends=True):
        with path.open("a") as log:
            log.write(line)
        files.show_new(least)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(shown)
    assert all(part in line for part, line in zip(shown, lines, strict=True))
