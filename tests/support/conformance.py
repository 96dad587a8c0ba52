"""An application against its own OpenAPI document: schemathesis makes requests up and judges the answers."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from flask import Flask
from schemathesis.config._checks import NOT_A_SERVER_ERROR_EXPECTED_STATUSES as NO_ERROR
from schemathesis.config._checks import POSITIVE_DATA_ACCEPTANCE_EXPECTED_STATUSES as ACCEPTED
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import CheckNode, ScenarioRecorder
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.serving import serving

CASES = int(os.environ.get("FUZZ_CASES", "0"))
"""0: a few for each operation, always the same. Else about so many made up in all, each time others."""
QUICK = 4
# No schema can say that an ISBN's check digit is right, that a genre exists, or what is in a file; and where a book
# is read by its ISBN too, what is neither that nor an id can only be read (405).
CHECKS = {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "405", "413", "415", "422"]}}
# OAuth and its pages have tests and specifications of their own.
PAGES = {"exclude-path-regex": "^/api/v1/", "enabled": False}
# The staff see what they took off sale and what is left of it, and orders go on showing its cover.
SOFTLY_DELETED = {
    "include-name-regex": r"^GET /api/v1/books/\{id\}(/cover|/stock)?$",
    "checks": {"use_after_free": {"enabled": False}},
}


@dataclass(slots=True)
class Findings:
    """What was answered, and what of it does not fit: once for each operation and kind."""

    statuses: Counter[int] = field(default_factory=Counter)
    succeeded: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)

    def report(self) -> str:
        found = "\n\n".join(f"{what}\n{why}" for what, why in sorted(self.failures.items()))
        return f"{self.statuses.total()} requests: {dict(self.statuses)}\n\n{found}"


def conformance(
    app: Flask, headers: dict[str, str], *, alone: bool = False, last: str | None = None, cases: int = CASES
) -> Findings:
    """What becomes of requests that are made up from the document, right ones and wrong ones, over HTTP.

    A service that is `alone` may answer 503 for want of another. What is on paths that match `last` has its turn when
    all else had: what would end the sign-in that everything is asked with.
    """
    findings = Findings()
    with serving(make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        address = f"{url}/openapi.json"
        operations = schemathesis.openapi.from_url(address).statistic.operations.total
        config = _config(url, headers, cases // operations, alone=alone)
        document = schemathesis.openapi.from_url(address, config=config)
        turns = [document.exclude(path_regex=last), document.include(path_regex=last)] if last else [document]
        for event in (each for turn in turns for each in from_schema(turn).execute()):
            _take(findings, event)
    return findings


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Thousands of lines would say nothing."""


def _config(url: str, headers: dict[str, str], each: int, *, alone: bool) -> schemathesis.Config:
    settings: dict[str, Any] = {
        "base-url": url,
        "headers": headers,
        "continue-on-failure": True,
        "generation": {"deterministic": not each, "max-examples": each or QUICK, "no-shrink": not each},
        "checks": CHECKS | ({"not_a_server_error": {"expected-statuses": [*NO_ERROR, "503"]}} if alone else {}),
        "operations": [PAGES, SOFTLY_DELETED],
    }
    if not each:  # every edge of every value, and what follows upon what, take minutes
        settings["phases"] = {"coverage": {"enabled": False}, "stateful": {"enabled": False}}
    return schemathesis.Config.from_dict(settings)


def _take(findings: Findings, event: events.EngineEvent) -> None:
    if isinstance(event, events.FatalError):
        raise event.exception
    if isinstance(event, events.NonFatalError):
        findings.failures.setdefault(f"{event.label}: {type(event.value).__name__}", event.info.format())
    if isinstance(event, events.ScenarioFinished):
        _judge(findings, event.recorder)


def _judge(findings: Findings, recorder: ScenarioRecorder) -> None:
    for id, interaction in recorder.interactions.items():
        label = recorder.cases[id].value.operation.label
        status = interaction.response.status_code if interaction.response else 0
        findings.statuses[status] += 1
        if 200 <= status < 400:
            findings.succeeded.add(label)
        for check in recorder.checks.get(id, []):
            if check.failure_info and not _is_padding(recorder.cases[id].value, check):
                told = _told(recorder, id, check)
                findings.failures.setdefault(f"{label}: {check.failure_info.failure.title}", told)


def _is_padding(case: schemathesis.Case, check: CheckNode) -> bool:
    """What surrounds a text does not count in its length, which no schema can say."""
    assert check.failure_info
    given = case.body.values() if isinstance(case.body, dict) else ()
    is_padded = any(isinstance(each, str) and each != each.strip() for each in given)
    return is_padded and isinstance(check.failure_info.failure, AcceptedNegativeData)


def _told(recorder: ScenarioRecorder, id: str, check: CheckNode) -> str:
    interaction = recorder.interactions[id]
    answer = interaction.response.content[:500] if interaction.response else b""
    assert check.failure_info
    return f"{check.failure_info.failure.message}\n{recorder.cases[id].value.as_curl_command()[:1500]}\n{answer!r}"
