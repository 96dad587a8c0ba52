"""Books as numbers: the weights of their tokens (TF-IDF), and where they lie among all that is written (SVD)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from catalog_service.similarity.texts import Described

SEED = 0
DIMENSIONS = 64
MOST_TOKENS = 200_000
HEAVIEST = 40
MOST_TRUST = 0.5
_ALWAYS = ["@one", "@other"]
"""A book that is in every sample, for the sake of those in which no word stands: SVD needs two tokens."""


def _itself(tokens: list[str]) -> list[str]:
    return tokens


class Space:
    """Learnt from a sample; places any book.

    `trust` is how much the places count beside the weights: as much as they retain of the differences between books,
    which is little where there are titles and no descriptions, and never more than half.
    """

    def __init__(self, sample: Iterable[list[str]]) -> None:
        self._weighing = TfidfVectorizer(
            analyzer=_itself, max_features=MOST_TOKENS, sublinear_tf=True, dtype=np.float32
        )
        weights = self._weighing.fit_transform(chain([_ALWAYS], sample))
        dimensions = min(DIMENSIONS, *weights.shape)
        self._placing = TruncatedSVD(dimensions, random_state=SEED).fit(weights)
        retained = float(self._placing.explained_variance_ratio_.sum())
        self.trust = min(retained, MOST_TRUST) if retained >= 0 else MOST_TRUST  # NaN of books that are all the same
        self.tokens: list[str] = list(self._weighing.get_feature_names_out())

    @property
    def rarity(self) -> Any:
        """The inverse document frequency of each token."""
        return self._weighing.idf_

    def place(self, books: Iterable[list[str]]) -> tuple[Any, Any]:
        """Their sparse weights, the heaviest of each, and their places as vectors of length one."""
        weights = self._weighing.transform(books)
        places = normalize(self._placing.transform(weights)).astype(np.float16)
        return _heaviest(weights), places


@dataclass(slots=True)
class Placed:
    """The whole catalogue, a row for each book; some 500 bytes of it at most."""

    ids: Any
    weights: Any
    places: Any

    def __len__(self) -> int:
        return len(self.ids)

    def id(self, row: int) -> UUID:
        return UUID(bytes=self.ids[row].tobytes())


def place_all(space: Space, batches: Iterable[list[Described]]) -> Placed:
    ids, weights, places = [], [], []
    for batch in batches:
        ids.append(np.array([book.id.bytes for book in batch], dtype="V16"))
        some_weights, some_places = space.place([book.tokens for book in batch])
        weights.append(some_weights)
        places.append(some_places)
    return Placed(np.concatenate(ids), sparse.vstack(weights, format="csr"), np.concatenate(places))


def _heaviest(weights: Any) -> Any:
    """Only the heaviest tokens of each book: a long description must not cost more memory than a title."""
    kept = []
    for start, end in zip(weights.indptr[:-1], weights.indptr[1:], strict=True):
        within = np.argsort(-weights.data[start:end], kind="stable")[:HEAVIEST]
        kept.append(start + np.sort(within))
    chosen = np.concatenate(kept)
    ends = np.cumsum([0, *map(len, kept)])
    return sparse.csr_matrix((weights.data[chosen], weights.indices[chosen], ends), shape=weights.shape)
