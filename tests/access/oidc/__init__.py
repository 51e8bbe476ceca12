"""Tests of :mod:`vidlink.access.oidc`."""
