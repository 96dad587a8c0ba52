"""A request at an OAuth endpoint, read strictly: form or query pairs, each parameter once."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Payload, OAuth2Request

Pairs = Iterable[tuple[str, str]]


class Parameters:
    """The parameters of a request. One without a value counts as left out (RFC 6749 section 3.1).

    `resource` is the one that may be given more than once (RFC 8707 section 2).
    """

    def __init__(self, pairs: Pairs) -> None:
        self.values: dict[str, str] = {}
        self.repeated: set[str] = set()
        self.resources: list[str] = []
        self.has_nul = False
        for name, value in pairs:
            self.has_nul |= "\x00" in name or "\x00" in value
            if name == "resource" and value:
                self.resources.append(value)
            if name in self.values:
                self.repeated.add(name)
            elif value:
                self.values[name] = value

    def get(self, name: str) -> str | None:
        return self.values.get(name)


class _Payload(OAuth2Payload):
    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    @property
    def data(self) -> dict[str, str]:
        return self._values

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return defaultdict(list, {name: [value] for name, value in self._values.items()})


class FormRequest(OAuth2Request):
    """A POST whose parameters are all in its body: a secret in a query string would end up in logs."""

    def __init__(self, path: str, pairs: Pairs, authorization: str | None, dpop: str | None = None) -> None:
        # TLS ends at the gateway: the scheme of this last hop says nothing about the client's connection.
        super().__init__("POST", f"https://localhost{path}", headers={"Authorization": authorization or ""})
        self.path = path
        self.dpop = dpop
        self.pairs = list(pairs)
        self._parameters = Parameters(self.pairs)
        self.payload = _Payload(self._parameters.values)
        self.jkt: str | None = None

    @property
    def form(self) -> dict[str, str]:
        return self._parameters.values

    @property
    def resources(self) -> list[str]:
        return self._parameters.resources

    def require_well_formed(self) -> None:
        """Raises InvalidRequestError."""
        if self._parameters.repeated - {"resource"}:
            raise InvalidRequestError("A parameter is repeated.")
        if self._parameters.has_nul:
            raise InvalidRequestError("A parameter contains NUL.")

    def required(self, name: str) -> str:
        value = self.form.get(name)
        if value is None:
            raise InvalidRequestError(f"The parameter {name} is missing.")
        return value


def basic_credentials(authorization: str | None) -> list[tuple[str, str]]:
    """What an `Authorization: Basic` header may mean: form-decoded as RFC 6749 section 2.3.1 has it, then as sent."""
    scheme, _, encoded = (authorization or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return []
    client_id, separator, secret = decoded.partition(":")
    if not separator:
        return []
    meanings = [(unquote_plus(client_id), unquote_plus(secret)), (client_id, secret)]
    return [meaning for meaning in meanings if "\x00" not in meaning[0]]
