"""What tokens can be for (RFC 8707). Each access token is for one audience, so that nobody else accepts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auth_service.domain.oauth.errors import OAuthRefusal


class InvalidTarget(OAuthRefusal):
    """RFC 8707 section 2."""

    def __init__(self, description: str = "There is no such resource here.") -> None:
        super().__init__("invalid_target", description)


@dataclass(frozen=True, slots=True)
class Resources:
    """`api` is what tokens are for that name nothing; `origin` is the same API by its address."""

    api: str
    origin: str
    others: frozenset[str]

    def known(self, named: Sequence[str]) -> list[str]:
        """These resources, each as its tokens will name it. Raises InvalidTarget for one that we do not know."""
        found = [self.origin if each == f"{self.origin}/" else each for each in named]
        if not all(each in {self.api, self.origin, *self.others} or self._is_ours(each) for each in found):
            raise InvalidTarget
        return list(dict.fromkeys(found))

    def _is_ours(self, resource: str) -> bool:
        """Clients may name the very address that they call: the API is one resource, and it is meant as well."""
        return resource.startswith(f"{self.origin}/") and "#" not in resource

    def is_api(self, audience: str | Sequence[str]) -> bool:
        """Whether this audience of a token, or resource as `known` has it, is the API as a whole."""
        named = [audience] if isinstance(audience, str) else audience
        return any(each in {self.api, self.origin} or self._is_ours(each) for each in named)

    def choose(self, granted: Sequence[str], named: Sequence[str]) -> str:
        """The audience of one token, out of what was granted (nothing: the API). Raises InvalidTarget."""
        wanted = self.known(named)
        allowed = list(granted) or [self.api, self.origin]
        if len(wanted) > 1 or not set(wanted) <= set(allowed):
            raise InvalidTarget("A token is for one resource, which has to be one that was granted.")
        if not wanted and len(granted) > 1:
            raise InvalidTarget("Several resources were granted: name the one that the token is for.")
        return (wanted or allowed)[0]
