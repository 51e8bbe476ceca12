"""Tests of `vidlink.server.api`."""
