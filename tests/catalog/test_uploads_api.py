"""Uploads: what is taken, under which name it is given back, to whom, and when it is gone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import hypothesis
import pytest
from flask.testing import FlaskClient
from hypothesis import strategies as st
from sqlalchemy import update

from catalog_service.antivirus import scanner as scanner_at
from catalog_service.config import CatalogConfig
from catalog_service.domain import filenames, files, people
from catalog_service.events import HANDLERS
from catalog_service.models import StoredFile
from common.config import ConfigError
from common.db import Database, utcnow
from common.events.auth import UserErased
from tests.catalog.conftest import FILES
from tests.support import clamd
from tests.support.database import deliver, environment
from tests.support.pictures import bomb, picture
from tests.support.tokens import bearer

UPLOADS = "/api/v1/uploads"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
MEBIBYTE = 1024 * 1024
PIECES = [
    b"--b",
    b"--b--",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"Content-Disposition",
    b": form-data",
    b"\xff",
    b"text",
    b"true",
]
PIECES += [b'Content-Disposition: form-data; name="file"', b'; filename="x"', b'; name="is_public"', b"Content-Type: "]
BOUNDARY = "multipart/form-data; boundary=b"
Send = Callable[..., Any]


@pytest.fixture
def me() -> dict[str, str]:
    return bearer()


@pytest.fixture
def send(client: FlaskClient, me: dict[str, str]) -> Send:
    def post(content: bytes, name: str = "notes.txt", *, headers: Any = None, claims: str = "", **fields: Any) -> Any:
        file = (BytesIO(content), name, claims) if claims else (BytesIO(content), name)
        return client.post(UPLOADS, data={"file": file} | fields, headers=headers or me)

    return post


@pytest.fixture(autouse=True)
def nothing_left(app: Any) -> Iterator[None]:
    yield
    for path in stored():
        path.unlink()


def stored() -> list[Any]:
    return [path for path in (FILES / "uploads").rglob("*") if path.is_file()]


def sweep(database: Database, config: CatalogConfig) -> None:
    with database.transaction() as session:
        session.execute(update(StoredFile).where(StoredFile.due_at.is_not(None)).values(due_at=utcnow()))
    files.sweep(database, config)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (picture("JPEG"), "image/jpeg"),
        (picture("PNG"), "image/png"),
        (picture("WEBP"), "image/webp"),
        (PDF, "application/pdf"),
        ("Füße, naïve, 本\r\n\tend\n".encode(), "text/plain"),
        (b"\xef\xbb\xbfwith a mark", "text/plain"),
        (b"title,price\nEmma,9.99\n", "text/plain"),
        (b"a < b, <3 and <angle brackets>", "text/plain"),
    ],
)
def test_a_file_is_kept_and_given_back_as_it_came(client, send, me, content, content_type):
    answer = send(content, "x.bin", claims="text/html")
    assert answer.status_code == 201, answer.json
    made = answer.json
    assert set(made) == {"id", "filename", "content_type", "size", "sha256", "is_public", "uploaded_at"}
    assert (made["content_type"], made["size"], made["is_public"]) == (content_type, len(content), False)
    assert made["sha256"] == hashlib.sha256(content).hexdigest()
    path = f"{UPLOADS}/{made['id']}"
    assert answer.headers["Location"] == path
    assert client.get(path, headers=me).json == made
    loaded = client.get(f"{path}/download", headers=me)
    assert loaded.data == content
    assert loaded.mimetype == content_type
    assert loaded.headers["Content-Length"] == str(len(content))
    assert loaded.headers["X-Content-Type-Options"] == "nosniff"
    assert loaded.headers["Content-Disposition"].startswith("attachment; filename=")
    assert loaded.headers["Cache-Control"] == "private, no-cache"
    assert client.head(f"{path}/download", headers=me).headers["Content-Length"] == str(len(content))
    known = client.get(f"{path}/download", headers=me | {"If-None-Match": loaded.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b'\n <?xml version="1.0"?><svg/>', 415),
        (b"\xef\xbb\xbf<!DOCTYPE html><p>", 415),
        (b"<HTML >", 415),
        (b"<script>alert(1)</script>", 415),
        (b"MZ\x90\x00\x03", 415),
        (b"\x7fELF\x02\x01", 415),
        (b"PK\x03\x04zip", 415),
        (b"GIF89a" + bytes(20), 415),
        (b"a\x00b", 415),
        (b"latin-1: \xe9t\xe9", 415),
        (b"cut off: \xe6\x9c", 415),
        (b"x" * 70_000 + b"\x01", 415),
        (b" %PDF-1.7", 201),
        (b"\xff\xd8\xff\xe0 no picture", 422),
        (bomb(10_000, 10_000), 413),
        (b"", 422),
    ],
)
def test_the_content_decides_whatever_the_sender_says(send, content, status):
    answer = send(content, "innocent.png", claims="image/png")
    assert answer.status_code == status, answer.json
    assert bool(stored()) == (status == 201)


class Endless:
    """A body that says how much of it was read."""

    def __init__(self, content: bytes, size: int) -> None:
        self._begin, self._left, self.read_so_far = content, size, 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "all of it is wanted at once"
        block, self._begin = (self._begin[:size], self._begin[size:]) if self._begin else (b"x" * size, b"")
        block = block[: self._left]
        self._left -= len(block)
        self.read_so_far += len(block)
        return block


def test_what_is_too_large_is_refused_before_the_rest_is_read(client, me):
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.txt"\r\n\r\n'
    body = Endless(begin, 2**40)
    chunked = {"wsgi.input": body, "wsgi.input_terminated": True}
    answer = client.post(UPLOADS, headers=me, content_type=BOUNDARY, environ_overrides=chunked)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert body.read_so_far < 11 * MEBIBYTE
    unread = Endless(begin, 2**40)
    said = {"wsgi.input": unread, "CONTENT_LENGTH": str(50 * MEBIBYTE)}
    answer = client.post(UPLOADS, headers=me, content_type=BOUNDARY, environ_overrides=said)
    assert (answer.status_code, answer.json["code"], unread.read_so_far) == (413, "too_large", 0)


def test_the_limit_itself_is_fine(send):
    assert send(b"x" * 10 * MEBIBYTE).status_code == 201
    assert send(b"x" * (10 * MEBIBYTE + 1)).status_code == 413


def test_forms_that_are_none(client, send, me):
    assert client.post(UPLOADS, json={}, headers=me).status_code == 415
    assert client.post(UPLOADS, data={}, headers=me, content_type="multipart/form-data").status_code == 422
    assert client.post(UPLOADS, data={"file": "text"}, headers=me).status_code == 415
    assert send(b"x", size="3").status_code == 422
    assert send(b"x", is_public="perhaps").status_code == 422
    two = {"file": [(BytesIO(b"x"), "a"), (BytesIO(b"y"), "b")]}
    assert client.post(UPLOADS, data=two, headers=me).status_code == 422
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\nX: ' + b"y" * 400_000
    assert client.post(UPLOADS, data=head, content_type=BOUNDARY, headers=me).status_code == 413


@pytest.mark.parametrize(
    ("given", "content_type", "offered"),
    [
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("C:\\Windows\\win.ini", "text/plain", "win.ini.txt"),
        ("..", "text/plain", "file.txt"),
        ("", "image/png", "file.png"),
        (".htaccess", "text/plain", "htaccess.txt"),
        ("photo.JPEG", "image/jpeg", "photo.jpeg"),
        ("photo.php", "image/jpeg", "photo.php.jpg"),
        ("invoice\u202efdp.exe", "application/pdf", "invoicefdp.exe.pdf"),
        ('a"; filename="b.exe', "application/pdf", "a__ filename=_b.exe.pdf"),
        ("a\r\nSet-Cookie: x", "text/plain", "aSet-Cookie_ x.txt"),
        ("con.txt", "text/plain", "_con.txt"),
        ("x" * 500 + ".csv", "text/plain", "x" * 120 + ".csv"),
        ("本.md", "text/plain", "本.md"),
        ("e\u0301te\u0301.pdf", "application/pdf", "été.pdf"),
    ],
)
def test_names_are_made_safe(given, content_type, offered):
    assert filenames.safe(given, content_type) == offered


def test_a_name_travels_as_rfc_6266_has_it(client, send, me):
    headers = {}
    for name in ("plain.txt", "été %20.txt", "本.txt"):
        made = send(b"x", name).json
        headers[name] = client.get(f"{UPLOADS}/{made['id']}/download", headers=me).headers["Content-Disposition"]
    assert headers == {
        "plain.txt": 'attachment; filename="plain.txt"',
        "été %20.txt": "attachment; filename=\"ete _20.txt\"; filename*=UTF-8''%C3%A9t%C3%A9%20_20.txt",
        "本.txt": "attachment; filename=\"file.txt\"; filename*=UTF-8''%E6%9C%AC.txt",
    }


def test_the_name_given_is_nowhere_in_the_storage(send):
    made = send(b"x", "../../../../tmp/evil.txt").json
    (path,) = stored()
    assert path == FILES / "uploads" / made["id"] / "content"


def test_a_file_is_its_owners_alone_unless_it_is_public(client, send, admin):
    private, public = send(b"x").json, send(b"y", is_public="true").json
    assert (private["is_public"], public["is_public"]) == (False, True)
    for stranger in (bearer(), admin):
        for rest in ("", "/download"):
            assert client.get(f"{UPLOADS}/{private['id']}{rest}", headers=stranger).status_code == 404
            assert client.get(f"{UPLOADS}/{public['id']}{rest}", headers=stranger).status_code == 200
        for each in (private, public):
            assert client.delete(f"{UPLOADS}/{each['id']}", headers=stranger).status_code == 404
    assert len(stored()) == 2


def test_nobody_without_a_token_and_no_service(client, send):
    made = send(b"x", is_public="true").json
    for method, path in (("POST", ""), ("GET", f"/{made['id']}"), ("GET", f"/{made['id']}/download"), ("DELETE", "/x")):
        if method != "DELETE":
            assert client.open(UPLOADS + path, method=method).status_code == 401
            service = bearer(role=None, scopes=["replicas:read"])
            assert client.open(UPLOADS + path, method=method, headers=service).status_code == 403
    assert client.get(f"{UPLOADS}/{uuid4()}", headers=bearer()).status_code == 404


@pytest.fixture
def allow(app, monkeypatch):
    """Has everybody keep at most so much."""

    def limit(**changes):
        monkeypatch.setitem(app.extensions, "config", replace(app.extensions["config"], **changes))

    return limit


def test_one_person_keeps_so_many_files(client, send, me, allow):
    allow(uploads_per_user=2)
    kept = [send(b"x").json["id"] for _ in range(2)]
    refused = send(b"x")
    assert (refused.status_code, refused.json["code"], refused.json["files"]) == (409, "uploads_full", 2)
    assert len(stored()) == 2
    assert send(b"x", headers=bearer()).status_code == 201
    assert client.delete(f"{UPLOADS}/{kept[0]}", headers=me).status_code == 204
    assert send(b"x").status_code == 201


def test_one_person_keeps_so_many_bytes_but_not_the_staff(send, admin, allow):
    allow(upload_bytes_per_user=10)
    assert [send(b"12345").status_code for _ in range(2)] == [201, 201]
    assert [send(content).status_code for content in (b"1", b"x" * 11)] == [409, 409]
    assert [send(b"12345678", headers=admin).status_code for _ in range(2)] == [201, 201]


def test_nor_more_by_many_at_once(app, me, allow, database, config):
    allow(uploads_per_user=3)

    def send(_):
        file = {"file": (BytesIO(b"x"), "x.txt")}
        return app.test_client().post(UPLOADS, data=file, headers=me).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(16))) == [201] * 3 + [409] * 13
    files.sweep(database, config)  # those that were stored for nothing are due at once
    assert len(stored()) == 3


def test_ones_own_files_are_listed(client, send, me):
    made = [send(b"x", f"{number}.txt").json for number in range(3)]
    send(b"x", headers=bearer(), is_public="true")
    first = client.get(f"{UPLOADS}?limit=2", headers=me).json
    rest = client.get(f"{UPLOADS}?limit=2&cursor={first['next_cursor']}", headers=me).json
    assert first["items"] + rest["items"] == made[::-1]


def test_a_deleted_file_is_gone(client, send, me, database, config):
    made, kept = send(b"x").json, send(b"y").json
    path = f"{UPLOADS}/{made['id']}"
    assert client.delete(path, headers=me).status_code == 204
    for rest in ("", "/download"):
        assert client.get(path + rest, headers=me).status_code == 404
    assert client.delete(path, headers=me).status_code == 404
    sweep(database, config)
    assert [path.parent.name for path in stored()] == [kept["id"]]


def test_of_many_who_delete_one_succeeds(app, send, me):
    path = f"{UPLOADS}/{send(b'x').json['id']}"
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: app.test_client().delete(path, headers=me).status_code, range(6)))
    assert sorted(statuses) == [204] + [404] * 5


def test_ones_data_names_the_uploads_and_erasure_removes_them(client, send, database, config):
    user_id = uuid4()
    mine = bearer(subject=user_id)
    made = send(b"x", headers=mine, is_public="true").json
    other = send(b"y").json
    with database.read() as session:
        (told,) = people.data(session, user_id)["uploads"]
    assert str(told["id"]) == made["id"]
    assert told["filename"] == "notes.txt"
    for _ in range(2):
        deliver(database, HANDLERS, UserErased(user_id=user_id))
    sweep(database, config)
    assert [path.parent.name for path in stored()] == [other["id"]]
    with database.read() as session:
        assert people.data(session, user_id)["uploads"] == []


@pytest.fixture
def scanner(app: Any) -> Iterator[clamd.Clamd]:
    with clamd.scanner() as running:
        app.extensions["scanner"] = scanner_at(running.url)
        yield running


def test_the_scanner_sees_all_of_a_file(send, scanner):
    content = b"x" * 200_000
    assert send(content).status_code == 201
    assert scanner.scanned == [content]


def test_an_infected_file_is_refused_and_not_kept(send, scanner):
    answer = send(b"this is EICAR")
    assert (answer.status_code, answer.json["code"]) == (422, "infected")
    assert stored() == []


def test_without_the_scanners_word_nothing_is_taken(send, scanner, app):
    refusals = []
    for said in (b"stream: Can't allocate memory ERROR\0", b"", b"stream: OK FOUND?\0", b"x" * 9000):
        scanner.answer = said
        refusals.append(send(b"x"))
    scanner.answer, scanner.limit = None, 100_000
    refusals.append(send(b"x" * 9_000_000))
    for away in ("tcp://127.0.0.1:1", "unix:///nowhere/clamd.sock"):
        app.extensions["scanner"] = scanner_at(away)
        refusals.append(send(b"x"))
    for answer in refusals:
        assert (answer.status_code, answer.json["code"]) == (503, "scanner_unavailable")
        assert "Retry-After" in answer.headers
    assert stored() == []


@pytest.mark.parametrize("url", ["clamd:3310", "tcp://clamd", "http://clamd:3310", "unix://"])
def test_a_scanners_address_that_makes_no_sense_is_refused_at_the_start(url):
    with pytest.raises(ConfigError, match="ANTIVIRUS_URL"):
        CatalogConfig.from_env(environment("postgresql://x@127.0.0.1:1/x_x", "catalog", ANTIVIRUS_URL=url))


def test_the_form_is_described(app, client):
    document = client.get("/openapi.json").json
    body = document["paths"][UPLOADS]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["properties"]["file"] == {"type": "string", "format": "binary"}
    assert body["required"] == ["file"]
    images = document["paths"]["/api/v1/books/{id}/images"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert images["schema"]["properties"]["images"]["items"] == {"type": "string", "format": "binary"}


def test_ids_are_ours(send):
    assert UUID(send(b"x").json["id"]).version == 7


@hypothesis.settings(
    max_examples=100, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12))
def test_whatever_a_body_is_made_of_it_is_answered(client, me, pieces):
    answer = client.post(UPLOADS, data=b"".join(pieces), content_type=BOUNDARY, headers=me)
    assert answer.status_code in (201, 400, 413, 415, 422)
