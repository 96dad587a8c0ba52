"""Files through the gateway: streamed both ways, refused when they are too large, and gone when their owner is."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.support.pictures import opened, picture
from tests.support.shopper import TIMEOUT, Person, Staff
from tests.support.stack import Stack
from tests.support.waiting import eventually

MEBIBYTE = 1024 * 1024
UPLOADS = "/api/v1/uploads"


def post(person: Person, url: str, files: Any, **fields: str) -> requests.Response:
    return person.http.post(url, files=files, data=fields, timeout=TIMEOUT)


def test_an_upload_of_the_largest_size_goes_in_and_out(store: Stack, buyer: Person) -> None:
    content = b"line of text\n" * (10 * MEBIBYTE // 13)
    made = post(buyer, store.gateway + UPLOADS, {"file": ("notes.txt", content)})
    assert made.status_code == 201, made.text
    url = f"{store.gateway}{UPLOADS}/{made.json()['id']}"
    loaded = buyer.http.get(f"{url}/download", timeout=TIMEOUT)
    assert loaded.content == content
    assert loaded.headers["Content-Disposition"] == 'attachment; filename="notes.txt"'
    assert loaded.headers["X-Content-Type-Options"] == "nosniff"
    assert requests.get(url, timeout=TIMEOUT).status_code == 401
    assert Person.register(store.gateway).http.get(url, timeout=TIMEOUT).status_code == 404
    assert buyer.http.delete(url, timeout=TIMEOUT).status_code == 204


def test_a_form_whose_length_is_not_said_beforehand(store: Stack, buyer: Person) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.txt"\r\n\r\n%b\r\n--b--\r\n'
    for size, status in ((200_000, 201), (11 * MEBIBYTE, 413)):
        body = form % (b"x" * size)
        pieces = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = buyer.http.post(store.gateway + UPLOADS, data=pieces, headers=kind, timeout=TIMEOUT)
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("size", [10 * MEBIBYTE + 1, 11 * MEBIBYTE, 13 * MEBIBYTE], ids=["service", "both", "gateway"])
def test_what_is_too_large_is_a_problem_whoever_finds_it(store: Stack, buyer: Person, size: int) -> None:
    answer = post(buyer, store.gateway + UPLOADS, {"file": ("x.txt", b"x" * size)})
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert answer.json()["code"] == "too_large"


def test_pictures_of_a_book_are_seen_by_everybody(store: Stack, admin: Staff) -> None:
    book = admin.add_book("Seen by all")
    drawn = requests.get(store.gateway + admin.get(f"/books/{book}")["cover_url"], timeout=TIMEOUT)
    assert opened(drawn.content).size == (600, 900)
    large = picture("PNG") + b"\0" * 5 * MEBIBYTE  # what follows the picture is dropped
    files = [("images", (f"{number}.png", large)) for number in range(4)]
    made = post(admin, f"{store.gateway}/api/v1/books/{book}/images", files)
    assert made.status_code == 201, made.text
    for image in made.json()["images"]:
        shown = requests.get(store.gateway + image["url"], timeout=TIMEOUT)
        assert opened(shown.content).size == (40, 60)
        assert "immutable" in shown.headers["Cache-Control"]


def test_the_files_of_somebody_erased_are_gone_from_the_storage(store: Stack, buyer: Person) -> None:
    made = post(buyer, store.gateway + UPLOADS, {"file": ("mine.txt", b"mine")}, is_public="true").json()
    assert [each["id"] for each in buyer.get("/users/me/export")["catalog"]["uploads"]] == [made["id"]]
    folder = store.settings.files / "uploads" / made["id"]
    assert (folder / "content").read_bytes() == b"mine"
    buyer.send("DELETE", "/users/me").raise_for_status()
    eventually(lambda: not folder.exists(), within=30)
