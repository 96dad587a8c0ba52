"""The OAuth 2 protocol over the domain.

The token and revocation endpoints are Authlib's, with grants that keep to RFC 9700. The authorization endpoint
is our own (`authorization`): Authlib's lets requests without PKCE pass, and loses `iss` on errors.
"""
