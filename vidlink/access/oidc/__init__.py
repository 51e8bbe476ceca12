"""Logging in at an identity provider, by OpenID Connect: for whoever has their users elsewhere.

The authorization code flow with PKCE (RFC 7636): the browser is sent to the provider and comes back
with a code (:mod:`vidlink.access.oidc.returning`), which is exchanged for an ID token over a
connection of our own (:mod:`vidlink.access.oidc.provider`). The token is checked
(:mod:`vidlink.access.oidc.idtoken`, the one module that needs PyJWT), and its claims say who it is
and what they may do (:mod:`vidlink.access.oidc.claims`). After that it is a login as any other.
"""
