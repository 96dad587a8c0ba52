"""What the service answers is what its document promises: `make fuzz SERVICE=review` looks further."""

from __future__ import annotations

from tests.support.conformance import conformance
from tests.support.tokens import bearer


def test_every_answer_is_one_that_the_document_promises(app, peer):
    found = conformance(app, bearer(role="admin"), alone=True)
    assert found.succeeded
    assert not found.failures, found.report()
