"""Tests of `vidlink.server.sockets`."""
