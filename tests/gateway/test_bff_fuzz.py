"""Whatever is sent to the paths of the browser's session: no 5xx of ours, and nobody is sent elsewhere."""

from __future__ import annotations

import os
from urllib.parse import quote, urljoin, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import BadRequest
from gateway.session.login import own_path
from tests.gateway.conftest import RunningGateway
from tests.gateway.test_sessions import CSRF, cookie

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "120"))
ORIGIN = "https://store.example"
ODD = [
    "",
    "/",
    "//",
    "/\\",
    "\\",
    "\t",
    "%2f",
    "%5c",
    "%00",
    "..",
    ".",
    "?",
    "#",
    "@",
    ":",
    ";",
    "evil.example",
    "https:",
    "é",
    "admin",
]
texts = st.one_of(st.lists(st.sampled_from(ODD), max_size=6).map("".join), st.text(max_size=30))
fields = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40)
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=EXAMPLES <= 120,
    database=None,
)


@quick
@given(texts)
def test_who_is_let_through_stays_at_the_store(return_to: str) -> None:
    try:
        own_path(return_to)
    except BadRequest:
        return
    for reader in (return_to, return_to.replace("\\", "/"), return_to.replace("\t", "").replace("\n", "")):
        assert urlsplit(urljoin(ORIGIN, reader)).netloc == "store.example"
    assert return_to.startswith("/")


@quick
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
    st.sampled_from(["/bff/login", "/bff/callback", "/bff/session", "/bff/logout", "/bff", "/bff/x", "/bff/session/"]),
    st.dictionaries(st.sampled_from(["return_to", "state", "code", "iss", "error", "step_up", "x"]), texts, max_size=4),
    st.dictionaries(
        st.sampled_from(["X-Portal", "Referer", "Origin", "X-CSRF-Token", "Sec-Fetch-Site", "Authorization"]),
        st.one_of(fields, st.sampled_from([CSRF, "admin", "null", "http://localhost/admin", "Bearer x"])),
        max_size=3,
    ),
    st.one_of(
        st.just(""),
        fields,
        st.builds(lambda name, value: f"{name}={value}", st.sampled_from(["shop_session", "login_"]), fields),
    ),
)
def test_nothing_that_is_sent_is_an_error_of_ours(
    gateway: RunningGateway, method: str, path: str, query: dict[str, str], headers: dict[str, str], sent: str
) -> None:
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    lines = [f"{name}: {value}" for name, value in headers.items()]
    jar = f"Cookie: {sent}" if sent else f"Cookie: {cookie()}"
    with gateway.connect() as client:
        client.send(
            f"{method} {path}?{asked} HTTP/1.1\r\nHost: localhost\r\n"
            + "".join(f"{each}\r\n" for each in [*lines, jar, "Content-Length: 0", ""])
        )
        reply = client.reply(method)
    assert reply.status < 500 or reply.status == 503, "without an auth service that answers"
    assert not urlsplit(reply.fields.get("Location", "")).netloc
    for name in ("X-Request-ID", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert len(reply.fields.get_all(name, [])) == 1, name
    if path.count("/") == 2 and reply.status < 500 and path != "/bff/x":
        assert reply.fields["Cache-Control"] == "no-store" or reply.status in (401, 405)
