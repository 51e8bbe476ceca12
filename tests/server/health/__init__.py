"""Tests of `vidlink.server.health`."""
