"""What the service answers is what its document promises: `make fuzz SERVICE=catalog` looks further."""

from __future__ import annotations

from tests.support.conformance import conformance


def test_every_answer_is_one_that_the_document_promises(app, admin, add_book):
    add_book("Emma")
    found = conformance(app, admin)
    assert found.succeeded
    assert not found.failures, found.report()
