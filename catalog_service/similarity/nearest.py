"""The nearest books of each book, without comparing all with all where there are many.

Up to ALL_WITH_ALL books everything is compared. Beyond, a book is compared with those of its own cell and of the
cells around it (k-means over the places), with those of the same author, and with those of the same series.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from catalog_service.similarity.texts import AUTHOR, SERIES
from catalog_service.similarity.vectors import SEED, Placed, Space

MOST = 24
ALL_WITH_ALL = 20_000
CELL = 1_000
CELLS_AROUND = 6
MOST_COMPARED = 10_000
MOST_LINKED = 500
AT_ONCE = 2_000_000
LEAST = 0.12
"""What is less alike than this is not alike."""
Group = tuple[Any, Any]


class Nearest:
    """For each row the nearest others that were seen so far; -1 where there are none."""

    def __init__(self, placed: Placed, trust: float) -> None:
        self._placed, self._trust = placed, np.float32(trust)
        size = (len(placed), MOST)
        self.rows = np.full(size, -1, dtype=np.int32)
        self._scores = np.zeros(size, dtype=np.float32)

    def compare(self, rows: Any, others: Any) -> None:
        at_once = max(1, AT_ONCE // len(others))
        places, weights = self._placed.places[others].astype(np.float32), self._placed.weights[others].T.tocsr()
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            scores = self._placed.places[some].astype(np.float32) @ (places.T * self._trust)
            scores += (self._placed.weights[some] @ weights).toarray() * (1 - self._trust)
            scores[some[:, None] == others[None, :]] = 0
            self._keep(some, others, scores)

    def _keep(self, rows: Any, others: Any, scores: Any) -> None:
        """Merge the best of these with what is known; who is known already is not counted again."""
        most = min(MOST, len(others))
        best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
        found, their = others[best].astype(np.int32), np.take_along_axis(scores, best, axis=1)
        known = self.rows[rows]
        their[(found[:, :, None] == known[:, None, :]).any(axis=2)] = 0
        candidates, scored = np.hstack([known, found]), np.hstack([self._scores[rows], their])
        order = np.lexsort((candidates, -scored), axis=1)[:, :MOST]
        scored = np.take_along_axis(scored, order, axis=1)
        self._scores[rows] = scored
        self.rows[rows] = np.where(scored >= LEAST, np.take_along_axis(candidates, order, axis=1), -1)


def nearest(placed: Placed, space: Space) -> Any:
    """A row for each book with the rows of the nearest, and -1 where there are no more."""
    found = Nearest(placed, space.trust)
    for rows, others in _groups(placed, space.tokens):
        found.compare(rows, others)
    return found.rows


def _groups(placed: Placed, tokens: list[str]) -> Iterator[Group]:
    everything = np.arange(len(placed))
    if len(everything) <= ALL_WITH_ALL:
        yield everything, everything
        return
    yield from _cells(placed)
    yield from _linked(placed, tokens)


def _cells(placed: Placed) -> Iterator[Group]:
    """Each cell with itself and those around it; a crowded one in parts."""
    cells = MiniBatchKMeans(len(placed) // CELL, random_state=SEED, batch_size=4096, n_init=1)
    step = max(1, len(placed) // (100 * cells.n_clusters))
    cells.fit(placed.places[::step].astype(np.float32))
    labels = np.concatenate(
        [cells.predict(part.astype(np.float32)) for part in np.array_split(placed.places, cells.n_clusters)]
    )
    order, ends = np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=cells.n_clusters))
    members = np.split(order, ends[:-1])
    distances = cells.transform(cells.cluster_centers_)
    for cell, own in enumerate(members):
        around = np.argsort(distances[cell], kind="stable")[: CELLS_AROUND + 1]
        for part in np.array_split(own, len(own) // MOST_COMPARED + 1):
            others = np.concatenate([part, *(members[each] for each in around if each != cell)])
            if len(part):
                yield part, others[:MOST_COMPARED]


def _linked(placed: Placed, tokens: list[str]) -> Iterator[Group]:
    links = [column for column, token in enumerate(tokens) if token.startswith((AUTHOR, SERIES))]
    held = placed.weights[:, links].tocsc()
    for start, end in zip(held.indptr[:-1], held.indptr[1:], strict=True):
        if end - start > 1:
            rows = np.sort(held.indices[start:end])[:MOST_LINKED]
            yield rows, rows
