"""Pictures of every kind, made for the tests."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 60), mode: str = "RGB", **options: Any) -> bytes:
    """Dark above and light below, so that upside down is not the same."""
    return written(Image.linear_gradient("L").resize(size).convert(mode), kind, **options)


def written(image: Any, kind: str, **options: Any) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def opened(content: bytes) -> Any:
    image = Image.open(BytesIO(content))
    image.load()
    return image


def from_a_telephone() -> bytes:
    """A JPEG taken with the telephone turned, which says where and by whom."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x013B] = "Secret Photographer"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 14.0)
    return picture("JPEG", (90, 60), exif=exif, comment=b"Secret comment")


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has this size."""
    header = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100_000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data)) for name, data in chunks
    )


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green")]
    return written(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
