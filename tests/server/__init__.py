"""Tests of `vidlink.server`."""
