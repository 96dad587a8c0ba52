"""Calls from service to service: with a token of one's own, time-outs, and retries of what is safe to repeat."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from common.config import Config
from common.errors import NotFound, Unavailable
from common.telemetry import request_id, traceparent

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 5.0
RENEW_BEFORE_SECONDS = 30


class ServiceClient:
    """Speaks for this service, by client credentials (RFC 6749 section 4.4), to one other service."""

    def __init__(self, config: Config, base_url: str, *, scope: str) -> None:
        self._config = config
        self._base_url = base_url.rstrip("/")
        self._scope = scope
        self._token: tuple[str, float] | None = None
        self._lock = threading.Lock()
        self._http = requests.Session()
        retry = Retry(total=2, backoff_factor=0.1, status_forcelist=(502, 503, 504), allowed_methods={"GET"})
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=16))

    def get(self, path: str, params: dict[str, Any] | None = None, *, patience: float = 0.0) -> dict[str, Any]:
        """The JSON at `path`. Raises NotFound for a 404, and Unavailable for whatever else is not an answer.

        `patience` is for how many seconds more than usual the answer may take.
        """
        answer = self._get(path, params, patience)
        if answer.status_code == 401:
            self._token = None  # the issuer may have changed its keys since
            answer = self._get(path, params, patience)
        if answer.status_code == 404:
            raise NotFound
        if answer.status_code != 200:
            raise Unavailable(f"Another service answered {answer.status_code}.")
        try:
            document: dict[str, Any] = answer.json()
        except ValueError as error:
            raise Unavailable("Another service did not answer in JSON.") from error
        return document

    def pages(self, path: str, params: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
        """The items of a list, page by page. Raises as `get`."""
        cursor: dict[str, Any] = {}
        while True:
            page = self.get(path, params | cursor)
            yield page["items"]
            if page.get("next_cursor") is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def _get(self, path: str, params: dict[str, Any] | None, patience: float) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._access_token()}"}
        headers |= {"X-Request-ID": request_id() or "", "traceparent": traceparent() or ""}
        try:
            timeout = CONNECT_SECONDS, ANSWER_SECONDS + patience
            return self._http.get(self._base_url + path, params=params, headers=headers, timeout=timeout)
        except requests.RequestException as error:
            raise Unavailable("Another service cannot be reached.") from error

    def _access_token(self) -> str:
        with self._lock:
            if self._token is None or self._token[1] < time.monotonic():
                self._token = self._fetch_token()
            return self._token[0]

    def _fetch_token(self) -> tuple[str, float]:
        credentials = (self._config.service_client_id, self._config.service_client_secret)
        grant = {"grant_type": "client_credentials", "scope": self._scope}
        try:
            answer = self._http.post(
                f"{self._config.auth_url}/token",
                data=grant,
                auth=credentials,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            )
            answer.raise_for_status()
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise Unavailable("The sign-in service cannot be reached.") from error
        return document["access_token"], time.monotonic() + document["expires_in"] - RENEW_BEFORE_SECONDS
