"""Pictures of books: what is taken, what becomes of it, its order, its end, and the cover of a book without any."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from sqlalchemy import select, update

from catalog_service.config import CatalogConfig
from catalog_service.domain import files, pictures
from catalog_service.models import StoredFile
from catalog_service.storage import open_storage
from common.db import Database, utcnow
from common.errors import Invalid, TooLarge, UnsupportedMediaType
from common.events.administration import CatalogAdminActed
from common.events.catalog import BookChanged
from tests.catalog.conftest import FILES, replicated
from tests.support.database import emitted
from tests.support.pictures import animated, bomb, from_a_telephone, opened, picture, written
from tests.support.tokens import bearer

SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
Add = Callable[..., Any]


@pytest.fixture
def send(client, admin) -> Add:
    """Adds pictures to a book."""

    def post(book_id: str, *contents: bytes, **fields: Any) -> Any:
        form = {"images": [(BytesIO(each), f"{number}.jpg") for number, each in enumerate(contents)]} | fields
        return client.post(
            f"/api/v1/books/{book_id}/images", data=form, headers=admin, content_type="multipart/form-data"
        )

    return post


def stored(database: Database) -> list[str]:
    """All that lies in the folder, but for covers."""
    return sorted(path.relative_to(FILES).as_posix() for path in FILES.rglob("*") if path.is_file())


def sweep(database: Database, config: CatalogConfig) -> None:
    """As the worker does by the clock, a while later."""
    with database.transaction() as session:
        session.execute(
            update(StoredFile).where(StoredFile.due_at.is_not(None)).values(due_at=utcnow() - timedelta(seconds=1))
        )
    files.sweep(database, config)


@pytest.fixture(autouse=True)
def nothing_left(database: Database, config: CatalogConfig, app: Any) -> Any:
    """The tables are emptied after each test: so is the folder."""
    yield
    for path in [path for path in FILES.rglob("*") if path.is_file()]:
        path.unlink()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_added_and_shown(client, send, add_book, kind):
    book = add_book()
    answer = send(book["id"], picture(kind, (400, 600)), alt="Front")
    assert answer.status_code == 201, answer.json
    (image,) = answer.json["images"]
    assert image == {"id": image["id"], "url": f"/api/v1/images/{image['id']}", "width": 400, "height": 600} | {
        "alt": "Front"
    }
    assert answer.json["cover_url"] == image["url"]
    assert client.get(f"/api/v1/books/{book['id']}").json["images"] == [image]
    assert client.get("/api/v1/books").json["items"][0]["cover_url"] == image["url"]
    shown = client.get(image["url"])
    assert shown.mimetype == f"image/{kind.lower()}"
    assert opened(shown.data).size == (400, 600)
    assert shown.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    again = client.get(image["url"], headers={"If-None-Match": shown.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_narrower_one_is_chosen_by_width(client, send, add_book):
    (image,) = send(add_book()["id"], picture("JPEG", (700, 1000))).json["images"]
    sizes = {}
    for asked in (1, 160, 161, 320, 500, 641, 9999):
        shown = client.get(f"{image['url']}?w={asked}")
        sizes[asked] = opened(shown.data).width
        assert shown.mimetype == ("image/webp" if sizes[asked] < 700 else "image/jpeg")
    assert sizes == {1: 160, 160: 160, 161: 320, 320: 320, 500: 640, 641: 700, 9999: 700}
    for wrong in ("0", "-1", "x", "1e3", "9" * 30, "1&w=2"):
        assert client.get(f"{image['url']}?w={wrong}").status_code == 422, wrong


def test_what_the_telephone_told_is_gone_and_the_picture_is_upright(client, send, add_book):
    sent = from_a_telephone()
    assert b"Secret" in sent
    (image,) = send(add_book()["id"], sent).json["images"]
    assert (image["width"], image["height"]) == (60, 90)
    shown = client.get(image["url"]).data
    assert b"Secret" not in shown
    made = opened(shown)
    assert dict(made.getexif()) == {}
    assert "icc_profile" not in made.info
    assert made.getpixel((58, 45))[0] < 30  # dark was above, and is right now
    assert made.getpixel((1, 45))[0] > 220


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_was_hidden_behind_a_picture_is_gone(client, send, add_book, kind):
    (image,) = send(add_book()["id"], picture(kind) + b"<script>alert(1)</script>PK\x03\x04").json["images"]
    assert b"script" not in client.get(image["url"]).data


@pytest.mark.parametrize(
    ("content", "is_dark"),
    [
        (picture("JPEG", mode="CMYK"), True),
        (picture("JPEG", mode="L"), True),
        (picture("PNG", mode="P"), True),
        (picture("PNG", mode="1"), True),
        (picture("PNG", mode="LA"), True),
        (picture("PNG", mode="RGBA"), True),
        (written(Image.new("I;16", (40, 60), 65535 // 2), "PNG"), False),
    ],
    ids=["cmyk", "grey", "palette", "bits", "grey-alpha", "rgba", "16-bit"],
)
def test_pictures_of_every_make_are_understood(client, send, add_book, content, is_dark):
    answer = send(add_book()["id"], content)
    assert answer.status_code == 201, answer.json
    made = opened(client.get(answer.json["cover_url"]).data).convert("RGB")
    above, below = made.getpixel((20, 2))[0], made.getpixel((20, 57))[0]
    assert (above < 40 and below > 215) if is_dark else (120 < above < 135 and above == below)


REFUSED = {
    "svg": (SVG, 415),
    "html": (b"<html><body>x</body></html>", 415),
    "gif": (picture("GIF"), 415),
    "tiff": (picture("TIFF"), 415),
    "pdf": (b"%PDF-1.7\n%%EOF", 415),
    "empty": (b"", 415),
    "wide-bomb": (bomb(15_999, 15_999), 413),
    "huge-bomb": (bomb(2**31 - 1, 2**31 - 1), 413),
    "long-bomb": (bomb(1, 20_000), 413),
    "claims-too-much": (bomb(3_000, 3_000), 422),
    "cut-jpeg": (picture("JPEG", (400, 600))[:-900], 422),
    "cut-png": (picture("PNG", (400, 600))[:-90], 422),
    "cut-webp": (picture("WEBP", (400, 600))[:-100], 422),
    "header-only": (b"\xff\xd8\xff" + b"\0" * 50, 422),
    "png-header-only": (b"\x89PNG\r\n\x1a\n", 422),
    "webp-header-only": (b"RIFF\xff\xff\xff\xffWEBPVP8 ", 422),
    "animated-webp": (animated("WEBP"), 422),
    "animated-png": (animated("PNG"), 422),
    "too-many-bytes": (picture() + b"\0" * 10 * 1024 * 1024, 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_a_still_picture_of_bearable_size_is_refused(client, send, add_book, name, database):
    content, status = REFUSED[name]
    book = add_book()
    answer = send(book["id"], picture(), content)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.json
    assert client.get(f"/api/v1/books/{book['id']}").json["images"] == []


def test_what_a_refused_request_had_stored_is_swept(client, send, add_book, database, config):
    assert send(add_book()["id"], picture(), SVG).status_code == 415
    assert stored(database)
    sweep(database, config)
    assert stored(database) == []


def test_several_come_in_order_with_their_texts(client, send, add_book):
    book = add_book()
    answer = send(book["id"], picture(), picture("JPEG"), alt=["one", "two"])
    assert [image["alt"] for image in answer.json["images"]] == ["one", "two"]
    answer = send(book["id"], picture("WEBP"))
    assert [image["alt"] for image in answer.json["images"]] == ["one", "two", None]
    assert send(book["id"]).status_code == 200
    chosen_none = {"images": (BytesIO(b""), "")}
    assert send(book["id"], **chosen_none).status_code == 200


def test_a_book_has_no_end_of_pictures(send, add_book):
    book = add_book()["id"]
    assert send(book, *[picture()] * 11).status_code == 422
    for _ in range(2):
        assert send(book, *[picture()] * 10).status_code == 201
    full = send(book, picture())
    assert (full.status_code, full.json["code"]) == (409, "too_many_images")


def test_forms_that_are_none(client, admin, send, add_book):
    path = f"/api/v1/books/{add_book()['id']}/images"

    def post(data: Any, content_type: str) -> int:
        return int(client.post(path, data=data, content_type=content_type, headers=admin).status_code)

    assert client.post(path, json={"images": []}, headers=admin).status_code == 415
    assert post(b"x", "multipart/form-data") == 400
    assert post(b"--b\r\nContent-Disposition: form-data; name=images; filename=x\r\n\r\nabc", BOUNDED) == 400
    assert post(b"no parts at all", BOUNDED) == 400
    assert post({"images": "text, no file"}, "multipart/form-data") == 422
    assert post({"other": (BytesIO(b"x"), "x")}, "multipart/form-data") == 422
    assert post({"other": "x"}, "multipart/form-data") == 422
    assert post({"alt": "x" * 301}, "multipart/form-data") == 422
    assert post({"alt": "x" * 9000}, "multipart/form-data") == 422
    assert post({"alt": "nul\0"}, "multipart/form-data") == 422
    assert post({f"f{number}": "x" for number in range(60)}, "multipart/form-data") == 422


BOUNDED = "multipart/form-data; boundary=b"


def test_alternative_text_and_place_are_changed(client, admin, send, add_book, database):
    book = add_book()
    made = send(book["id"], *[picture()] * 3, alt=["a", "b", "c"]).json["images"]

    def order() -> list[str]:
        return [image["alt"] for image in client.get(f"/api/v1/books/{book['id']}").json["images"]]

    def put(image: dict[str, Any], **body: Any) -> Any:
        return client.put(image["url"], json=body, headers=admin)

    assert put(made[2], position=0).json == made[2]
    assert order() == ["c", "a", "b"]
    put(made[2], position=99)
    assert order() == ["a", "b", "c"]
    before = len(replicated(database))
    assert put(made[0], alt="A", position=1).json["alt"] == "A"
    assert len(replicated(database)) == before + 1
    assert order() == ["b", "A", "c"]
    put(made[0], alt=None)
    assert order() == ["b", None, "c"]
    for body in ({"position": -1}, {"position": None}, {"position": 1.5}, {"alt": "x" * 301}, {"url": "x"}):
        assert put(made[0], **body).status_code == 422
    tag = client.get(f"/api/v1/books/{book['id']}").headers["ETag"]
    put(made[0], alt=None)
    assert client.get(f"/api/v1/books/{book['id']}").headers["ETag"] == tag
    put(made[0], alt="z")
    assert client.get(f"/api/v1/books/{book['id']}").headers["ETag"] != tag


def test_a_deleted_picture_goes_and_its_file_after_it(client, admin, send, add_book, database, config):
    book = add_book()
    made = send(book["id"], picture(size=(200, 300)), picture()).json["images"]
    before = stored(database)
    assert client.delete(made[0]["url"], headers=admin).status_code == 204
    assert client.get(made[0]["url"]).status_code == 404
    assert client.delete(made[0]["url"], headers=admin).status_code == 404
    assert [image["id"] for image in client.get(f"/api/v1/books/{book['id']}").json["images"]] == [made[1]["id"]]
    sweep(database, config)
    gone = {f"images/{made[0]['id']}/{part}" for part in ("full", "160.webp")}
    assert set(before) - set(stored(database)) == gone
    assert client.get(made[1]["url"]).status_code == 200
    client.delete(made[1]["url"], headers=admin)
    assert client.get(f"/api/v1/books/{book['id']}").json["cover_url"].startswith(f"/api/v1/books/{book['id']}/cover?")


def test_a_file_that_a_row_names_is_never_swept(client, send, add_book, database, config):
    (image,) = send(add_book()["id"], picture()).json["images"]
    with database.transaction() as session:
        session.execute(update(StoredFile).values(due_at=utcnow() - timedelta(days=1)))
    files.sweep(database, config)
    assert client.get(image["url"]).status_code == 200
    with database.read() as session:
        assert session.scalars(select(StoredFile.due_at)).all() == [None]


def test_a_file_that_was_swept_meanwhile_cannot_be_named(client, database, config, session):
    files.store(database.transaction, open_storage(config.storage), "images/x", [], kept_for=timedelta(0))
    files.sweep(database, config)
    with pytest.raises(files.StorageUnavailable):
        files.claim(session, "images/x")


def test_what_is_changed_at_once_stays_in_order(app, admin, send, add_book, client):
    book = add_book()["id"]
    made = send(book, *[picture()] * 8).json["images"]

    def act(number: int) -> int:
        own, image = app.test_client(), made[number % 8]
        if number % 3 == 0:
            return int(own.delete(image["url"], headers=admin).status_code)
        if number % 3 == 1:
            return int(own.put(image["url"], json={"position": number % 5}, headers=admin).status_code)
        form = {"images": (BytesIO(picture()), "x.png")}
        return int(own.post(f"/api/v1/books/{book}/images", data=form, headers=admin).status_code)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(act, range(24)))
    assert set(statuses) <= {200, 201, 204, 404}
    left = client.get(f"/api/v1/books/{book}").json["images"]
    assert len(left) == 8 + statuses.count(201) - statuses.count(204)
    assert all(client.get(image["url"]).status_code == 200 for image in left)


def test_writes_are_for_the_staff_and_reads_for_all(client, send, add_book):
    book = add_book()["id"]
    (image,) = send(book, picture()).json["images"]
    for method, path in (("POST", f"/api/v1/books/{book}/images"), ("PUT", image["url"]), ("DELETE", image["url"])):
        assert client.open(path, method=method, json={}).status_code == 401
        assert client.open(path, method=method, json={}, headers=bearer()).status_code == 403
    unknown = [f"/api/v1/books/{reference}/cover" for reference in (uuid4(), "9780141439587", "no-book")]
    for path in (f"/api/v1/images/{uuid4()}", *unknown):
        assert client.get(path).status_code == 404
    assert send(str(uuid4()), picture()).status_code == 404


def test_the_staffs_acts_are_told_and_copies_learn_that_a_book_changed(client, admin, send, add_book, database):
    book = add_book()
    (image,) = send(book["id"], picture()).json["images"]
    client.put(image["url"], json={"alt": "x"}, headers=admin)
    client.delete(image["url"], headers=admin)
    acts = [event for event in emitted(database) if isinstance(event, CatalogAdminActed)][1:]
    assert [act.action for act in acts] == ["image.added", "image.updated", "image.deleted"]
    assert (acts[1].before, acts[1].after) == ({"alt": None}, {"alt": "x"})
    changes = [event for event in replicated(database) if isinstance(event, BookChanged)]
    assert len(changes) == 3
    assert {change.cover_url for change in changes} == {f"/api/v1/books/{book['id']}/cover"}


def test_no_url_is_made_of_the_host_header(client, send, add_book):
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    book = add_book()
    (image,) = send(book["id"], picture()).json["images"]
    for path in ("/api/v1/books", f"/api/v1/books/{book['id']}", f"/api/v1/books/{book['id']}/cover"):
        answer = client.get(path, headers=evil)
        assert "evil" not in answer.text
        assert "evil" not in str(answer.headers)
    assert urlsplit(image["url"]).netloc == ""


def test_a_book_without_a_picture_has_a_cover_drawn_once(client, add_book, database):
    book = add_book("Emma", authors=["Jane Austen"])
    assert stored(database) == []  # naming it draws nothing
    cover = client.get(book["cover_url"])
    assert (cover.status_code, cover.mimetype) == (200, "image/webp")
    assert cover.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert cover.headers["X-Content-Type-Options"] == "nosniff"
    assert opened(cover.data).size == (600, 900)
    assert len(opened(cover.data).getcolors(600 * 900)) > 50
    assert len(stored(database)) == 1
    assert client.get(book["cover_url"]).data == cover.data
    known = client.get(book["cover_url"], headers={"If-None-Match": cover.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")


def test_a_cover_is_found_by_isbn_as_the_book_is(client, send, add_book):
    book = add_book("Emma", isbn="9780141439587")
    path = f"/api/v1/books/{book['isbn']}/cover"
    assert client.get(path).data == client.get(book["cover_url"]).data
    (image,) = send(book["id"], picture()).json["images"]
    assert client.get(path).headers["Location"] == image["url"]


def test_a_cover_has_another_address_when_it_looks_different(client, admin, add_book):
    book = add_book("Emma", authors=["Jane Austen"])
    for change in ({"title": "Emma, again"}, {"authors": ["J. Austen"]}):
        changed = client.patch(f"/api/v1/books/{book['id']}", json=change, headers=admin).json
        assert changed["cover_url"] != book["cover_url"]
    old, lasting = client.get(book["cover_url"]), client.get(f"/api/v1/books/{book['id']}/cover")
    assert old.headers["Cache-Control"] == lasting.headers["Cache-Control"] == "public, no-cache"
    assert old.data == lasting.data == client.get(changed["cover_url"]).data
    other = add_book("Emma", authors=["Jane Austen"])
    assert client.get(other["cover_url"]).data != old.data


def test_the_lasting_address_of_a_cover_leads_to_the_first_picture(client, admin, send, add_book):
    book = add_book()
    (image,) = send(book["id"], picture()).json["images"]
    client.delete(f"/api/v1/books/{book['id']}", headers=admin)
    answer = client.get(f"/api/v1/books/{book['id']}/cover")
    assert (answer.status_code, answer.headers["Location"]) == (302, image["url"])


def test_a_cover_is_drawn_even_if_it_cannot_be_kept(app, client, add_book, config):
    class Away:
        def open(self, *_: Any, **__: Any) -> Any:
            raise files.StorageUnavailable

        put = open

    book = add_book()
    app.extensions["storage"] = Away()
    assert opened(client.get(book["cover_url"]).data).size == (600, 900)


def test_a_picture_that_cannot_be_read_now_is_no_missing_one(client, send, add_book):
    (image,) = send(add_book()["id"], picture()).json["images"]
    (FILES / "images" / str(UUID(image["id"])) / "full").unlink()
    answer = client.get(image["url"])
    assert (answer.status_code, answer.json["code"]) == (503, "storage_unavailable")
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize("orientation", range(10))
def test_every_way_of_holding_a_camera_is_understood(orientation):
    upright = Image.linear_gradient("L").resize((40, 40)).convert("RGB")
    upright.paste("red", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = orientation
    sent = written(upright, "PNG", exif=exif)
    made = opened(pictures.made_anew(BytesIO(sent), pixels=10_000).parts[0].content.getvalue())
    expected = ImageOps.exif_transpose(opened(sent))
    assert made.tobytes() == expected.tobytes()


SEEDS = (from_a_telephone(), picture("PNG"), picture("WEBP"), animated("PNG"), animated("WEBP"), picture(mode="P"))
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(seed=st.sampled_from(SEEDS), changes=CHANGES, cut=st.integers(0, 60))
def test_a_picture_with_errors_in_it_is_refused_or_made_anew(seed, changes, cut):
    content = bytearray(seed)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        made = pictures.made_anew(BytesIO(bytes(content[: len(content) - cut])), pixels=1_000_000)
    except (Invalid, TooLarge, UnsupportedMediaType):
        return
    assert opened(made.parts[0].content.getvalue()).size == (made.width, made.height)
