"""The published language: one golden JSON for each version of each event, which every later reader must understand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.events import published

GOLDEN = Path(__file__).parent / "events"
CONTRACTS = {name: event for name, event in published().items() if not name.startswith("toy.")}


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.json"


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_golden_json_is_still_understood_and_still_written(name: str) -> None:
    document = json.loads(golden(name).read_text())
    event = CONTRACTS[name].model_validate(document)
    assert json.loads(event.model_dump_json()) == document
    assert event.key


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_reader_ignores_what_a_later_writer_adds(name: str) -> None:
    document = json.loads(golden(name).read_text())
    assert CONTRACTS[name].model_validate({**document, "added_later": {"x": 1}}) == CONTRACTS[name](**document)


def test_every_golden_json_belongs_to_an_event() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CONTRACTS)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_name_says_publisher_fact_and_version(name: str) -> None:
    publisher, fact, version = name.split(".")
    assert publisher in {"auth", "catalog", "orders", "reviews"}
    assert fact.islower()
    assert version[0] == "v"
    assert version[1:].isdigit()


def test_events_of_one_kind_of_key_are_equally_urgent() -> None:
    """Otherwise one could overtake another of its own key."""
    by_key: dict[tuple[str, str], set[bool]] = {}
    for name, event in CONTRACTS.items():
        by_key.setdefault((name.partition(".")[0], event.key_field), set()).add(event.urgent)
    assert all(len(found) == 1 for found in by_key.values())
