"""Who people and programs are: accounts, sign-in, OAuth 2 clients and the tokens that every other service trusts.

This service owns users, sign-in sessions, clients, signing keys, authorization codes and refresh tokens. It is
the OAuth 2 authorization server and OpenID provider of the store; the others only verify what it has signed.
"""
