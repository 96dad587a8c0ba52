"""Pictures of books: the staff add, order and remove them, everybody sees them."""

from __future__ import annotations

from typing import Annotated, Any, cast
from uuid import UUID

from flask import Blueprint, Response
from pydantic import Field

from catalog_service.api.multipart import Form, accepts_form, received
from catalog_service.api.schemas import Book, Image, omittable
from catalog_service.api.stored import FOREVER, storage, stored_response
from catalog_service.config import CatalogConfig
from catalog_service.domain import audit, files, images, pictures, views
from catalog_service.domain.audit import State
from catalog_service.domain.contents import PICTURES
from catalog_service.domain.pictures import Picture
from catalog_service.models import Image as ImageRow
from common.api import FileContent, FormFields, Request, accepts, known_as, returns
from common.app import config
from common.auth import current_user, public, requires
from common.conditional import etag
from common.db import current_database, session, transaction
from common.ids import new_id

api = Blueprint("images", __name__, url_prefix="/api/v1")

Alt = Annotated[str, Field(max_length=300)]
Position = Annotated[int, Field(ge=0, le=10_000)]
FILES = "images"


class ImagesForm(Request):
    alt: list[Alt] = Field(default=[], description="Alternative texts, in the order of the files.")


class ImageBody(Request):
    """What is left out stays; an `alt` of null is none."""

    alt: Alt | None = None
    position: Position = omittable()


class ImageQuery(Request):
    w: int | None = Field(None, ge=1, le=100_000, description="How wide it will be shown, in pixels.")


@api.post("/books/<uuid:id>/images")
@requires("books:write")
@accepts_form(FormFields(ImagesForm, FILES, several=True))
@returns(Book, status=201)
@returns(Book, status=200, description="No file was sent.")
@known_as("addBookImages")
def add_images(id: UUID) -> tuple[Any, ...]:
    """Add pictures to a book: JPEG, PNG or WebP by content, made anew without metadata. All of them, or none."""
    with current_database().read() as reader:  # no transaction waits for the files
        images.require_room(reader, id)
    settings = cast(CatalogConfig, config)
    with received(ImagesForm, FILES, limit=settings.upload_limit, most=images.MOST_AT_ONCE) as form:
        made = _stored(form, settings.image_pixels)
    if made:
        images.add(session, id, made)
        for image_id, _, _ in made:
            _audit("image.added", image_id, after=images.shown(session.get_one(ImageRow, image_id)))
    row = views.by_id(session, id)
    headers = {"ETag": etag(views.entity_tag(row, staff=True))}
    return views.document(row, staff=True), 201 if made else 200, headers


@api.put("/images/<uuid:id>")
@requires("books:write")
@accepts(body=ImageBody)
@returns(Image)
def change_image(id: UUID, body: ImageBody) -> dict[str, Any]:
    """Give a picture another alternative text, or another place among the book's pictures, counted from 0."""
    image = images.to_change(session, id)
    before = _state(image)
    alt = body.alt or None if "alt" in body.model_fields_set else image.alt
    images.change(session, image, alt=alt, position=body.position)
    _audit("image.updated", id, before=before, after=_state(image))
    return images.shown(image)


@api.delete("/images/<uuid:id>")
@requires("books:write")
@returns(None, status=204)
def delete_image(id: UUID) -> tuple[str, int]:
    """Remove a picture; the others close up."""
    image = images.to_change(session, id)
    before = _state(image)
    images.remove(session, image)
    _audit("image.deleted", id, before=before)
    return "", 204


@api.get("/images/<uuid:id>")
@public
@accepts(query=ImageQuery)
@returns(
    FileContent(tuple(dict.fromkeys(PICTURES.values()))),
    description="The picture; with `w` one that is at least so wide, if there is one, as WebP.",
)
def get_image(id: UUID, query: ImageQuery) -> Response:
    """A picture of a book. It never changes, and may be kept for good."""
    name, content_type = images.part(session, id, query.w)
    return stored_response(name, content_type, name.partition("/")[2].replace("/", "."), caching=FOREVER)


def _stored(form: Form[ImagesForm], pixels: int) -> list[tuple[UUID, Picture, str | None]]:
    made = []
    for file, alt in zip(form.files, form.texts.alt + [""] * len(form.files), strict=False):
        picture, id = pictures.made_anew(file.content, pixels=pixels), new_id()
        files.store(transaction, storage, images.file_name(id), picture.parts)
        made.append((id, picture.without_content(), alt or None))
    return made


def _state(image: ImageRow) -> dict[str, Any]:
    return images.shown(image) | {"book_id": image.book_id, "position": image.position}


def _audit(action: str, id: UUID, *, before: State = None, after: State = None) -> None:
    audit.acted(session, current_user().subject, action, id, before=before, after=after)
