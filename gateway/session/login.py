"""Signing in: the browser is sent to the provider and comes back with a code (RFC 6749, 7636, 9126, 9207, 9700)."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from common.assurance import TWO_FACTORS
from common.errors import BadRequest
from gateway.config import GatewayConfig
from gateway.paths import routable
from gateway.problems import Fields
from gateway.session import cookies, portals
from gateway.session.cookies import MOST_FLOWS, Cookies
from gateway.session.portals import BY_NAME, Portal
from gateway.session.provider import Provider, Refused
from gateway.session.sealing import Sealer, Unreadable
from gateway.session.sessions import Session

FLOW_SECONDS = 1800
"""Somebody may have to register, or look into their mail, before they come back."""
LONGEST_RETURN = 500
CALLBACK = "/bff/callback"
CLAIMS = orjson.dumps({"id_token": {"email": None}}).decode()


class FlowLost(Exception):
    """What came back is no answer to a question of this browser's; `return_to` is where it wanted to go, if known."""

    def __init__(self, reason: str, return_to: str = "/") -> None:
        super().__init__(reason)
        self.return_to = return_to


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in under way, in a cookie of its own. `until` is in Unix time."""

    portal: str
    state: str
    nonce: str
    verifier: str
    return_to: str
    until: float


class Login:
    def __init__(self, config: GatewayConfig, sealer: Sealer, jar: Cookies, provider: Provider) -> None:
        self._config = config
        self._sealer = sealer
        self._jar = jar
        self._provider = provider
        self._redirect_uri = config.public_url + CALLBACK

    def begin(self, environ: dict[str, Any], return_to: str, answered: Fields, *, step_up: bool) -> str:
        """Where to send the browser. Raises BadRequest for a `return_to` that is not ours, Refused, and Unavailable."""
        path = own_path(return_to)
        portal = portals.of_path(path)
        flow = Flow(
            portal.name,
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            return_to=return_to,
            until=time.time() + FLOW_SECONDS,
        )
        request_uri = self._provider.push(portal, self._parameters(portal, flow, step_up=step_up))
        answered += self._forgotten(environ)
        name = self._jar.flow(flow.state)
        answered.append(self._jar.set(name, self._sealer.seal(name, orjson.dumps(asdict(flow))), FLOW_SECONDS))
        query = urlencode({"client_id": portal.client_id, "request_uri": request_uri})
        return f"{self._config.public_url}/authorize?{query}"

    def _parameters(self, portal: Portal, flow: Flow, *, step_up: bool) -> dict[str, str]:
        needed = step_up or portals.needs_second_factor(portal, self._config)
        return {
            "response_type": "code",
            "redirect_uri": self._redirect_uri,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": create_s256_code_challenge(flow.verifier),
            "code_challenge_method": "S256",
            "claims": CLAIMS,
        } | ({"acr_values": TWO_FACTORS} if needed else {})

    def _forgotten(self, environ: dict[str, Any]) -> Fields:
        """Sign-ins that were begun and left: only so many are kept."""
        begun = [name for name, _ in cookies.pairs(environ) if self._jar.is_flow(name)]
        return [self._jar.clear(name) for name in begun] if len(begun) >= MOST_FLOWS else []

    def finish(self, environ: dict[str, Any], given: dict[str, str], answered: Fields) -> tuple[Session, str]:
        """The new session, and where its person wanted to go. Raises FlowLost, and Unavailable, after which the same
        address may be asked again."""
        flow = self._flow(environ, given.get("state", ""))
        done = self._jar.clear(self._jar.flow(flow.state))
        if given.get("iss") != self._provider.issuer:
            raise FlowLost("wrong_issuer", flow.return_to)
        if "code" not in given:
            answered.append(done)
            raise FlowLost(given.get("error", "no_code"), flow.return_to)
        portal = BY_NAME[flow.portal]
        try:
            tokens = self._provider.redeem(
                portal, given["code"], redirect_uri=self._redirect_uri, verifier=flow.verifier
            )
            self._provider.require_id_token(portal, str(tokens.get("id_token", "")), nonce=flow.nonce)
        except Refused as error:
            answered.append(done)
            raise FlowLost(error.error, flow.return_to) from None
        answered.append(done)
        return Session.begin(portal, tokens), flow.return_to

    def _flow(self, environ: dict[str, Any], state: str) -> Flow:
        name = self._jar.flow(state)
        for sealed in cookies.values(environ, name):
            try:
                flow = Flow(**orjson.loads(self._sealer.open(name, sealed)))
            except (Unreadable, orjson.JSONDecodeError, TypeError):
                continue
            if secrets.compare_digest(flow.state.encode(), state.encode()) and flow.until > time.time():
                return flow
        raise FlowLost("unknown_state")


def own_path(return_to: str) -> str:
    """The path of an address of ours, given without an origin. Raises BadRequest for any other.

    What two readers could take for different things is refused (`//host`, `/\\host`, encoded separators), and so is
    the way to sign in itself, which would lead round in circles.
    """
    if len(return_to) > LONGEST_RETURN or not return_to.isascii() or not return_to.isprintable():
        raise BadRequest("return_to has to be a path of the store.")
    path = return_to.partition("#")[0].partition("?")[0]
    if not path.startswith("/") or path.startswith("//") or {" ", "\\"} & set(return_to):
        raise BadRequest("return_to has to be a path of the store.")
    decoded = routable(path)
    if decoded == "/bff" or decoded.startswith("/bff/"):
        raise BadRequest("return_to cannot be a path under /bff.")
    return decoded
