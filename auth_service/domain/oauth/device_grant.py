"""The device grant at /token (RFC 8628 section 3.4)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin

from auth_service.domain import devices, families
from auth_service.domain.oauth.grants import ANY_CLIENT, Grant, active_user


class DeviceRedemption(Grant, BaseGrant, TokenEndpointMixin):
    GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
    TOKEN_ENDPOINT_AUTH_METHODS = ANY_CLIENT

    def respond(self) -> dict[str, Any]:
        server, client = self.server, self.request.client
        device, sign_in = devices.redeem(server.session, self.request.required("device_code"), client.client_id)
        family = families.start(
            server.session,
            sign_in=sign_in,
            client_id=client.client_id,
            scope=device.scope,
            life=server.terms.family_life,
            terms=families.Terms(device.resources, self.request.jkt if client.is_public else None),
        )
        user = active_user(server, family)
        response = self._tokens(family, user, device.scope, None)
        if client.check_grant_type("refresh_token"):
            response["refresh_token"] = families.first_token(server.session, family)
        return response
