"""What the service answers is what its document promises: `make fuzz SERVICE=auth` looks further."""

from __future__ import annotations

from tests.support.conformance import conformance

ENDS_THE_SIGN_IN = r"/auth/(logout|sessions|password$)|/users/me|/admin/users"


def test_every_answer_is_one_that_the_document_promises(app, admin):
    found = conformance(app, admin, alone=True, last=ENDS_THE_SIGN_IN)
    assert found.succeeded
    assert not found.failures, found.report()
