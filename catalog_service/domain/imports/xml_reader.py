"""XML files as a stream of elements: expat, one element of interest in memory at a time, nothing declared by the file.

No document type, and so no entities, external or nested; no unbounded token, text, depth or number of elements.
Names are local names: whatever prefix or namespace a sender uses.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

from catalog_service.domain.imports.reading import CHUNK, LONGEST_RECORD, FileRefused

DEEPEST = 60
MOST_ELEMENTS = 20_000


def local(tag: str) -> str:
    return tag.rpartition(":")[2]


class XmlElements:
    """The children of the root that bear one of `names`, each as a tree with its tags as they were written.

    `root` and `attributes` are the root's; a root that itself bears one of the names is taken as its own only child.
    """

    def __init__(self, file: io.BufferedReader[Any], names: frozenset[str]) -> None:
        """Reads up to the root. Raises FileRefused."""
        self.root = ""
        self.attributes: dict[str, str] = {}
        self._file = file
        self._names = names
        self._stack: list[ET.Element] = []
        self._depth = self._top = self._size = self._elements = 0
        self._found: deque[tuple[ET.Element | None, int]] = deque()
        self._fed = 0
        self._parser = self._new_parser()
        self._at_end = False
        while not self.root and not self._at_end:
            self._feed()

    def __iter__(self) -> Iterator[tuple[ET.Element | None, int]]:
        """With their sizes in characters; None for one over the limits.

        Raises FileRefused where the file is not well-formed any more.
        """
        while self._found or not self._at_end:
            while self._found:
                yield self._found.popleft()
            if not self._at_end:
                self._feed()

    def _new_parser(self) -> Any:
        parser = expat.ParserCreate()
        parser.buffer_text, parser.buffer_size = True, CHUNK
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        return parser

    def _feed(self) -> None:
        data = self._file.read1(CHUNK)
        self._at_end = not data
        self._fed += len(data)
        try:
            self._parser.Parse(data, self._at_end)
        except (expat.ExpatError, LookupError, ValueError) as error:
            if isinstance(error, FileRefused):
                raise
            raise FileRefused(f"the file is not well-formed XML: {error}") from None
        if self._fed - self._parser.CurrentByteIndex > LONGEST_RECORD:
            raise FileRefused(f"a tag or a comment is longer than {LONGEST_RECORD} bytes")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            self.root, self.attributes = tag, attributes
        if self._depth > DEEPEST:
            raise FileRefused(f"elements are nested more than {DEEPEST} deep")
        if not self._stack and self._depth <= 2 and local(tag) in self._names:
            self._top = self._depth
            self._open(tag, attributes)
        elif self._stack and not self._is_too_large:
            self._open(tag, attributes)

    def _open(self, tag: str, attributes: dict[str, str]) -> None:
        element = ET.Element(tag, attributes)
        self._elements += 1
        self._size += len(tag) + sum(map(len, attributes.values()))
        if self._stack:
            self._stack[-1].append(element)
        self._stack.append(element)

    @property
    def _is_too_large(self) -> bool:
        return self._size > LONGEST_RECORD or self._elements > MOST_ELEMENTS

    def _text(self, text: str) -> None:
        if not self._stack:
            return
        self._size += len(text)
        if self._is_too_large:
            return
        element = self._stack[-1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text

    def _end(self, _tag: str) -> None:
        self._depth -= 1
        if not self._stack:
            return
        if self._depth < self._top:
            self._found.append((None if self._is_too_large else self._stack[0], self._size))
            self._stack.clear()
            self._size = self._elements = 0
        elif not self._is_too_large:
            self._stack.pop()


def _refuse_doctype(*_args: object) -> None:
    raise FileRefused("the file has a document type declaration (DTD), which is not read: remove it")


def source_of(element: ET.Element) -> bytes:
    """The element as XML again, in UTF-8."""
    element.tail = "\n"
    return ET.tostring(element, encoding="utf-8", xml_declaration=False)
