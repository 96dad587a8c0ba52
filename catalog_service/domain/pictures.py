"""Pictures made anew from what was sent: upright, in sRGB, and without anything but their pixels."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO, Self

from PIL import ExifTags, Image, ImageCms

from catalog_service.domain.contents import BROKEN, PICTURES, damaged, open_picture
from catalog_service.domain.files import Part
from common.errors import Invalid, Unavailable

WIDTHS = (160, 320, 640, 1280)
FULL = "full"
THUMBNAIL_TYPE = "image/webp"
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 88, "optimize": True, "progressive": True},
    "PNG": {"compress_level": 6},
    "WEBP": {"quality": 88, "method": 4},
}
_TURNS = dict(
    enumerate(
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        start=2,
    )
)
"""What undoes an orientation of EXIF."""
_AT_ONCE = threading.BoundedSemaphore(2)
"""A large picture takes some 200 MB while it is worked on."""
_PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Picture:
    content_type: str
    width: int
    height: int
    widths: list[int]
    parts: list[Part]

    def without_content(self) -> Self:
        """What is left to know once it is stored."""
        return replace(self, parts=[])


def thumbnail(width: int) -> str:
    """The name of the part."""
    return f"{width}.webp"


def made_anew(content: BinaryIO, *, pixels: int) -> Picture:
    """The picture and its thumbnails. Raises UnsupportedMediaType, TooLarge, Invalid or Unavailable."""
    opened = open_picture(content, pixels=pixels)
    content_type = PICTURES[opened.format]
    if getattr(opened, "is_animated", False) and opened.format != "MPO":
        raise Invalid("Only still pictures are taken.")
    with _turn():
        image = _plain(_decoded(opened))
        widths = [width for width in WIDTHS if width < image.width]
        parts = [_encoded(image, FULL, content_type)]
        parts += [_encoded(_narrowed(image, width), thumbnail(width), THUMBNAIL_TYPE) for width in widths]
    return Picture(content_type, image.width, image.height, widths, parts)


@contextmanager
def _turn() -> Iterator[None]:
    if not _AT_ONCE.acquire(timeout=_PATIENCE_SECONDS):
        raise Unavailable("Too many pictures are being worked on; try again.", retry_after=5)
    try:
        yield
    finally:
        _AT_ONCE.release()


def _decoded(image: Any) -> Any:
    try:
        image.load()
    except BROKEN as error:
        raise damaged() from error
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Any) -> Any:
    """As the camera was held; what cannot be read is taken for upright."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except BROKEN:
        return None


def _plain(image: Any) -> Any:
    """In RGB, or RGBA where there is something to see through; nothing else of the file is left."""
    if image.mode.startswith("I"):  # 16 bits of grey
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    sees_through = image.has_transparency_data
    alpha = image.convert("RGBA").getchannel("A") if sees_through else None
    image = _in_srgb(image)
    if alpha is not None:
        image.putalpha(alpha)
    image.info.clear()
    return image


def _in_srgb(image: Any) -> Any:
    profile = image.info.get("icc_profile")
    flat = image if image.mode in ("RGB", "CMYK", "L") else image.convert("RGB")
    if profile:
        try:
            source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(flat, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, *BROKEN):
            pass  # a profile that says nothing: the colours are taken as they are
    return flat.convert("RGB")


def _narrowed(image: Any, width: int) -> Any:
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _encoded(image: Any, name: str, content_type: str) -> Part:
    kind = content_type.rpartition("/")[2].upper()
    written = BytesIO()
    options = _OPTIONS[kind] if name == FULL else {"quality": 80, "method": 4}
    image.save(written, kind, **options)
    return Part(name, written, content_type)
