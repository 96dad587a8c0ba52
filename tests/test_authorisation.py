"""Who may do what: every operation of every service, asked for by everybody there is.

A new route needs a line here. `anybody` needs no token; a `bearer` needs one with these scopes, be it a service's;
a `person` must be one, and so must `either`, for whom
one of the scopes is enough. Whose things a person may touch is in the tests of ownership beside each service.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from uuid import UUID

import pytest
from flask import Flask

from common.api import operation
from tests.support import tokens
from tests.support.tokens import ADMIN_SCOPES, CUSTOMER_SCOPES, bearer
from tests.test_architecture import SERVICES, settings

MATRIX = {
    "auth": """
GET    /.well-known/jwks.json                                    anybody
GET    /.well-known/oauth-authorization-server                   anybody
GET    /.well-known/oauth-protected-resource                     anybody
GET    /.well-known/openid-configuration                         anybody
GET    /account                                                  anybody
GET    /account/apps                                             anybody
POST   /account/apps/revoke                                      anybody
POST   /account/consent                                          anybody
GET    /account/device                                           anybody
POST   /account/device                                           anybody
POST   /account/device/decide                                    anybody
GET    /account/devices                                          anybody
POST   /account/devices/<uuid:session_id>/end                    anybody
POST   /account/devices/end-others                               anybody
GET    /account/forgot-password                                  anybody
POST   /account/forgot-password                                  anybody
GET    /account/passkey                                          anybody
POST   /account/passkey                                          anybody
POST   /account/passkey/options                                  anybody
GET    /account/password                                         anybody
POST   /account/password                                         anybody
GET    /account/register                                         anybody
POST   /account/register                                         anybody
GET    /account/reset-password                                   anybody
POST   /account/reset-password                                   anybody
GET    /account/second-factor                                    anybody
POST   /account/second-factor                                    anybody
GET    /account/security                                         anybody
POST   /account/security/connect/<any(google,github):name>      anybody
POST   /account/security/identities/remove                       anybody
POST   /account/security/passkeys                                anybody
POST   /account/security/passkeys/<uuid:passkey_id>/remove       anybody
POST   /account/security/passkeys/options                        anybody
POST   /account/security/recovery-codes                          anybody
POST   /account/security/totp                                    anybody
POST   /account/security/totp/confirm                            anybody
POST   /account/security/totp/remove                             anybody
GET    /account/sign-in                                          anybody
POST   /account/sign-in                                          anybody
POST   /account/sign-out                                         anybody
GET    /account/step-up                                          anybody
GET    /account/undo-address                                     anybody
POST   /account/undo-address                                     anybody
GET    /account/verify-email                                     anybody
POST   /account/verify-email                                     anybody
POST   /account/verify-email/send                                anybody
GET    /api/v1/admin/audit                                       person  users:manage
GET    /api/v1/admin/clients                                     person  clients:manage
POST   /api/v1/admin/clients                                     person  clients:manage
GET    /api/v1/admin/clients/<client_id>                         person  clients:manage
PUT    /api/v1/admin/clients/<client_id>                         person  clients:manage
DELETE /api/v1/admin/clients/<client_id>                         person  clients:manage
POST   /api/v1/admin/clients/<client_id>/rotate-secret           person  clients:manage
GET    /api/v1/admin/users                                       person  users:manage
POST   /api/v1/admin/users                                       person  users:manage
GET    /api/v1/admin/users/<uuid:id>                             person  users:manage
PUT    /api/v1/admin/users/<uuid:id>                             person  users:manage
DELETE /api/v1/admin/users/<uuid:id>                             person  users:manage
PATCH  /api/v1/admin/users/<uuid:id>/deactivate                  person  users:manage
PATCH  /api/v1/admin/users/<uuid:id>/reactivate                  person  users:manage
GET    /api/v1/auth/<any(google,github):name>                   anybody
GET    /api/v1/auth/<any(google,github):name>/callback          anybody
POST   /api/v1/auth/login                                        anybody
POST   /api/v1/auth/logout                                       person
POST   /api/v1/auth/logout-all                                   person
GET    /api/v1/auth/me                                           person  profile email
GET    /api/v1/auth/mfa/passkeys                                 person
POST   /api/v1/auth/mfa/passkeys                                 person
DELETE /api/v1/auth/mfa/passkeys/<uuid:passkey_id>               person
POST   /api/v1/auth/mfa/passkeys/options                         person
POST   /api/v1/auth/mfa/totp                                     person
DELETE /api/v1/auth/mfa/totp                                     person
POST   /api/v1/auth/mfa/totp/confirm                             person
POST   /api/v1/auth/passkey                                      anybody
POST   /api/v1/auth/passkey/options                              anybody
POST   /api/v1/auth/password                                     person
POST   /api/v1/auth/password-reset                               anybody
POST   /api/v1/auth/password-reset/confirm                       anybody
POST   /api/v1/auth/refresh                                      anybody
POST   /api/v1/auth/register                                     anybody
GET    /api/v1/auth/sessions                                     person
DELETE /api/v1/auth/sessions/<uuid:session_id>                   person
POST   /api/v1/auth/verify-email                                 anybody
GET    /api/v1/users/me                                          person  profile email
PUT    /api/v1/users/me                                          person  profile email
PATCH  /api/v1/users/me                                          person  profile email
DELETE /api/v1/users/me                                          person  profile email
GET    /api/v1/users/me/export                                   person  profile email
GET    /authorize                                                anybody
POST   /authorize                                                anybody
POST   /device_authorization                                     anybody
GET    /internal/revocations                                     bearer  replicas:read
GET    /internal/users                                           bearer  replicas:read
POST   /introspect                                               anybody
GET    /livez                                                    anybody
GET    /logout                                                   anybody
POST   /logout                                                   anybody
GET    /metrics                                                  anybody
GET    /openapi.json                                             anybody
POST   /par                                                      anybody
GET    /readyz                                                   anybody
POST   /revoke                                                   anybody
POST   /token                                                    anybody
GET    /userinfo                                                 person  openid
POST   /userinfo                                                 person  openid
""",
    "catalog": """
GET    /api/v1/admin/exports/books                               bearer  books:write
GET    /api/v1/admin/imports                                     bearer  books:write
POST   /api/v1/admin/imports                                     bearer  books:write
GET    /api/v1/admin/imports/<uuid:id>                           bearer  books:write
GET    /api/v1/admin/imports/<uuid:id>/changes                   bearer  books:write
GET    /api/v1/admin/imports/<uuid:id>/problems                  bearer  books:write
GET    /api/v1/admin/imports/<uuid:id>/rejected                  bearer  books:write
POST   /api/v1/admin/imports/<uuid:id>/cancel                    bearer  books:write
POST   /api/v1/admin/imports/<uuid:id>/undo                      bearer  books:write
GET    /api/v1/admin/inventory/low-stock                         bearer  stock:write
POST   /api/v1/admin/inventory/stock-take                        bearer  stock:write
GET    /api/v1/admin/suggestions                                 bearer  books:write
POST   /api/v1/admin/suggestions/<uuid:id>/approve               bearer  books:write
POST   /api/v1/admin/suggestions/<uuid:id>/reject                bearer  books:write
GET    /api/v1/authors                                           anybody
POST   /api/v1/authors                                           bearer  books:write
GET    /api/v1/authors/<id>                                      anybody
PUT    /api/v1/authors/<uuid:id>                                 bearer  books:write
DELETE /api/v1/authors/<uuid:id>                                 bearer  books:write
POST   /api/v1/authors/<uuid:id>/merge                           bearer  books:write
GET    /api/v1/books                                             anybody
POST   /api/v1/books                                             bearer  books:write
GET    /api/v1/books/<id>                                        anybody
GET    /api/v1/books/<reference>/similar                         anybody
PUT    /api/v1/books/<uuid:id>                                   bearer  books:write
PATCH  /api/v1/books/<uuid:id>                                   bearer  books:write
DELETE /api/v1/books/<uuid:id>                                   bearer  books:write
GET    /api/v1/books/<reference>/cover                           anybody
POST   /api/v1/books/<uuid:id>/images                            bearer  books:write
POST   /api/v1/books/<uuid:id>/restore                           bearer  books:write
GET    /api/v1/books/<uuid:id>/stock                             bearer  stock:write
PATCH  /api/v1/books/<uuid:id>/stock                             bearer  stock:write
GET    /api/v1/books/<reference>/summary                         anybody
GET    /api/v1/books/inactive                                    bearer  books:write
GET    /api/v1/books/like                                        anybody
GET    /api/v1/books/suggest                                     anybody
GET    /api/v1/genres                                            anybody
POST   /api/v1/genres                                            bearer  books:write
GET    /api/v1/genres/<id>                                       anybody
PUT    /api/v1/genres/<uuid:id>                                  bearer  books:write
DELETE /api/v1/genres/<uuid:id>                                  bearer  books:write
POST   /api/v1/genres/<uuid:id>/merge                            bearer  books:write
GET    /api/v1/images/<uuid:id>                                  anybody
PUT    /api/v1/images/<uuid:id>                                  bearer  books:write
DELETE /api/v1/images/<uuid:id>                                  bearer  books:write
POST   /api/v1/suggestions                                       person  suggestions:write
GET    /api/v1/suggestions/mine                                  person  suggestions:read
POST   /api/v1/uploads                                           person  uploads:write
GET    /api/v1/uploads                                           person  uploads:read
GET    /api/v1/uploads/<uuid:id>                                 person  uploads:read
DELETE /api/v1/uploads/<uuid:id>                                 person  uploads:write
GET    /api/v1/uploads/<uuid:id>/download                        person  uploads:read
GET    /internal/books                                           bearer  replicas:read
GET    /internal/books/<uuid:id>                                 bearer  replicas:read
GET    /internal/users/<uuid:id>/data                            bearer  replicas:read
GET    /livez                                                    anybody
GET    /metrics                                                  anybody
GET    /openapi.json                                             anybody
GET    /readyz                                                   anybody
""",
    "order": """
GET    /api/v1/addresses                                         person  orders:read
POST   /api/v1/addresses                                         person  orders:write
PUT    /api/v1/addresses/<uuid:address_id>                       person  orders:write
DELETE /api/v1/addresses/<uuid:address_id>                       person  orders:write
GET    /api/v1/admin/analytics/sales/by-day                      bearer  orders:manage
GET    /api/v1/admin/analytics/sales/summary                     bearer  orders:manage
GET    /api/v1/admin/analytics/sales/top-books                   bearer  orders:manage
GET    /api/v1/admin/orders                                      bearer  orders:manage
GET    /api/v1/admin/orders/<uuid:order_id>                      bearer  orders:manage
GET    /api/v1/admin/orders/<uuid:order_id>/packing-slip         bearer  orders:manage
POST   /api/v1/admin/orders/<uuid:order_id>/refund               person  orders:manage
PATCH  /api/v1/admin/orders/<uuid:order_id>/status               bearer  orders:manage
POST   /api/v1/admin/orders/bulk-status                          bearer  orders:manage
GET    /api/v1/admin/orders/export                               bearer  orders:manage
GET    /api/v1/admin/promotions                                  bearer  orders:manage
POST   /api/v1/admin/promotions                                  bearer  orders:manage
GET    /api/v1/admin/promotions/<uuid:promotion_id>              bearer  orders:manage
PUT    /api/v1/admin/promotions/<uuid:promotion_id>              bearer  orders:manage
DELETE /api/v1/admin/promotions/<uuid:promotion_id>              bearer  orders:manage
GET    /api/v1/admin/shipping-methods                            bearer  orders:manage
PUT    /api/v1/admin/shipping-methods/<code>                     bearer  orders:manage
DELETE /api/v1/admin/shipping-methods/<code>                     bearer  orders:manage
GET    /api/v1/admin/tax-rates                                   bearer  orders:manage
PUT    /api/v1/admin/tax-rates/<country>                         bearer  orders:manage
DELETE /api/v1/admin/tax-rates/<country>                         bearer  orders:manage
GET    /api/v1/cart                                              anybody
DELETE /api/v1/cart                                              anybody
POST   /api/v1/cart/items                                        anybody
PUT    /api/v1/cart/items/<uuid:item_id>                         anybody
DELETE /api/v1/cart/items/<uuid:item_id>                         anybody
GET    /api/v1/orders                                            person  orders:read
POST   /api/v1/orders                                            person  orders:write
GET    /api/v1/orders/<uuid:order_id>                            person  orders:read
POST   /api/v1/orders/<uuid:order_id>/cancel                     person  orders:write
GET    /api/v1/orders/<uuid:order_id>/documents                  person  orders:read
GET    /api/v1/orders/<uuid:order_id>/documents/<number>         person  orders:read
GET    /api/v1/orders/<uuid:order_id>/invoice                    person  orders:read
POST   /api/v1/orders/<uuid:order_id>/pay                        person  orders:write
POST   /api/v1/orders/<uuid:order_id>/refund                     person  orders:manage
POST   /api/v1/orders/<uuid:order_id>/reorder                    person  cart:write
PATCH  /api/v1/orders/<uuid:order_id>/status                     bearer  orders:manage
POST   /api/v1/orders/checkout                                   person  orders:write
GET    /api/v1/orders/events                                     person  orders:read
POST   /api/v1/orders/quote                                      person  orders:write
POST   /api/v1/payments/webhook/<provider>                       anybody
GET    /api/v1/prebooks                                          person  cart:write
POST   /api/v1/prebooks                                          person  cart:write
DELETE /api/v1/prebooks/<uuid:prebooking_id>                     person  cart:write
POST   /api/v1/prebooks/<uuid:prebooking_id>/cart                person  cart:write
GET    /api/v1/wishlist                                          person  cart:write
POST   /api/v1/wishlist                                          person  cart:write
DELETE /api/v1/wishlist/<uuid:book_id>                           person  cart:write
GET    /api/v1/wishlist/<uuid:book_id>                           person  cart:write
GET    /internal/orders/states                                   bearer  replicas:read
GET    /internal/purchases                                       bearer  replicas:read
GET    /internal/sales                                           bearer  replicas:read
GET    /internal/users/<uuid:id>/data                            bearer  replicas:read
GET    /livez                                                    anybody
GET    /metrics                                                  anybody
GET    /openapi.json                                             anybody
GET    /readyz                                                   anybody
GET    /socket.io/                                               anybody
""",
    "review": """
GET    /api/v1/admin/reviews                                     person  reviews:moderate
GET    /api/v1/admin/reviews/<uuid:id>                           person  reviews:moderate
PATCH  /api/v1/admin/reviews/<uuid:id>                           person  reviews:moderate
POST   /api/v1/admin/reviews/<uuid:id>/hide                      person  reviews:moderate
GET    /api/v1/admin/reviews/<uuid:id>/reports                   person  reviews:moderate
POST   /api/v1/admin/reviews/<uuid:id>/restore                   person  reviews:moderate
GET    /api/v1/admin/reviews/alerts                              person  reviews:moderate
POST   /api/v1/admin/reviews/bulk-delete                         person  reviews:moderate
GET    /api/v1/books/<uuid:id>/reviews                           anybody
POST   /api/v1/books/<uuid:id>/reviews                           person  reviews:write
GET    /api/v1/reviews                                           anybody
POST   /api/v1/reviews                                           person  reviews:write
GET    /api/v1/reviews/<uuid:id>                                 anybody
PUT    /api/v1/reviews/<uuid:id>                                 person  reviews:write
PATCH  /api/v1/reviews/<uuid:id>                                 person  reviews:write
DELETE /api/v1/reviews/<uuid:id>                                 either  reviews:write reviews:moderate
POST   /api/v1/reviews/<uuid:id>/helpful                         person  reviews:write
DELETE /api/v1/reviews/<uuid:id>/helpful                         person  reviews:write
POST   /api/v1/reviews/<uuid:id>/report                          person  reviews:write
GET    /internal/ratings                                         bearer  replicas:read
GET    /internal/users/<uuid:id>/data                            bearer  replicas:read
GET    /livez                                                    anybody
GET    /metrics                                                  anybody
GET    /openapi.json                                             anybody
GET    /readyz                                                   anybody
""",
}
SERVICE_SCOPES = ("replicas:read",)
EVERY_SCOPE = (*ADMIN_SCOPES, *SERVICE_SCOPES)
SOMETHING = str(UUID(int=7))


@dataclass(frozen=True)
class Rule:
    method: str
    path: str
    audience: str
    scopes: frozenset[str]

    @property
    def url(self) -> str:
        choices = re.sub(r"<any\((\w+).*?\):\w+>", r"\1", self.path)
        return re.sub(r"<.*?>", SOMETHING, choices)


def rules(name: str) -> list[Rule]:
    lines = (line.split() for line in MATRIX[name].strip().splitlines())
    return [Rule(method, path, audience, frozenset(scopes)) for method, path, audience, *scopes in lines]


@cache
def application(name: str) -> Flask:
    """With nothing behind it: who is let in fails for another reason than who they are."""
    return importlib.import_module(f"{name}_service.app").create_app(settings(name), keys=tokens.keys)


def operations(name: str) -> Iterator[tuple[str, str, object]]:
    app = application(name)
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.endswith("static"):
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield method, rule.rule.replace(", ", ","), operation(app.view_functions[rule.endpoint])


GUARDED = [(name, rule) for name in MATRIX for rule in rules(name) if rule.audience != "anybody"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_has_its_line_and_declares_what_it_says(name: str) -> None:
    declared = {
        (method, path, "anybody" if found.is_public else None, frozenset(found.scopes or ()))
        for method, path, found in operations(name)
    }
    written = {
        (rule.method, rule.path, "anybody" if rule.audience == "anybody" else None, rule.scopes) for rule in rules(name)
    }
    assert declared == written


def status(name: str, rule: Rule, headers: dict[str, str]) -> int:
    return application(name).test_client().open(rule.url, method=rule.method, headers=headers).status_code


def who(rule: Rule) -> dict[str, tuple[dict[str, str], int | None]]:
    """Everybody there is, and with what they are refused; None for who is let in."""
    enough = rule.scopes.__and__ if rule.audience == "either" else lambda held: rule.scopes <= held
    is_for_customers = enough({*CUSTOMER_SCOPES})
    is_for_staff = enough({*ADMIN_SCOPES})
    too_little = tuple(scope for scope in EVERY_SCOPE if scope not in rule.scopes)
    persons_only = rule.audience != "bearer"
    is_for_services = not persons_only and rule.scopes <= {*SERVICE_SCOPES}
    return {
        "nobody": ({}, 401),
        "customer": (bearer(), None if is_for_customers else 403),
        "staff": (bearer(role="admin"), None if is_for_staff else 403),
        "service": (bearer(role=None, scopes=SERVICE_SCOPES), None if is_for_services else 403),
        "service with all scopes": (bearer(role=None, scopes=EVERY_SCOPE), 403 if persons_only else None),
        "staff with too little": (bearer(role="admin", scopes=too_little), 403 if rule.scopes else None),
        "stranger": ({"Authorization": "Bearer of nothing"}, 401),
    }


@pytest.mark.parametrize(("name", "rule"), GUARDED, ids=lambda value: getattr(value, "path", value))
def test_only_those_whom_it_is_for_are_let_in(name: str, rule: Rule) -> None:
    for person, (headers, refused) in who(rule).items():
        answered = status(name, rule, headers)
        if refused:
            assert answered == refused, f"{person}: {answered}"
        else:
            assert answered not in (401, 403), f"{person}: {answered}"


@pytest.mark.parametrize("name", SERVICES)
def test_each_scope_opens_its_own_operations_and_no_others(name: str) -> None:
    """An app that was granted one thing can do that, and a person's token without any scope can do nothing."""
    for scope in (None, *EVERY_SCOPE):
        headers = bearer(role="admin", scopes=(scope,) if scope else ())
        for rule in rules(name):
            if rule.audience == "anybody" or (name == "auth" and not rule.scopes):
                continue
            is_open = scope in rule.scopes and (len(rule.scopes) == 1 or rule.audience == "either")
            answered = status(name, rule, headers)
            assert (answered not in (401, 403)) == is_open, f"{scope}: {rule.method} {rule.path}: {answered}"


@pytest.mark.parametrize("name", [each for each in SERVICES if each != "auth"])
def test_what_needs_a_token_names_a_scope(name: str) -> None:
    """Else an app that may only see who somebody is could do it."""
    silent = [f"{method} {path}" for method, path, found in operations(name) if not (found.is_public or found.scopes)]
    assert silent == []
