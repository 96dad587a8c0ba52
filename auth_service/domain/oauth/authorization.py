"""The authorization endpoint's rules (RFC 6749 section 4.1.1, RFC 7636, RFC 9207, RFC 9700, OpenID Connect Core).

What cannot be trusted to name a redirect address is refused with Unverified, for a page. Everything else
goes back to the client by RedirectBack, with `state` and `iss`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from sqlalchemy.orm import Session

from auth_service.domain import codes, consents, families, redirects, scopes, second_factor
from auth_service.domain.oauth import claims, pushed
from auth_service.domain.oauth.provider import Provider
from auth_service.domain.oauth.requests import Pairs, Parameters
from auth_service.domain.resources import InvalidTarget
from auth_service.models import Client, SignInSession, User
from common import assurance
from common.db import utcnow
from common.errors import BadRequest, DomainError

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
NEW_SIGN_IN = frozenset({"login", "select_account"})
MAX_NONCE = 1000
WAY_BACK = timedelta(minutes=1)
"""From the sign-in to the code, with the page for consent in between, where `max_age` is shorter than that."""
_THUMBPRINT = codes.S256_CHALLENGE
_UNSUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


class Unverified(BadRequest):
    """Nobody proved that the redirect address is the client's: the error is shown, never sent anywhere."""

    code = "invalid_authorization_request"


class RedirectBack(DomainError):
    """An error response for the client (RFC 6749 section 4.1.2.1)."""

    status = 302

    def __init__(self, location: str, error: str, description: str) -> None:
        super().__init__(description)
        self.location = location
        self.error = error
        self.description = description


class Step(Enum):
    SIGN_IN = "sign_in"
    STEP_UP = "step_up"
    CONSENT = "consent"
    GRANT = "grant"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request of a known client with a redirect address of its own. `sent_redirect_uri` may be empty."""

    client: Client
    redirect_uri: str
    sent_redirect_uri: str
    state: str | None
    issuer: str
    scope: str
    code_challenge: str
    nonce: str | None
    prompt: frozenset[str]
    max_age: int | None
    acr_values: tuple[str, ...]
    login_hint: str
    resources: list[str]
    dpop_jkt: str | None
    asked: claims.Requested
    hinted_subject: str | None
    request_uri: str | None

    @property
    def is_about_freshness(self) -> bool:
        """Whether it asks when the person signed in."""
        return self.max_age is not None or bool(self.prompt & NEW_SIGN_IN)

    def refuse(self, error: str, description: str) -> RedirectBack:
        return _back(self.redirect_uri, self.issuer, self.state, error, description)

    def for_user(self, user: User) -> str:
        """What of the scope this person can give. Raises RedirectBack when it is nothing of what was asked."""
        granted = scopes.within(self.scope.split(), user.role)
        if self.scope and not granted:
            raise self.refuse("access_denied", "This account may not give any of the scope.")
        return granted

    def to_allow(self, user: User) -> str:
        """What the person has to agree to: the scope, and that of the claims that were asked for by name."""
        beside = scopes.within(self.asked.scopes, user.role)
        return " ".join(dict.fromkeys([*self.for_user(user).split(), *beside.split()]))


def read(session: Session, pairs: Pairs, provider: Provider) -> AuthorizationRequest:
    """The request that is made at /authorize. Raises Unverified or RedirectBack."""
    parameters = Parameters(pairs)
    client = _client(session, parameters)
    request_uri = parameters.get("request_uri") or ""
    if not request_uri.startswith(pushed.PREFIX):
        return _read(session, client, parameters, provider)
    kept = None if "request_uri" in parameters.repeated else pushed.find(session, client.client_id, request_uri)
    if kept is None:
        raise Unverified("This request has expired, or was answered already.")
    return _read(session, client, Parameters(kept), provider, request_uri)


def check_pushed(session: Session, client: Client, pairs: Pairs, provider: Provider) -> None:
    """That this could be asked at /authorize. Raises Unverified or RedirectBack."""
    parameters = Parameters(pairs)
    if _client(session, parameters) is not client:
        raise Unverified("The request is that of another client.")
    _read(session, client, parameters, provider, pushed.PREFIX)


def _read(
    session: Session, client: Client, parameters: Parameters, provider: Provider, request_uri: str | None = None
) -> AuthorizationRequest:
    issuer = provider.issuer.url
    redirect_uri = _redirect_uri(client, parameters)
    state = None if "state" in parameters.repeated else parameters.get("state")
    if client.require_pushed_authorization_requests and request_uri is None:
        fault = "invalid_request", "This client has to push its requests (RFC 9126)."
        raise _back(redirect_uri, issuer, state, *fault)
    if found := _fault(client, parameters) or _target_fault(parameters, provider):
        raise _back(redirect_uri, issuer, state, *found)
    hinted, fault_in_hint = _hinted_subject(session, parameters, provider)
    if fault_in_hint:
        raise _back(redirect_uri, issuer, state, *fault_in_hint)
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        sent_redirect_uri=parameters.get("redirect_uri") or "",
        state=state,
        issuer=issuer,
        scope=parameters.get("scope") or client.scope,
        code_challenge=parameters.values["code_challenge"],
        nonce=parameters.get("nonce"),
        prompt=frozenset((parameters.get("prompt") or "").split()),
        max_age=int(parameters.values["max_age"]) if "max_age" in parameters.values else None,
        acr_values=tuple((parameters.get("acr_values") or "").split()),
        login_hint=parameters.get("login_hint") or "",
        resources=provider.resources.known(parameters.resources),
        dpop_jkt=parameters.get("dpop_jkt"),
        asked=_asked(client, parameters),
        hinted_subject=hinted,
        request_uri=request_uri,
    )


def next_step(
    session: Session,
    request: AuthorizationRequest,
    signed_in: tuple[SignInSession, User] | None,
    *,
    demanded_at: float | None,
) -> Step:
    """What has to happen before a code may be issued. Raises RedirectBack for prompt=none when it is anything.

    `demanded_at` is when this very request first asked the person to sign in: what happened since satisfies it.
    """
    if signed_in is None or _is_stale(request, signed_in[0], demanded_at):
        if "none" in request.prompt:
            raise request.refuse("login_required", "The person has to sign in.")
        return Step.SIGN_IN
    sign_in, user = signed_in
    _require_whom(request, user)
    if not _is_sure_enough(session, request, sign_in):
        return Step.STEP_UP
    wanted = request.to_allow(user)
    if "consent" in request.prompt or consents.is_needed(session, user.id, request.client, wanted):
        if "none" in request.prompt:
            raise request.refuse("consent_required", "The person has to allow this.")
        return Step.CONSENT
    return Step.GRANT


def grant(
    session: Session, request: AuthorizationRequest, sign_in: SignInSession, user: User, *, code_life: timedelta
) -> str:
    """Issue a code; the address that takes it to the client. Raises Unverified when it was answered already."""
    if request.request_uri and not pushed.use_up(session, request.request_uri):
        raise Unverified("This request has expired, or was answered already.")
    code = codes.issue(
        session,
        client_id=request.client.client_id,
        sign_in=sign_in,
        redirect_uri=request.sent_redirect_uri,
        scope=request.for_user(user),
        nonce=request.nonce,
        code_challenge=request.code_challenge,
        life=code_life,
        terms=families.Terms(request.resources, request.dpop_jkt, request.asked.as_json()),
    )
    return redirects.with_parameters(
        request.redirect_uri, {"code": code, **_state(request.state), "iss": request.issuer}
    )


def allow(session: Session, request: AuthorizationRequest, user: User) -> None:
    """Remember that the person lets the client do this."""
    consents.give(session, user.id, request.client, request.to_allow(user))


def deny(session: Session, request: AuthorizationRequest) -> None:
    """What the person refused is not asked a second time."""
    if request.request_uri:
        pushed.use_up(session, request.request_uri)


def _client(session: Session, parameters: Parameters) -> Client:
    if parameters.has_nul:
        raise Unverified("The request contains a NUL character.")
    if "client_id" in parameters.repeated:
        raise Unverified("The parameter client_id is repeated.")
    client_id = parameters.get("client_id")
    client = session.get(Client, client_id) if client_id else None
    if client is None:
        raise Unverified("The app that sent you here is not known to us.")
    return client


def _redirect_uri(client: Client, parameters: Parameters) -> str:
    if "redirect_uri" in parameters.repeated:
        raise Unverified("The parameter redirect_uri is repeated.")
    requested = parameters.get("redirect_uri")
    if requested is None:
        if len(client.redirect_uris) != 1:
            raise Unverified("The parameter redirect_uri is missing.")
        return client.redirect_uris[0]
    if not redirects.matches(requested, client.redirect_uris):
        raise Unverified("The address to return to is not registered for this app.")
    return requested


def _fault(client: Client, parameters: Parameters) -> tuple[str, str] | None:
    """The first error in what the client asked for, as RFC 6749's code and a description."""
    for check in _CHECKS:
        if found := check(client, parameters):
            return found
    return None


def _shape_fault(_client: Client, parameters: Parameters) -> tuple[str, str] | None:
    if parameters.repeated - {"resource"}:
        return "invalid_request", "A parameter is repeated."
    for name, error in _UNSUPPORTED.items():
        if parameters.get(name):
            return error, f"The parameter {name} is not supported."
    return None


def _response_fault(client: Client, parameters: Parameters) -> tuple[str, str] | None:
    if parameters.get("response_type") is None:
        return "invalid_request", "The parameter response_type is missing."
    if parameters.get("response_type") != "code":
        return "unsupported_response_type", "Only response_type=code is supported."
    if parameters.get("response_mode") not in (None, "query"):
        return "invalid_request", "Only response_mode=query is supported."
    if not client.check_grant_type("authorization_code"):
        return "unauthorized_client", "This client may not ask for authorization codes."
    return None


def _pkce_fault(_client: Client, parameters: Parameters) -> tuple[str, str] | None:
    challenge = parameters.get("code_challenge")
    if challenge is None:
        return "invalid_request", "PKCE is required: code_challenge is missing."
    if parameters.get("code_challenge_method") != "S256":
        return "invalid_request", "PKCE is required with code_challenge_method=S256."
    if not codes.S256_CHALLENGE.fullmatch(challenge):
        return "invalid_request", "The code_challenge is not that of a SHA-256."
    return None


def _scope_fault(client: Client, parameters: Parameters) -> tuple[str, str] | None:
    if not set((parameters.get("scope") or "").split()) <= set(client.scopes):
        return "invalid_scope", "The scope is unknown, or exceeds what this client may ask for."
    return None


def _openid_fault(_client: Client, parameters: Parameters) -> tuple[str, str] | None:
    prompt = set((parameters.get("prompt") or "").split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        return "invalid_request", "The prompt is unknown, or contradicts itself."
    max_age = parameters.get("max_age")
    if max_age is not None and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        return "invalid_request", "The max_age is not a number of seconds."
    if len(parameters.get("nonce") or "") > MAX_NONCE:
        return "invalid_request", "The nonce is too long."
    return None


def _key_fault(_client: Client, parameters: Parameters) -> tuple[str, str] | None:
    if not _THUMBPRINT.fullmatch(parameters.get("dpop_jkt") or "x" * 43):
        return "invalid_request", "The dpop_jkt is not the thumbprint of a key."
    return None


def _claims_fault(client: Client, parameters: Parameters) -> tuple[str, str] | None:
    try:
        _asked(client, parameters)
    except ValueError:
        return "invalid_request", "The claims parameter cannot be read."
    return None


def _asked(client: Client, parameters: Parameters) -> claims.Requested:
    """Raises ValueError."""
    is_openid = "openid" in (parameters.get("scope") or client.scope).split()
    text = parameters.get("claims")
    return claims.parse(text, client.scopes) if text and is_openid else claims.Requested()


def _target_fault(parameters: Parameters, provider: Provider) -> tuple[str, str] | None:
    try:
        provider.resources.known(parameters.resources)
    except InvalidTarget as error:
        return error.error, str(error.detail)
    return None


def _hinted_subject(
    session: Session, parameters: Parameters, provider: Provider
) -> tuple[str | None, tuple[str, str] | None]:
    """Whom the id_token_hint names, or what is wrong with it. It may have expired."""
    hint = parameters.get("id_token_hint")
    if hint is None:
        return None, None
    read = provider.issuer.read(session, hint, kind="JWT", expired_too=True)
    if read is None:
        return None, ("invalid_request", "The id_token_hint is not an ID token of ours.")
    return str(read["sub"]), None


def _require_whom(request: AuthorizationRequest, user: User) -> None:
    """The very person that was asked for. Raises RedirectBack."""
    for wanted in (request.hinted_subject, request.asked.subject):
        if wanted not in (None, str(user.id)):
            raise request.refuse("login_required", "Somebody else is signed in.")


def _is_sure_enough(session: Session, request: AuthorizationRequest, sign_in: SignInSession) -> bool:
    """Whether the person may go on as they signed in, or can and has to show a second factor now.

    A level in `acr_values` is a wish (OpenID Connect Core section 3.1.2.1), an essential one a demand: who has no
    second factor goes on without in the first case. Raises RedirectBack in the other (RFC 9470 section 5).
    """
    essential = request.asked.essential_acr
    wanted = essential or tuple(each for each in request.acr_values if each in assurance.LEVELS)
    if not wanted or assurance.reaches(sign_in.amr, wanted):
        return True
    can = assurance.TWO_FACTORS in wanted and second_factor.has_any(session, sign_in.user_id)
    if can and "none" not in request.prompt:
        return False
    if essential or can:
        raise request.refuse("unmet_authentication_requirements", "The person cannot be identified that surely.")
    return True


def wants_new_sign_in(request: AuthorizationRequest, sign_in: SignInSession) -> bool:
    """Whether nothing but a sign-in made for this very request will do."""
    return _is_stale(request, sign_in, None)


def _is_stale(request: AuthorizationRequest, sign_in: SignInSession, demanded_at: float | None) -> bool:
    was_demanded = demanded_at is not None and sign_in.authenticated_at.timestamp() >= demanded_at
    if request.prompt & NEW_SIGN_IN and not was_demanded:
        return True
    if request.max_age is None:
        return False
    most = timedelta(seconds=request.max_age)
    return utcnow() - sign_in.authenticated_at > (max(most, WAY_BACK) if was_demanded else most)


_CHECKS = (_shape_fault, _response_fault, _pkce_fault, _scope_fault, _openid_fault, _key_fault, _claims_fault)


def _back(redirect_uri: str, issuer: str, state: str | None, error: str, description: str) -> RedirectBack:
    parameters = {"error": error, "error_description": description, **_state(state), "iss": issuer}
    return RedirectBack(redirects.with_parameters(redirect_uri, parameters), error, description)


def _state(state: str | None) -> dict[str, str]:
    return {} if state is None else {"state": state}
