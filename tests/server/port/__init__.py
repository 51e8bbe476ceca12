"""Tests of `vidlink.server.port`."""
