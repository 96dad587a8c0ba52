"""What ties the log lines of one cause together."""

from __future__ import annotations

import json
import re

import pytest

from common.telemetry import configure_logging, continue_trace, correlated, get_logger, log_request

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_trace_goes_on_with_a_span_of_ours() -> None:
    made = continue_trace(f"00-{TRACE}-00f067aa0ba902b7-00").split("-")
    assert (made[1], made[3]) == (TRACE, "00")
    assert made[2] != "00f067aa0ba902b7"


@pytest.mark.parametrize("given", [None, "", "00-x-y-z", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{TRACE}-1-01"])
def test_an_invalid_trace_is_replaced(given: str | None) -> None:
    assert continue_trace(given).split("-")[1] not in ("x", "0" * 32)


def test_a_log_line_is_one_json_object_with_its_identifiers(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("toy", "INFO", "json")
    with correlated("req-1", f"00-{TRACE}-00f067aa0ba902b7-01"):
        get_logger("test").info("noted", number=1)
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["event"], line["service"], line["number"]) == ("noted", "toy", 1)
    assert (line["request_id"], line["trace_id"], line["level"]) == ("req-1", TRACE, "info")


def test_the_line_of_a_request_is_as_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("toy", "INFO", "json")
    with correlated("req-1", f"00-{TRACE}-00f067aa0ba902b7-01"):
        get_logger("request").info("request", method="GET", route="/x", status=200, ms=3.1)
        log_request("GET", "/x", 200, 0.0031)
    one, other = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", other["timestamp"])
    assert one | {"timestamp": ""} == other | {"timestamp": ""}


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_a_quiet_process_writes_none(capsys: pytest.CaptureFixture[str], level: str) -> None:
    configure_logging("toy", level, "json")
    log_request("GET", "/x", 200, 0.0031)
    assert capsys.readouterr().err == ""


def test_a_line_for_people_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("toy", "INFO", "console")
    with correlated("0123456789abcdef", f"00-{TRACE}-00f067aa0ba902b7-01"):
        log_request("GET", "/api/v1/books/<uuid:id>", 200, 0.0031)
        get_logger("test").warning("upstream_fault", upstream="catalog")
        try:
            raise ValueError("oh")
        except ValueError as error:
            get_logger("test").error("unexpected_error", exc_info=error)
    answered, warned, *failed = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d 200 GET /api/v1/books/<uuid:id> 3\.1 ms 89abcdef", answered)
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[warning\] upstream_fault upstream=catalog 89abcdef", warned)
    assert failed[0].endswith("[error] unexpected_error 89abcdef")
    assert (failed[1], failed[-1]) == ("Traceback (most recent call last):", "ValueError: oh")
