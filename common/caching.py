"""Reads that are the same for everybody say so, for caches on the way (RFC 9111, RFC 5861)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Response, current_app, request

View = TypeVar("View", bound=Callable[..., Any])

FRESH_SECONDS = 1
MEANWHILE_SECONDS = 1
"""Together at most two: what staff change, and stock, is seen in the shop within that time."""
IF_DOWN_SECONDS = 3600
SHARED = (
    f"public, max-age=0, s-maxage={FRESH_SECONDS}, stale-while-revalidate={MEANWHILE_SECONDS}, "
    f"stale-if-error={IF_DOWN_SECONDS}"
)
OWN = "private, no-cache"


def shared(*, but_for_tokens: bool = False) -> Callable[[View], View]:
    """A view whose answers are everybody's, but for a second or two. `but_for_tokens`: some see more by theirs.

    The answer has an entity tag, its own or one over its body, and is 304 for who has it already.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Response:
            made = current_app.make_response(view(*args, **kwargs))
            if made.status_code not in (200, 304):
                return made
            is_own = but_for_tokens and "Authorization" in request.headers
            made.headers["Cache-Control"] = OWN if is_own else SHARED
            if but_for_tokens:
                made.vary.add("Authorization")
            if made.status_code == 200 and not made.is_streamed:
                made.add_etag()
                made.make_conditional(request)
            return made

        return cast(View, answer)

    return decorate
